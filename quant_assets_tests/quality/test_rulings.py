"""What an operator lets in is let in, that value and no other, and what cannot be computed with never is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import day_window
from quant_assets.errors import BadArgument
from quant_assets.quality.row_gate import judge_rows
from quant_assets.quality.rulings import quarantined, released, rule
from quant_assets.schemas import TABLES
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets.steps import history
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace
from quant_assets_tests.night.homes import Home, new_home
from quant_assets_tests.small import EVERYTHING, FETCHED_AT, workspace

D = dt.date
DAY = D(2012, 6, 7)
WHY = "the exchange confirms it"


def stored_with(work: Workspace, **columns: float) -> StepResult:
    """The night's prices of Apple, one bar of its only source multiplied; the adjusted close with it, or a dividend would be inferred."""
    windows = {year: work.year_windows()[year] for year in ("2012",)}
    raw = history.fetch_raw_prices(work, ["AAPL"], windows)
    bars = raw.frames["bokeh"].astype({"volume": float})
    for name, factor in columns.items():
        bars.loc[bars["date"] == str(DAY), name] *= factor
    return history.store_prices(work, ["AAPL"], windows, history.RawPrices({"bokeh": bars}), run_id=None)


def crash(work: Workspace, factor: float = 0.45) -> StepResult:
    return stored_with(work, **dict.fromkeys(("open", "high", "low", "close", "adj_close"), factor))


def say(work: Workspace, ruling: str, field: str | None = None, session: dt.date = DAY) -> pl.DataFrame:
    return rule(work.lake, "AAPL", session, field=field, ruling=ruling, because=WHY, at=FETCHED_AT)  # type: ignore[arg-type]


def test_a_genuine_extreme_is_let_in_as_delivered_and_another_value_is_judged_anew(tmp_path: Path):
    work = workspace(tmp_path)
    assert list(crash(work).withheld) == [("AAPL", "2012")]
    held = quarantined(work.lake)
    assert held.select("session", "field", "check").rows() == [(D(2012, 6, 8), "close", "extreme_move"), (DAY, "close", "extreme_move")]
    assert held["ruling"].null_count() == 2
    for session in held["session"]:
        say(work, "released", session=session)
    assert quarantined(work.lake)["ruling"].to_list() == ["released"] * 2
    after = crash(work)
    assert after.withheld == {}
    assert after.rows.filter(session=DAY)["close"].item() == pytest.approx(0.45 * 571.72)
    assert quarantined(work.lake).is_empty()
    assert list(crash(work, 0.4).withheld) == [("AAPL", "2012")]


def test_a_rejected_value_stays_out_and_is_no_longer_open(tmp_path: Path):
    work = workspace(tmp_path)
    crash(work)
    say(work, "rejected", "close")
    assert list(crash(work).withheld) == [("AAPL", "2012")]
    assert quarantined(work.lake).filter(session=DAY).select("ruling", "because").row(0) == ("rejected", WHY)
    assert released(work.lake, ["AAPL"], EVERYTHING).is_empty()


def test_the_last_word_counts(tmp_path: Path):
    work = workspace(tmp_path)
    crash(work)
    say(work, "rejected")
    say(work, "released")
    assert released(work.lake, ["AAPL"], EVERYTHING).select("session", "field").rows() == [(DAY, "close")]


def test_what_cannot_be_computed_with_is_refused(tmp_path: Path):
    work = workspace(tmp_path)
    stored_with(work, volume=-1.0)
    with pytest.raises(BadArgument, match=r"volume of AAPL on 2012-06-07 cannot be released \(volume: AAPL 2012-06-07: volume is -"):
        say(work, "released")
    assert say(work, "rejected").height == 1


def test_what_is_not_in_quarantine_is_refused(tmp_path: Path):
    work = workspace(tmp_path)
    crash(work)
    with pytest.raises(BadArgument, match="AAPL on 2012-06-06 is not in quarantine"):
        say(work, "released", session=D(2012, 6, 6))
    with pytest.raises(BadArgument, match="low of AAPL on 2012-06-07 is not in quarantine, only its close"):
        say(work, "released", "low")
    with pytest.raises(BadArgument, match="a ruling without a reason"):
        rule(work.lake, "AAPL", DAY, field=None, ruling="released", because=" ", at=FETCHED_AT)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = new_home(tmp_path / "home")
    crash(home.workspace())
    return home


def test_from_the_terminal(home: Home):
    shown = home.run("data", "quarantine", "list")
    assert shown.returncode == 0, shown.stderr
    assert "2 findings, 2 without a ruling" in shown.stdout
    told = home.run("data", "quarantine", "show", "aapl", str(DAY))
    assert f"AAPL {DAY}: close moved -55" in told.stdout
    assert "As bokeh delivered it" in told.stdout
    done = home.run("data", "quarantine", "release", "AAPL", str(DAY), "--because", WHY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"AAPL {DAY}, close: released; the next `quant-assets run` lets it in.")
    code, listed = home.json("data", "quarantine", "list", "--tickers", "AAPL")
    assert code == 0
    assert [(item["session"], item["ruling"], item["because"]) for item in listed["items"]] == [
        ("2012-06-08", None, None),
        (str(DAY), "released", WHY),
    ]
    assert WHY in home.run("data", "quarantine", "show", "AAPL", str(DAY)).stdout
    code, rejected = home.json("data", "quarantine", "reject", "AAPL", "2012-06-08", "--field", "close", "--because", WHY)
    assert (code, rejected["items"][0]["ruling"]) == (0, "rejected")


def test_a_series_of_another_table_from_the_terminal(home: Home):
    work = home.workspace()
    source = ArchIndices()
    rows = source.normalise(source.fetch(["sp500"], day_window(DAY)), fetched_at=FETCHED_AT).with_columns(low=-1.0)
    judged = judge_rows("index_prices", rows.select(list(TABLES["index_prices"].schema)))
    work.lake.replace("quarantine", judged.quarantined, keys=["sp500"], window=day_window(DAY), scope={"table": "index_prices"})
    told = home.run("data", "quarantine", "show", "SP500", str(DAY))
    assert told.stdout.startswith(f"sp500 {DAY}: low is -1.0 and must be above 0; quarantined, correct it at the source and run again\n")
    refused = home.run("data", "quarantine", "release", "sp500", str(DAY), "--because", WHY)
    assert refused.returncode == 2
    assert "only what is unlikely can be let in, not what is impossible" in refused.stderr
    assert home.run("data", "quarantine", "reject", "sp500", str(DAY), "--because", WHY).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("release", "AAPL", "2012-06-06", "--because", "x"), "is not in quarantine"),
        (("release", "AAPL", "never", "--because", "x"), "SESSION 'never' is not a date"),
        (("release", "ZZZ", "2012-06-07", "--because", "x"), "'ZZZ' is not in the universe"),
        (("release", "AAPL", "2012-06-07"), "--because"),
        (("show", "AAPL"), "SESSION"),
    ],
)
def test_impossible_requests(home: Home, arguments: tuple[str, ...], words: str):
    done = home.run("data", "quarantine", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_an_empty_quarantine(tmp_path: Path):
    home = new_home(tmp_path / "home")
    assert home.run("data", "quarantine", "list").stdout == "Nothing is in quarantine.\n"
    assert home.run("data", "quarantine", "show", "AAPL", str(DAY)).stdout == f"AAPL on {DAY} is not in quarantine.\n"
