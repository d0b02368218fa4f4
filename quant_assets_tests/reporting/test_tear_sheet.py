from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import statistics
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from quant_assets.backtest.compare import sharpe_difference
from quant_assets.backtest.metrics import METRICS, measure
from quant_assets.backtest.track import Track
from quant_assets.errors import BadArgument
from quant_assets.reporting import tear_sheet_charts as charts
from quant_assets.reporting.packed import packed
from quant_assets.reporting.tear_sheet import SEED, Strategy, TearSheet, render, write_tear_sheet
from quant_assets.reporting.tear_sheet_tables import months, usd, written
from quant_assets_tests.reporting.tear_samples import CASH, NEVER, ONCE, bars, booked, index_of, sample, strategy
from quant_assets_tests.reporting.test_html_page import HOSTILE, LOADING, Page


def unpacked(text: str, element: str) -> str:
    start = text.index(f'id="{element}">') + len(f'id="{element}">')
    return gzip.decompress(base64.b64decode(text[start : text.index("</script>", start)])).decode()


def drawn(text: str) -> dict[str, Any]:
    return json.loads(unpacked(text, "sheet"))


@pytest.fixture(scope="module")
def sheet() -> TearSheet:
    return sample()


@pytest.fixture(scope="module")
def text(sheet: TearSheet) -> str:
    return render(sheet)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_nothing_is_loaded_and_the_page_is_light(text: str, page: Page) -> None:
    loads = [(tag, name, value) for tag, attributes in page.elements for name, value in attributes.items() if name in LOADING]
    assert [load for load in loads if not (load[0] == "a" and str(load[2]).startswith("#"))] == []
    assert not {"link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    assert len(text.encode()) < 5_000_000


def test_the_policy_names_the_scripts_and_the_packed_plotly(text: str, page: Page) -> None:
    assert unpacked(text, "plotly") == get_plotlyjs()
    policy = next(str(attributes["content"]) for _, attributes in page.elements if attributes.get("http-equiv"))
    sources = [hashlib.sha256(script.encode()).digest() for script in (*page.scripts, get_plotlyjs())]
    assert len(sources) == 3
    told = " ".join(f"'sha256-{base64.b64encode(source).decode()}'" for source in sources)
    assert f"default-src 'none'; script-src {told};" in policy


@pytest.mark.parametrize("given", ["", HOSTILE, "\u2028 \U0001f600 \x00", "]]>" * 1_000])
def test_what_is_packed_comes_back_and_holds_nothing_that_html_reads(given: str) -> None:
    told = str(packed(given))
    assert not set(told) & set("<>&")
    assert gzip.decompress(base64.b64decode(told)).decode() == given


def test_the_same_sheet_gives_the_same_bytes_and_its_journal_lies_beside_it(sheet: TearSheet, tmp_path: Path) -> None:
    path, csv, parquet = write_tear_sheet(sheet, tmp_path / "new" / "mine.html")
    first = path.read_bytes()
    write_tear_sheet(sheet, path)
    assert path.read_bytes() == first
    assert {file.name for file in path.parent.iterdir()} == {"mine.html", "mine_trades.csv", "mine_trades.parquet"}
    links = [attributes.get("href") for tag, attributes in Page(first.decode()).elements if tag == "a"]
    assert {csv.name, parquet.name} <= set(links)


@pytest.mark.parametrize(("name", "stem"), [("v1.2", "v1.2"), ("v1.2.html", "v1.2"), ("mine.page", "mine.page")])
def test_a_path_may_be_a_string_and_keeps_its_whole_name(sheet: TearSheet, tmp_path: Path, name: str, stem: str) -> None:
    written_files = write_tear_sheet(replace(sheet, strategies=sheet.strategies[:1]), str(tmp_path / name))
    assert written_files == tuple(tmp_path / file for file in (name, f"{stem}_trades.csv", f"{stem}_trades.parquet"))
    assert all(file.is_file() for file in written_files)


def test_the_journal_holds_every_trade_to_the_cent_in_both_files(sheet: TearSheet, tmp_path: Path) -> None:
    _, csv, parquet = write_tear_sheet(sheet, tmp_path / "mine.html")
    stored = pl.read_parquet(parquet)
    assert pl.read_csv(csv, try_parse_dates=True).equals(stored.cast({"side": pl.Int64}), null_equal=True)
    busy = next(one for one in sheet.strategies if one.key == "busy")
    mine = stored.filter(strategy="busy")
    assert mine.height == busy.track.trades.height > 50
    assert stored["strategy"].unique().to_list() == ["busy"]
    recounted = mine["exit_shares"] * mine["exit_price"] - mine["entry_shares"] * mine["entry_price"] - mine["commission"]
    assert recounted.to_list() == pytest.approx(mine["pnl"].to_list(), abs=1e-9)
    flat_at = busy.track.exposure == 0
    assert mine["pnl"].sum() == pytest.approx(busy.track.wealth[flat_at][-1] - CASH, abs=0.005)


def test_the_lines_are_the_accounts_and_the_index_begins_with_the_same_money(sheet: TearSheet, text: str) -> None:
    data = drawn(text)
    assert data["sessions"] == [str(session) for session in sheet.sessions]
    assert [line["name"] for line in data["lines"]] == ["Idle", "Busy", "Holder", "Index"]
    for line, one in zip(data["lines"], sheet.strategies, strict=False):
        assert line["wealth"] == pytest.approx(one.track.wealth.tolist(), rel=1e-5)
    assert sheet.market is not None
    growth = (sheet.market.wealth["wealth"] / sheet.market.wealth["wealth"][0]).to_list()
    assert data["lines"][3]["wealth"] == pytest.approx([CASH * multiple for multiple in growth], rel=1e-5)
    assert data["first"] == "busy"


def test_the_headline_and_all_figures_are_those_of_the_metrics(sheet: TearSheet, page: Page) -> None:
    figures = measure(sheet.strategies[1].track)
    for key in ("total_return", "cagr", "sharpe", "max_drawdown", "win_rate", "total_costs"):
        assert written(figures[key], METRICS[key].unit) in page.sections["summary"], key
    for key, metric in METRICS.items():
        assert metric.name in page.sections["measures"], key
        assert metric.definition in page.sections["measures"], key
        assert written(figures[key], metric.unit) in page.sections["measures"], key
    assert f"– here: {METRICS['win_rate'].missing}." in page.sections["measures"]


def test_the_comparison_says_what_the_bootstrap_found(sheet: TearSheet, page: Page) -> None:
    busy, holder = (sheet.strategies[place].track.returns for place in (1, 2))
    found = sharpe_difference(busy, holder, seed=SEED)
    told = page.sections["comparison"]
    assert "Busy against Holder" in told
    assert f"{found.difference:+.2f}".replace("-", "−") in told
    assert f"{found.low:+.2f} to {found.high:+.2f}".replace("-", "−") in told
    verdict = "is more than chance" if found.p_value < 0.05 else "may be chance"
    assert verdict in page.sections["summary"]
    assert "Not compared: Idle bought nothing." in told


def test_one_that_cannot_be_compared_leaves_the_other_pairs() -> None:
    prices = bars(("IBM",), n_sessions=300)
    five, six, once = (strategy(f"k{every}", f"Every {every}", prices, None, every=every) for every in (5, 6, ONCE))
    equity, trades = booked(prices, every=5)
    lost = equity.with_columns(equity=pl.when(pl.int_range(pl.len()) < 100).then("equity").otherwise(0.0))
    ruined = Strategy("lost", "All in", "all in", Track.of(lost, trades))
    told = Page(render(TearSheet("Four", "money", [five, six, replace(once, name="Once"), ruined], prices=prices))).sections["comparison"]
    assert "Every 5 against Every 6" in told
    assert told.count(" against ") == 1
    assert f"Not compared: All in was ruined on {five.track.sessions[100]}; Once does not vary in" in told


def test_the_summary_tells_three_pairs_and_the_table_all() -> None:
    prices = bars(("IBM",), n_sessions=200)
    many = [strategy(f"k{every}", f"Every {every}", prices, None, every=every) for every in (4, 5, 6, 7)]
    sections = Page(render(TearSheet("Many", "money", many, prices=prices))).sections
    assert sections["comparison"].count(" against ") == 6
    shown = [pair for pair in combinations(many, 2) if f"{pair[0].name} against {pair[1].name}:" in sections["summary"]]
    found = {pair: sharpe_difference(pair[0].track.returns, pair[1].track.returns, seed=SEED).p_value for pair in combinations(many, 2)}
    assert sorted(found[pair] for pair in shown) == sorted(found.values())[:3]
    assert "3 more pairs: see “Do they differ?” below." in sections["summary"]


def test_months_are_those_of_the_closes(sheet: TearSheet) -> None:
    track = sheet.strategies[1].track
    last = {(session.year, session.month): wealth for session, wealth in zip(track.sessions, track.wealth, strict=True)}
    start, expected = track.wealth[0], {}
    for month, wealth in last.items():
        expected[month] = f"{100 * (wealth / start - 1):.1f}".replace("-", "−").replace("−0.0", "0.0")
        start = wealth
    shown = {
        (year["year"], place): cell["told"]
        for year in months(track)
        for place, cell in enumerate(year["cells"], start=1)
        if cell is not None
    }
    assert shown == expected
    assert {cell["side"] for year in months(track) for cell in year["cells"] if cell and cell["told"].startswith("−")} == {"down"}


def test_marks_stand_on_the_sessions_and_at_the_prices_of_the_trades(sheet: TearSheet, text: str) -> None:
    data = drawn(text)
    marks, candles = data["of"]["busy"]["trades"]["IBM"], data["candles"]["IBM"]
    trades = sheet.strategies[1].track.trades.filter(ticker="IBM").sort("entered")
    assert [data["sessions"][place] for place in marks["in"]] == trades["entered"].cast(pl.String).to_list()
    assert [data["sessions"][place] for place in marks["out"]] == trades["session"].cast(pl.String).to_list()
    opens = dict(zip(candles["at"], candles["open"], strict=True))
    assert [opens[place] for place in marks["in"]] == pytest.approx(marks["entry_price"], rel=1e-5)
    assert [opens[place] for place in marks["out"]] == pytest.approx(marks["exit_price"], rel=1e-5)


def test_a_split_is_marked_and_a_bar_without_its_low_is_not_drawn() -> None:
    prices = bars(("IBM",), n_sessions=5)
    days = prices["session"].to_list()
    changed = prices.with_columns(
        split_factor=pl.when(pl.col("session") == days[2]).then(2.0).otherwise(1.0),
        low=pl.when(pl.col("session") != days[3]).then("low"),
    )
    drawn = charts.candles(changed, days, ["IBM", "KO"])
    assert list(drawn) == ["IBM"]
    assert drawn["IBM"]["at"] == [0, 1, 2, 4]
    assert drawn["IBM"]["splits"] == [(2, 2.0)]


def test_only_the_names_with_most_trades_are_drawn() -> None:
    few, many = (
        pl.DataFrame({"ticker": [f"{letter}{n:02}" for n in range(40) for _ in range(times)]}) for letter, times in (("A", 1), ("B", 2))
    )
    track = replace(sample(("IBM",)).strategies[0].track, trades=pl.concat([few, many]))
    assert charts.candle_names([track], ["C"]) == [f"B{n:02}" for n in range(charts.CANDLE_NAMES)]
    crowd = replace(track, trades=pl.DataFrame({"ticker": ["A"] * (charts.MARKED_TRADES + 1) + ["B"]}))
    assert charts.candle_names([crowd], []) == ["A"]


def test_rolling_figures_against_a_loop() -> None:
    generator = np.random.default_rng(5)
    market = generator.normal(0, 0.01, 60)
    ours = 0.7 * market + generator.normal(0, 0.004, 60)
    sharpe, beta = charts.rolling_sharpe(ours, 20), charts.rolling_beta(ours, market, 20)
    assert np.isnan(sharpe[:19]).all()
    assert np.isnan(beta[:19]).all()
    for end in range(20, 61):
        part, other = ours[end - 20 : end].tolist(), market[end - 20 : end].tolist()
        assert sharpe[end - 1] == pytest.approx(statistics.mean(part) / statistics.stdev(part) * math.sqrt(252), rel=1e-12)
        assert beta[end - 1] == pytest.approx(statistics.linear_regression(other, part).slope, rel=1e-9)


def test_rolling_figures_have_gaps_where_nothing_moves() -> None:
    still, moving = np.zeros(30), np.linspace(-0.01, 0.01, 30)
    assert np.isnan(charts.rolling_sharpe(still, 10)).all()
    assert np.isnan(charts.rolling_beta(moving, still, 10)).all()
    assert charts.rolling_sharpe(moving, 31).size == 30
    assert charts.compact(pl.DataFrame({"a": [math.nan, math.inf, 1.23456789]}))["a"] == [None, None, 1.23457]


@given(st.lists(st.sampled_from([0.0, -0.02, 0.001, 0.013]), min_size=1, max_size=60))
def test_every_return_is_in_a_bin_or_counted_as_flat(values: list[float]) -> None:
    found = charts.distribution(np.array(values))
    if found is None:
        assert set(values) == {0.0}
        return
    assert sum(found["count"]) + found["flat"] == len(values)
    assert found["flat"] == values.count(0.0)
    assert found["start"] <= min(value for value in values if value) + 1e-12


def test_no_trades_at_all(sheet: TearSheet) -> None:
    page = Page(render(replace(sheet, strategies=sheet.strategies[:1])))
    assert "No strategy bought anything in these sessions." in page.sections["summary"]
    assert "No trades: nothing was bought from" in page.sections["summary"]
    assert "No strategy traded, and a comparison takes two." in page.sections["comparison"]
    for section in ("months", "distribution", "trades", "fan", "breakdown"):
        assert "Idle (idle rule) bought nothing in these sessions" in page.sections[section], section
    assert "No trade was closed." in page.sections["journal"]


def test_one_trade_without_an_index_and_without_other_thresholds() -> None:
    prices = bars(("IBM",), n_sessions=60)
    page = Page(render(TearSheet("One", "money", [strategy("once", "Once", prices, None, every=ONCE, hold=3)], prices=prices)))
    assert "1 strategy traded, and a comparison takes two." in page.sections["comparison"]
    assert "No index was given to compare with." in page.sections["curves"]
    assert "59 returns of the 126 that a rolling figure needs." in page.sections["curves"]
    assert "No other threshold was tried." in page.sections["sensitivity"]
    assert page.sections["journal"].count("long") == 1


def test_what_is_only_held_has_no_journal_and_says_so(sheet: TearSheet, page: Page) -> None:
    assert "Holder closed no trade: what it still holds is in the equity" in page.sections["trades"]
    assert "Positions are open at the end" in page.sections["summary"]


def test_one_session() -> None:
    prices = bars(("IBM",), n_sessions=1)
    page = Page(render(TearSheet("Day", "money", [strategy("idle", "Idle", prices, None, every=NEVER)], prices=prices)))
    assert "One session has no curve." in page.sections["curves"]
    assert page.sections["curves"].count("0 returns of the 126 that a rolling figure needs.") == 2
    assert "1 session" in page.sections["header"]
    assert page.sections["costs"].count("One session has no curve.") == 2
    assert not {"exposure", "costs"} & {attributes.get("data-chart") for _, attributes in page.elements}


def test_too_few_returns_to_resample_are_a_sentence_and_no_picture() -> None:
    prices = bars(("IBM",), n_sessions=30)
    text = render(TearSheet("Month", "money", [strategy("busy", "Busy", prices, None, every=5)], prices=prices))
    assert "29 returns cannot be drawn in blocks of 21" in Page(text).sections["fan"]
    assert drawn(text)["of"]["busy"]["fan"] is None


def test_a_ruined_account_ends_early_and_the_others_go_on(sheet: TearSheet) -> None:
    busy = sheet.strategies[1]
    equity = pl.DataFrame({"session": sheet.sessions, "equity": [CASH] * 100 + [-5.0] * 200}).with_columns(
        position="equity", entries=pl.lit(1, dtype=pl.Int64), costs=pl.lit(0.0)
    )
    ruined = Strategy("ruined", "Ruined", "all in", Track.of(equity, busy.track.trades.clear()))
    text = render(replace(sheet, strategies=[ruined, busy]))
    page, data = Page(text), drawn(text)
    assert f"Ruined: equity was -5.00 USD at the close of {sheet.sessions[100]}" in page.sections["summary"]
    assert [len(line["wealth"]) for line in data["lines"]] == [101, 300, 300]
    assert f"Not compared: Ruined was ruined on {sheet.sessions[100]}." in page.sections["comparison"]
    assert "Fewer than two strategies can be compared." in page.sections["comparison"]


def test_a_sheet_without_strategies_or_of_other_sessions_is_refused() -> None:
    long, short = bars(("IBM",), n_sessions=20), bars(("IBM",), n_sessions=15)
    with pytest.raises(BadArgument, match="0 strategies"):
        TearSheet("None", "money", [])
    two = [strategy("a", "A", long, None, every=5), strategy("b", "B", short, None, every=5)]
    with pytest.raises(BadArgument, match=r"B has 15 sessions from .* where another strategy has 20"):
        TearSheet("Two", "money", two)
    with pytest.raises(BadArgument, match="2 strategies have the key 'a'"):
        TearSheet("Twice", "money", [two[0], two[0]])


def test_foreign_text_stays_text() -> None:
    prices = bars(("IBM",), n_sessions=60)
    track = strategy("busy", "Busy", prices, None, every=5).track
    named = replace(track, trades=track.trades.with_columns(ticker=pl.lit(HOSTILE), exit_reason=pl.lit(HOSTILE)))
    hostile = TearSheet(HOSTILE, HOSTILE, [Strategy("busy", HOSTILE, HOSTILE, named)], prices=prices, no_market=HOSTILE, notes=[HOSTILE])
    text = render(hostile, journal_files=[f"{HOSTILE}.csv"])
    assert "<img" not in text
    assert len(Page(text).scripts) == 2
    assert drawn(text)["lines"][0]["name"] == HOSTILE


def test_money_and_units() -> None:
    assert usd(-1234.5) == "−$1,234.50"
    assert written(None, "USD") == "–"
    assert [written(0.0123, "fraction"), written(-0.123, "fraction"), written(2.9, "sessions"), written(3.0, "trades")] == [
        "1.23 %",
        "−12.3 %",
        "2.9",
        "3",
    ]


def test_the_index_stands_beside_the_accounts_without_trades_of_its_own(page: Page) -> None:
    row = page.sections["summary"].split("Index")[-1]
    assert row.count("–") == 4
    assert index_of(bars()).note in page.sections["curves"]
