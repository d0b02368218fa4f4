"""What is possible and unlikely, on real bars and a real option chain, and planted row by row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import Window, sessions
from quant_assets.quality.doubts import DOUBTS, doubts
from quant_assets.schemas import TABLES
from quant_assets_tests.quality.real_files import lean_chain, option_chain
from quant_assets_tests.quality.test_repair import native
from quant_assets_tests.replay_yahoo import lean_history

D = dt.date
DAYS = sessions(Window(D(2012, 3, 1), D(2012, 6, 1)))


def counts(table: str, rows: pl.DataFrame) -> dict[str, int]:
    found = doubts(table, rows)
    assert found.passed == found.rows.is_empty()
    return dict(found.rows.group_by("doubt").len().rows()) if found.rows.height else {}


def test_a_million_real_bars(shared: Path):
    rows = native(shared)
    told = counts("prices", rows)
    assert told["no volume"] == rows.filter(volume=0).height == 162
    assert told["high above 1.5 times low"] == rows.filter(pl.col("high") > 1.5 * pl.col("low")).height
    assert len(told) == 4


def test_a_real_option_chain(shared: Path):
    """Apple on the day of its split: the share's price is Friday's, and the vendor has no volatility for half of the contracts."""
    rows = option_chain(shared)
    told = counts("option_chain", rows)
    assert told["vendor's implied volatility is 0"] == rows.filter(vendor_implied_volatility=0).height
    assert told["ask below the value of exercising"] == 146
    assert "bid above ask" not in told


def bars(**columns: Any) -> pl.DataFrame:
    n = 40
    close = [50.0 + (7 * day % 11) / 10 for day in range(n)]
    told = {
        "ticker": ["A"] * n,
        "session": DAYS[:n],
        "open": close,
        "high": [price + 1 for price in close],
        "low": [price - 1 for price in close],
        "close": close,
        "volume": [1e6 + 1e4 * (day % 7) for day in range(n)],
        "split_factor": [1.0] * n,
    }
    return pl.DataFrame(told, schema_overrides={"open": pl.Float64}).with_columns(**columns)


def at(day: int, value: float, name: str) -> pl.Expr:
    return pl.when(pl.col("session") == DAYS[day]).then(value).otherwise(name)


STANDING = pl.when(pl.col("session") > DAYS[33]).then(60.0).otherwise("close")


def test_ordinary_bars_have_none():
    assert doubts("prices", bars()).passed
    assert doubts("prices", bars()).description == "40 rows, none unlikely"
    assert doubts("prices", bars().clear()).passed


@pytest.mark.parametrize(
    ("rows", "doubt", "n"),
    [
        (bars(**dict.fromkeys(("open", "high", "low", "close"), STANDING), volume=pl.lit(1e6)), "the same bar 5 sessions in a row", 2),
        (bars(volume=at(30, 0.0, "volume")), "no volume", 1),
        (bars(high=at(30, 90.0, "high")), "high above 1.5 times low", 1),
        (bars(volume=at(30, 3e8, "volume")), "volume 100 times that of the 20 sessions before, or that part of it", 1),
        (bars(volume=at(30, 1e3, "volume")), "volume 100 times that of the 20 sessions before, or that part of it", 1),
    ],
)  # fmt: skip
def test_unlikely_bars(rows: pl.DataFrame, doubt: str, n: int):
    assert counts("prices", rows) == {doubt: n}


def test_a_close_alone_may_stand_longer():
    bare = {name: pl.lit(None, dtype=pl.Float64) for name in ("open", "high", "low", "volume")}
    flat = pl.when(pl.col("session") > DAYS[28]).then(50.0).otherwise("close")
    rows = bars(**bare, close=flat)
    assert counts("prices", rows) == {"the same bar 5 sessions in a row": 2}
    assert doubts("prices", rows.filter(pl.col("session") <= DAYS[37])).passed


def contract(**values: Any) -> dict[str, Any]:
    plain = {"ticker": "A", "session": D(2012, 3, 1), "expiry": D(2012, 3, 16), "strike": 50.0, "right": "call", "bid": 2.0, "ask": 2.1}
    return {**plain, "last": 2.0, "open_interest": 10.0, "underlying": 51.0, "vendor_implied_volatility": 0.3, **values}


@pytest.mark.parametrize(
    ("contracts", "doubt"),
    [
        ([contract(bid=2.2)], "bid above ask"),
        ([contract(expiry=D(2012, 2, 17))], "quoted after its expiry"),
        ([contract(strike=40.0, bid=9.0, ask=9.1)], "ask below the value of exercising"),
        ([contract(strike=60.0, right="put", bid=8.0, ask=8.1)], "ask below the value of exercising"),
        ([contract(bid=52.0, ask=53.0)], "bid above the most it can be worth"),
        ([contract(right="put", bid=50.5, ask=51.0)], "bid above the most it can be worth"),
        (
            [contract(), contract(strike=55.0, bid=2.2, ask=2.3)],
            "strikes out of order: the dearer one costs less than the cheaper one brings",
        ),
        (
            [contract(right="put"), contract(strike=49.0, right="put", bid=2.2, ask=2.3)],
            "strikes out of order: the dearer one costs less than the cheaper one brings",
        ),
        ([contract(vendor_implied_volatility=0.0)], "vendor's implied volatility is 0"),
        ([contract(bid=0.0, ask=None, last=None)], "no contract of the chain has a price"),
        ([contract(strike=12.5, bid=38.4, ask=38.6)], "strike 4 times the share's price, or that part of it"),
        ([contract(strike=357.0, bid=None, ask=0.1)], "strike 4 times the share's price, or that part of it"),
    ],
)
def test_unlikely_quotes(contracts: list[dict[str, Any]], doubt: str):
    rows = pl.DataFrame(contracts)
    assert counts("option_chain", rows) == {doubt: 1}
    assert doubts("option_chain", pl.DataFrame([contract(), contract(strike=55.0, bid=0.2, ask=0.3)])).passed


def chain(day: int, *, n: int = 30, **values: Any) -> list[dict[str, Any]]:
    """Contracts of one session; what is not given changes from day to day."""
    told = {"bid": 2.0 + day / 100, "ask": 2.1 + day / 100, "underlying": 51.0 + day / 10, **values}
    return [contract(session=DAYS[day], expiry=DAYS[20 + place], open_interest=100.0 * place + 1 + day) | told for place in range(n)]


def test_one_contract_without_a_price_is_no_doubt():
    assert doubts("option_chain", pl.DataFrame([contract(), contract(strike=55.0, bid=None, ask=None, last=None)])).passed


def test_a_contract_that_nobody_keeps_up_to_date():
    rows = pl.DataFrame(
        [row for day in range(6) for row in [*chain(day), contract(session=DAYS[day], strike=75.0, underlying=51.0 + day / 10)]]
    )
    found = doubts("option_chain", rows).rows
    assert set(found["doubt"]) == {"the same quote, trade and open interest 5 sessions in a row"}
    assert found.select("strike", "session").rows() == [(75.0, DAYS[4]), (75.0, DAYS[5])]


def test_a_share_whose_price_stands_still(shared: Path):
    rows = pl.DataFrame([row for day, price in enumerate((51.0, 51.5, 51.5, 51.5, 51.5, 51.4)) for row in chain(day, underlying=price)])
    found = doubts("option_chain", rows).rows
    assert set(found["doubt"]) == {"the share's price the same 3 sessions in a row"}
    assert found["session"].unique().sort().to_list() == DAYS[3:5]
    closes = [lean_history(shared, name).bars["close"] for name in ("AAPL", "BAC", "IBM", "SPY")]
    assert sum(len(close) for close in closes) == 23_396
    assert sum(((close == close.shift(1)) & (close == close.shift(2))).sum() for close in closes) == 5


def test_open_interest_that_was_not_counted_again(shared: Path):
    """Apple's chain of 10 June 2014, with its own open interest and with that of the day before; then the contracts of a small chain."""
    folder = shared / "data/options/lean_universe_aapl"
    monday, tuesday = (lean_chain(folder / f"201406{day}.csv").filter(pl.col("strike") <= 150) for day in ("09", "10"))
    contracts = ["expiry", "strike", "right"]
    stale = tuesday.drop("open_interest").join(monday.select(*contracts, "open_interest"), on=contracts, maintain_order="left")
    doubt = "open interest of the whole chain as the session before"
    assert doubt not in counts("option_chain", pl.concat([monday, tuesday]))
    found = doubts("option_chain", pl.concat([monday, stale.select(monday.columns)])).rows.filter(doubt=doubt)
    assert found["session"].unique().to_list() == [D(2014, 6, 10)]
    assert found.height == stale.filter(pl.col("open_interest") > 0).height
    for n, told in ((20, {doubt: 20}), (19, {})):
        rows = pl.DataFrame(chain(0, n=n) + [{**row, "open_interest": row["open_interest"] - 1} for row in chain(1, n=n)])
        assert counts("option_chain", rows) == told


def test_a_crossed_quote_and_a_trade_outside_its_session():
    quote = {"ticker": "A", "session": D(2012, 3, 1), "bid": 10.0, "ask": 9.9, "last": 12.0, "high": 11.0, "low": 9.0}
    assert counts("quotes", pl.DataFrame([quote])) == {"bid above ask": 1, "last trade outside high and low": 1}


def test_the_same_headline_twice_in_a_day():
    def article(number: str, headline: str, source: str = "finnhub", day: int = 1) -> dict[str, Any]:
        moment = dt.datetime(2012, 3, day, 12, tzinfo=dt.UTC)
        return {"ticker": "A", "article": number, "published": D(2012, 3, day), "headline": headline, "source": source, "known_at": moment}

    rows = pl.DataFrame(
        [article("1", "Acme soars"), article("2", "ACME soars "), article("3", "Acme soars", "news_api"), article("4", "b")]
    )
    assert counts("articles", rows) == {"the same headline again that day": 2}
    assert doubts("articles", pl.DataFrame([article("1", "Acme soars"), article("2", "Acme soars", day=2)])).passed


def test_a_series_that_changes_its_unit(shared: Path):
    """The unemployment rate to 2015, one month in tenths of a percent."""
    file = pl.read_csv(shared / "data/macro/fred_date_seriesid/UNRATE.csv", try_parse_dates=True)
    day, value = file.columns[:2]
    rows = file.select(
        series=pl.lit("UNRATE"), session=day, published=day, value=value, known_at=pl.col(day).cast(pl.Datetime("us", "UTC"))
    )
    assert doubts("macro", rows).passed
    month = pl.col("session") == D(2012, 6, 1)
    wrong = rows.with_columns(value=pl.when(month).then(10 * pl.col("value")).otherwise("value"))
    assert doubts("macro", wrong).rows["session"].to_list() == [D(2012, 6, 1), D(2012, 7, 1)]


def test_every_doubted_table_is_one():
    assert set(DOUBTS) <= set(TABLES)
    assert doubts("labels", pl.DataFrame()).passed
