"""`quant-assets features` on a small lake: what each verb prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import Window
from quant_assets.cli import features as cli
from quant_assets.cli.app import screen
from quant_assets.errors import BadArgument, NoData
from quant_assets.features.catalog import CATALOG
from quant_assets.features.compute import READ, compute
from quant_assets.features.gaps import gaps
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace
from quant_assets_tests.cli.test_backtest import whole
from quant_assets_tests.features.panels import SESSIONS, N, adjusted_only, bars, index_bars
from quant_assets_tests.small import FETCHED_AT

SETTINGS = 'universe = "universe.csv"\n[grids]\nhistory_start = 2010-01-01\nfirst_cutoff = 2012-01-01\nfirst_decision = 2012-01-03\n'
NAMES = ("AAPL", "GE", "GOOG", "IBM", "KO", "MSFT", "PG")
CLOSES_ONLY = ("GE", "KO", "PG")
LISTINGS = "ticker,source,listed\n" + "".join(f"{name},skfolio,2010-01-04\n" for name in NAMES)
LATER = "ret_5"
"""A feature that the lake does not know yet, as one of a package installed after the last run."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two years of seven names, three of them with closes only; no macro series."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "quant_assets.toml").write_text(SETTINGS)
    (folder / "universe.csv").write_text(LISTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANT_ASSETS_HOME", str(folder))
        work = Workspace.open(Settings.load(), clock=lambda: FETCHED_AT)
    panel = {name: adjusted_only(bars(name)) if name in CLOSES_ONLY else bars(name) for name in NAMES}
    prices = pl.concat(panel.values())
    tables = {name: TABLES[name].empty for name in READ} | {"prices": prices, "index_prices": index_bars()}
    values = compute(tables)
    without = gaps(values, tables).with_columns(table=pl.lit("features"))
    window = Window(SESSIONS[0], SESSIONS[N])
    work.lake.replace("prices", whole("prices", prices.with_columns(inferred=pl.lit(False))), keys=None, window=window)
    work.lake.replace("features", values.with_columns(pl.lit(None, dtype=pl.Float64).alias(LATER)), keys=None, window=window)
    told = TABLES["feature_gaps"].conform(without.filter(pl.col("feature") != LATER))
    work.lake.replace("feature_gaps", told, keys=list(NAMES), window=window, scope={"table": "features"})
    return folder


@pytest.fixture
def document(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a verb prints as its one document."""
    monkeypatch.setenv("QUANT_ASSETS_HOME", str(home))

    def read(verb: Callable[..., None], **arguments: object) -> Any:
        verb(**arguments, as_json=True)
        return json.loads(capsys.readouterr().out)

    return read


@pytest.fixture
def shown(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a verb prints for a person."""
    monkeypatch.setenv("QUANT_ASSETS_HOME", str(home))
    monkeypatch.setattr(screen, "_width", 120)

    def read(verb: Callable[..., None], **arguments: object) -> str:
        verb(**arguments)
        return capsys.readouterr().out

    return read


def test_for_another_program_the_list_is_a_line_a_feature(shown: Callable[..., str]) -> None:
    lines = shown(cli.list_features).splitlines()
    assert [line.split()[1] for line in lines] == list(CATALOG)
    assert all(line.endswith(feature.meaning) for line, feature in zip(lines, CATALOG.values(), strict=True))
    assert len({line.split()[0] for line in shown(cli.list_features, family="garch").splitlines()}) == 1


@pytest.mark.parametrize(
    ("family", "words"),
    [("volatilty", r"--family 'volatilty' is unknown; did you mean volatility\?"), ("xyz", r"choose among trend, .*, cross_section")],
)
def test_an_unknown_family_is_refused_with_the_nearest(family: str, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        cli.list_features(family=family)


def test_a_name_is_found_however_it_is_written(document: Callable[..., Any]) -> None:
    assert document(cli.describe, name=" RSI_14")["name"] == "rsi_14"
    with pytest.raises(BadArgument, match="no feature is named"):
        cli.describe(name=" ")


def test_a_coefficient_says_what_it_rests_on(document: Callable[..., Any], shown: Callable[..., str]) -> None:
    ics = document(cli.describe, name="rsi_14")["measured"]["ic"]
    assert [(ic["sessions"], ic["names"], ic["enough"]) for ic in ics] == [(585, 7, True), (581, 7, True), (566, 7, True)]
    assert "; 585 sessions, 7 names)" in shown(cli.describe, name="rsi_14")


def test_what_rests_on_few_sessions_says_so(document: Callable[..., Any], shown: Callable[..., str]) -> None:
    ics = document(cli.describe, name="momentum_12_1")["measured"]["ic"]
    assert [(ic["sessions"], ic["enough"]) for ic in ics] == [(347, True), (343, True), (328, False)]
    assert not ics[2]["excludes_zero"]
    text = " ".join(shown(cli.describe, name="momentum_12_1").split())
    assert text.endswith("328 sessions, 7 names): too few to tell it from zero, 400 sessions, 10 blocks, are the least")


def test_reasons_of_several_names_are_one(document: Callable[..., Any], shown: Callable[..., str]) -> None:
    assert document(cli.describe, name="atr_14_pct")["measured"]["without"] == {
        "prices has no high of 3 names by then (GE, KO, ...)": 3 * N,
        "needs 14 sessions before it": 4 * 14,
    }
    assert "too little to measure: 0 sessions to compare, 100 are the least" in shown(cli.describe, name="atr_14_pct")
    assert "null when  its look-back is not full; the bar has no high or low" in shown(cli.describe, name="atr_14_pct")


def test_how_often_a_flag_fires_is_said(document: Callable[..., Any], shown: Callable[..., str]) -> None:
    fires = document(cli.describe, name="cdl_hammer")["measured"]["fires"]
    assert 0 < fires < 0.2
    assert f" on {100 * fires:.2f} % of these, " in shown(cli.describe, name="cdl_hammer")


def test_what_no_run_has_computed_is_not_taken_for_null(shown: Callable[..., str]) -> None:
    assert "Not measured: not computed yet: `quant-assets run` computes it" in shown(cli.describe, name=LATER)
    with pytest.raises(NoData, match="ret_5 has no value in the lake: not computed yet: `quant-assets run` computes it"):
        cli.plot(name=LATER)


def test_a_drawing_says_of_whom_and_when(shown: Callable[..., str]) -> None:
    text = shown(cli.plot, name="rsi_14", tickers="IBM")
    assert f"rsi_14 of IBM, {SESSIONS[N - 504]} to {SESSIONS[N - 1]}, 504 sessions [0..100]" in text
    assert "A column is the mean of 6 sessions" in text or "A column is the mean of 6 or 7 sessions" in text
    assert f"{7 * (N - 14):,} values; how many lie where" in text
    assert "e+" not in text
    assert "atr_14_pct of KO: no value in its last 504 sessions: prices has no high of KO by then" in shown(
        cli.plot, name="atr_14_pct", tickers="KO"
    )


def test_what_is_of_the_market_is_drawn_once(shown: Callable[..., str]) -> None:
    text = shown(cli.plot, name="month", tickers="IBM,AAPL")
    assert text.count("month of all names") == 1
    assert "IBM" not in text


def test_what_cannot_be_drawn_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANT_ASSETS_HOME", str(home))
    with pytest.raises(NoData, match="vix has no value in the lake: macro has no VIXCLS by then"):
        cli.plot(name="vix")
    with pytest.raises(BadArgument, match="--tickers '' names none"):
        cli.plot(name="rsi_14", tickers="")


def test_a_drawing_as_a_document(document: Callable[..., Any]) -> None:
    found = document(cli.plot, name="rsi_14", tickers="IBM,KO")
    assert [one["ticker"] for one in found["series"]] == ["IBM", "KO"]
    assert found["series"][0]["values"][-1]["session"] == str(SESSIONS[N - 1])
    assert len(found["series"][0]["values"]) == 504
    spread = found["distribution"]
    assert spread["values"] == 7 * (N - 14)
    assert len(spread["edges"]) == len(spread["counts"]) + 1
    assert 0.98 * spread["values"] < sum(spread["counts"]) < spread["values"]


@pytest.mark.parametrize(
    ("psi", "words"),
    [
        ({2002: 0.001, 2003: 0.0}, "0.00 in every year, 2002 to 2003, each against the year before"),
        ({2002: 0.05}, "0.05 (2002 against the year before)"),
        (
            {2002: 0.05, 2003: 0.4},
            "0.05 0.40 (2002 to 2003, each against the year before; worst 2003; below 0.1 is stable, from 0.25 on another",
        ),
    ],
)
def test_stability_in_words(psi: dict[int, float], words: str) -> None:
    assert cli._stability(psi).startswith(words)
