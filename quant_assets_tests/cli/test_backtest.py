"""`quant-assets backtest` on a small lake: what it prints, and the sheet of which accounts it writes."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.rules import STRATEGIES
from quant_assets.calendars import Window
from quant_assets.cli.backtest import backtest
from quant_assets.errors import LakeError
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace
from quant_assets_tests.reporting.tear_samples import CASH, NEVER, ONCE, bars, booked
from quant_assets_tests.small import FETCHED_AT

SPAN = Window(dt.date(2012, 1, 3), dt.date(2013, 3, 2))
NAMES = ("AAPL", "IBM")
RULES = {"threshold": {"every": NEVER}, "top_fifth": {"every": 7}, "buy_and_hold": {"every": ONCE, "hold": ONCE}}
SETTINGS = 'universe = "universe.csv"\n[grids]\nhistory_start = 2011-01-01\nfirst_cutoff = 2012-01-01\nfirst_decision = 2012-01-03\n'
LISTINGS = "ticker,source,listed\nAAPL,bokeh,2000-03-01\nIBM,bokeh,2000-03-01\nKO,skfolio,2000-01-03\n"


def account(prices: pl.DataFrame, strategy: str, kind: str, owner: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `equity` and `trades` of one account over all the names in `prices`."""
    equity, trades = booked(prices, **RULES[strategy])
    named = {"strategy": pl.lit(strategy), "account": pl.lit(kind)}
    rows = equity.with_columns(**named, ticker=pl.lit(owner), rule=pl.lit(f"{strategy} rule"), scores=pl.lit("scores"))
    return rows.select(list(TABLES["equity"].schema)), trades.with_columns(**named).select(list(TABLES["trades"].schema))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A home whose lake holds both kinds of account, bars and the index."""
    (tmp_path / "quant_assets.toml").write_text(SETTINGS)
    (tmp_path / "universe.csv").write_text(LISTINGS)
    monkeypatch.setenv("QUANT_ASSETS_HOME", str(tmp_path))
    work = Workspace.open(Settings.load(), clock=lambda: FETCHED_AT)
    prices = bars(NAMES).filter(pl.col("session") >= SPAN.start)
    booked_by = [account(prices.filter(ticker=name), strategy, "ticker", name) for name in NAMES for strategy in STRATEGIES]
    booked_by += [account(prices, strategy, "portfolio", PORTFOLIO) for strategy in STRATEGIES]
    for table, frames in (("equity", [equity for equity, _ in booked_by]), ("trades", [trades for _, trades in booked_by])):
        work.lake.replace(table, pl.concat(frames), keys=None, window=SPAN)
    work.lake.replace("prices", stored(prices), keys=None, window=SPAN)
    work.lake.replace("index_prices", index(prices), keys=None, window=SPAN)
    return work


def stored(prices: pl.DataFrame) -> pl.DataFrame:
    return whole("prices", prices.with_columns(volume=pl.lit(1e6), dividend=pl.lit(0.0), inferred=pl.lit(False)))


def index(prices: pl.DataFrame) -> pl.DataFrame:
    closes = prices.group_by("session").agg(pl.col("close").mean()).with_columns(series=pl.lit("sp500"))
    return whole("index_prices", closes.with_columns(open="close", high="close", low="close", volume=pl.lit(1e9)))


def whole(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Every declared column: provenance made up, null where there is nothing to say."""
    known = {"source": pl.lit("made up"), "fetched_at": pl.lit(FETCHED_AT), "known_at": pl.lit(FETCHED_AT)}
    filled = rows.with_columns(**{name: value for name, value in known.items() if name in TABLES[table].schema})
    absent = {name: pl.lit(None, dtype=dtype) for name, dtype in TABLES[table].schema.items() if name not in filled.columns}
    return filled.with_columns(**absent).select(list(TABLES[table].schema)).cast(dict(TABLES[table].schema))


def sheets(work: Workspace) -> list[str]:
    return sorted(file.name for file in (work.settings.home / "outputs" / "tear_sheets").glob("*"))


def drawn(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    start = text.index('id="sheet">') + len('id="sheet">')
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text[start : text.index("</script>", start)])))
    return data


def test_one_name_is_printed_beside_the_other_rules_and_written(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    backtest(tickers="IBM", start="2012-02-01", end="2012-12-31")
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split()[-2:] == ["drawdown", "Entries"]
    rows = [line.split() for line in printed.out.splitlines()[2:8]]
    assert [row[0] for row in rows] == [PORTFOLIO] * 3 + ["IBM"] * 3
    assert [row[1] for row in rows] == ["threshold", "top", "buy"] * 2
    stem = "IBM_2012-02-01_2012-12-31"
    assert sheets(work) == [f"{stem}.html", f"{stem}_trades.csv", f"{stem}_trades.parquet"]
    assert f"{stem}.html" in printed.err
    data = drawn(work.settings.home / "outputs" / "tear_sheets" / f"{stem}.html")
    assert (data["sessions"][0], data["sessions"][-1]) == ("2012-02-01", "2012-12-31")
    assert [line["name"] for line in data["lines"]] == ["Threshold", "Top fifth", "Buy and hold", "S&P 500"]
    assert set(data["of"]["top_fifth"]["trades"]) == {"IBM"}


def test_the_json_document_names_the_files(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    backtest(tickers="IBM,AAPL", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert {(item["ticker"], item["strategy"]) for item in document["items"]} >= {("IBM", "top_fifth"), (PORTFOLIO, "buy_and_hold")}
    assert set(document["tear_sheet"]) == {"html", "csv", "parquet"}
    assert all(Path(path).is_file() for path in document["tear_sheet"].values())
    equity = work.lake.scan("equity", window=SPAN).filter(account="ticker", strategy="buy_and_hold").collect()
    together = equity.group_by("session").agg(pl.col("equity").sum()).sort("session")["equity"]
    hold = next(line for line in drawn(Path(document["tear_sheet"]["html"]))["lines"] if line["key"] == "buy_and_hold")
    assert hold["wealth"] == pytest.approx(together.to_list(), rel=1e-5)
    assert hold["wealth"][0] == 2 * CASH


def test_without_names_it_is_the_sheet_of_the_portfolio(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    backtest(as_json=True)
    document = json.loads(capsys.readouterr().out)
    page = Path(document["tear_sheet"]["html"])
    assert page.name == f"PORTFOLIO_2012-01-03_{SPAN.last_day}.html"
    assert drawn(page)["lines"][0]["wealth"][0] == CASH
    assert set(drawn(page)["of"]["top_fifth"]["trades"]) == set(NAMES)


def test_a_name_without_an_account_gets_no_sheet_and_a_sentence(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    backtest(tickers="KO", as_json=True)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tear_sheet"] is None
    assert "No account for KO (adjusted closes only: ranked, not traded)" in printed.err
    assert "No tear sheet: no account of these names is stored." in printed.err
    assert sheets(work) == []


def test_an_account_with_a_hole_is_no_sheet_but_an_error(work: Workspace) -> None:
    hole = Window(dt.date(2012, 6, 1), dt.date(2012, 6, 8))
    work.lake.replace("equity", pl.DataFrame(schema=TABLES["equity"].schema), keys=["IBM"], window=hole, scope={"strategy": "top_fifth"})
    with pytest.raises(LakeError, match=r"IBM: the account lacks 5 of \d+ sessions, the first 2012-06-01"):
        backtest(tickers="IBM,AAPL")
    assert sheets(work) == []


def test_an_account_that_begins_later_is_cash_until_then(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    late = bars(("IBM",)).filter(pl.col("session") >= dt.date(2012, 7, 2))
    for strategy in STRATEGIES:
        equity, _ = account(late, strategy, "ticker", "IBM")
        work.lake.replace("equity", equity, keys=["IBM"], window=SPAN, scope={"strategy": strategy})
    backtest(tickers="IBM,AAPL", as_json=True)
    page = Path(json.loads(capsys.readouterr().out)["tear_sheet"]["html"])
    apple = work.lake.scan("equity", window=SPAN).filter(account="ticker", strategy="buy_and_hold", ticker="AAPL").collect()
    hold = next(line for line in drawn(page)["lines"] if line["key"] == "buy_and_hold")["wealth"]
    assert hold[100] == pytest.approx(CASH + apple["equity"][100], rel=1e-5)
    assert "count as $10,000 in cash until then: IBM 2012-07-02." in page.read_text(encoding="utf-8")


def test_an_index_that_lacks_sessions_is_left_out_with_the_reason(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    gap = Window(dt.date(2012, 6, 1), dt.date(2012, 6, 2))
    work.lake.replace("index_prices", pl.DataFrame(schema=TABLES["index_prices"].schema), keys=["sp500"], window=gap)
    backtest(tickers="IBM", as_json=True)
    page = Path(json.loads(capsys.readouterr().out)["tear_sheet"]["html"])
    assert [line["key"] for line in drawn(page)["lines"]] == list(STRATEGIES)
    assert "the benchmark lacks one value for 1 of" in page.read_text(encoding="utf-8")
