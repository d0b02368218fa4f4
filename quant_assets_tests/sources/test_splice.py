"""Which vendor's bar is stored, and an adjusted history that bars as traded continue: on small made bars."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import Window, sessions
from quant_assets.errors import SourceError
from quant_assets.schemas import TABLES
from quant_assets.sources.base import known_at_close
from quant_assets.sources.reconcile import compare_sources, findings_log
from quant_assets.sources.splice import Chosen, choose, is_spliced, stored_basis
from quant_assets_tests.small import FETCHED_AT

D = dt.date
DAYS = sessions(Window(D(2012, 1, 1), D(2012, 7, 1)))
LAST = 60
"""Sessions of the history; bars as traded have all of DAYS."""
NAN = float("nan")


def bars(
    source: str,
    days: Sequence[dt.date],
    closes: Sequence[float | None],
    *,
    splits: dict[dt.date, float] | None = None,
    dividends: dict[dt.date, float] | None = None,
    ticker: str = "AAPL",
) -> pl.DataFrame:
    close = pl.Series("close", closes, dtype=pl.Float64)
    rows = pl.DataFrame({"session": pl.Series(days, dtype=pl.Date), "close": close}).with_columns(
        open=pl.col("close") * 0.99,
        high=pl.col("close") * 1.01,
        low=pl.col("close") * 0.98,
        volume=pl.lit(700.0),
        ticker=pl.lit(ticker),
        price_basis=pl.lit("adjusted" if source == "kaggle" else "raw"),
        split_factor=pl.Series([(splits or {}).get(day, 1.0) for day in days], dtype=pl.Float64),
        dividend=pl.Series([(dividends or {}).get(day, 0.0) for day in days], dtype=pl.Float64),
        inferred=pl.lit(False),
        source=pl.lit(source),
        fetched_at=pl.lit(FETCHED_AT, dtype=pl.Datetime("us", "UTC")),
    )
    return (
        TABLES["prices"].conform(known_at_close(rows)) if None not in closes else known_at_close(rows).select(list(TABLES["prices"].schema))
    )


def wave(n: int, start: float = 100.0) -> list[float]:
    return [start * (1 + 0.02 * ((place * 7) % 5 - 2) / 2 + 0.001 * place) for place in range(n)]


def traded(n: int = len(DAYS)) -> pl.DataFrame:
    """A 2:1 split inside the history, a dividend and a 4:1 split after it."""
    closes = wave(len(DAYS))
    closes = [close / (1 if place < 30 else 2) / (1 if place < 90 else 4) for place, close in enumerate(closes)]
    return bars("yahoo", DAYS, closes, splits={DAYS[30]: 2.0, DAYS[90]: 4.0}, dividends={DAYS[75]: 0.5}).head(n)


def history(n: int = LAST) -> pl.DataFrame:
    """The same name at another level, and in shares after the first split."""
    return bars("kaggle", DAYS[:n], [close / 2 * 0.9 for close in wave(n)]).with_columns(volume=pl.lit(1400.0))


def spliced(*parts: pl.DataFrame) -> Chosen:
    return choose(pl.concat(parts), {"AAPL": ("kaggle", "yahoo")})


def logged(rows: pl.DataFrame, delivered: pl.DataFrame) -> list[str]:
    log = findings_log(compare_sources(rows, delivered)).select(list(TABLES["quality_log"].schema))
    return TABLES["quality_log"].conform(log)["evidence"].to_list()


def test_the_first_vendor_that_has_a_bar_wins_the_session():
    one, two = bars("yahoo", DAYS[:5], [10, 11, 12, 13, 14]), bars("massive", DAYS[:7], [10.01, 11, 12, 13, 14, 15, 16])
    got = choose(
        pl.concat([two, one]).filter(~((pl.col("source") == "yahoo") & (pl.col("session") == DAYS[2]))), {"AAPL": ("yahoo", "massive")}
    )
    rows = got.rows.sort("session")
    assert rows["source"].to_list() == ["yahoo", "yahoo", "massive", "yahoo", "yahoo", "massive", "massive"]
    assert rows["close"][0] == 10
    assert logged(rows, pl.concat([one, two])) == []  # a tenth of a percent is no finding


@pytest.mark.parametrize("none", [None, NAN, 0.0, -1.0])
def test_a_bar_without_a_price_is_none_and_that_is_logged(none: float | None):
    one, two = bars("yahoo", DAYS[:3], [10, none, 12]), bars("massive", DAYS[:3], [10, 11, 12])
    rows = choose(pl.concat([one, two]), {"AAPL": ("yahoo", "massive")}).rows.sort("session")
    assert rows["source"].to_list() == ["yahoo", "massive", "yahoo"]
    evidence = logged(rows, pl.concat([one, two]))[0]
    shown = "no price" if none is None else str(none).replace("nan", "NaN")
    assert evidence == f"close 11.0 from massive and {shown} from yahoo: kept the first"


def test_two_vendors_that_disagree_are_logged_with_both_values():
    one, two = bars("yahoo", DAYS[:4], [10, 11, 11, 11]), bars("massive", DAYS[:4], [10, 11.5, 11, 11])
    rows = choose(pl.concat([one, two]), {"AAPL": ("yahoo", "massive")}).rows
    assert set(rows["source"]) == {"yahoo"}
    assert logged(rows, pl.concat([one, two])) == [
        "close 11.0 from yahoo and 11.5 from massive: kept the first",
        "total return 0.1 from yahoo and 0.15 from massive: kept the first",
        "total return 0.0 from yahoo and -0.04348 from massive: kept the first",
    ]


def test_a_dividend_that_one_vendor_lacks_is_logged():
    one = bars("yahoo", DAYS[:3], [10, 10, 10], dividends={DAYS[1]: 0.2})
    two = bars("massive", DAYS[:3], [10, 10, 10])
    assert logged(one, pl.concat([one, two])) == ["total return 0.02 from yahoo and 0.0 from massive: kept the first"]


def test_of_three_vendors_the_one_in_the_middle_wins():
    vendors = ("yahoo", "massive", "tiingo")
    parts = [
        bars("yahoo", DAYS[:3], [10, 100, 10]),
        bars("massive", DAYS[:3], [10.01, 10.02, 10]),
        bars("tiingo", DAYS[:3], [9.99, 10, 10]),
    ]
    rows = choose(pl.concat(parts), {"AAPL": vendors}).rows.sort("session")
    assert rows.select("close", "source").rows() == [(10.0, "yahoo"), (10.02, "massive"), (10.0, "yahoo")]
    assert "close 10.02 from massive and 100.0 from yahoo: kept the first, the median of 3" in logged(rows, pl.concat(parts))
    four = [*parts, bars("alpaca", DAYS[:3], [12, 13, 10])]
    middle = choose(pl.concat(four), {"AAPL": (*vendors, "alpaca")}).rows.sort("session")
    assert middle["source"].to_list() == ["yahoo", "massive", "yahoo"]  # of two in the middle the one listed first


def test_what_a_vendor_delivers_twice_reaches_the_gate_twice():
    twice = pl.concat([bars("yahoo", DAYS[:3], [10, 11, 12]), bars("yahoo", DAYS[1:2], [11.5])])
    got = choose(pl.concat([twice, bars("massive", DAYS[:3], [10, 11, 12])]), {"AAPL": ("yahoo", "massive")})
    assert got.rows.filter(session=DAYS[1])["close"].to_list() == [11, 11.5]
    doubled = pl.concat([traded(), traded().filter(session=DAYS[80])])
    assert spliced(history(), doubled).rows.filter(session=DAYS[80]).height == 2


def test_bars_as_traded_continue_the_history_at_its_level():
    got = spliced(history(), traded())
    assert got.refused == {}
    rows = got.rows.sort("session")
    assert rows["session"].to_list() == DAYS
    assert rows["source"].to_list() == ["kaggle"] * LAST + ["yahoo"] * (len(DAYS) - LAST)
    assert rows.select("price_basis", "split_factor", "dividend").unique().row(0) == ("adjusted", 1.0, 0.0)
    assert_frame_equal(rows.head(LAST), history(), check_exact=True)
    index = forward_adjusted(traded().lazy()).collect()["adj_close"]
    total = (index / index.shift() - 1).slice(LAST)
    assert (rows["close"] / rows["close"].shift() - 1).slice(LAST).to_list() == pytest.approx(total.to_list(), abs=1e-12)
    late = rows[100]  # after the dividend and the 4:1 split
    assert late["high"][0] / late["close"][0] == pytest.approx(1.01)
    assert late["open"][0] / late["close"][0] == pytest.approx(0.99)
    assert late["volume"][0] == 700 / 4  # in shares of the last common session
    assert rows[70]["volume"][0] == 700


def test_a_stored_bar_stands_when_new_ones_come():
    """Seen after each of the last sessions: what was there is there still, to the last digit."""
    whole = spliced(history(), traded()).rows.sort("session")
    for n in (LAST, LAST + 1, 80, 100):
        assert_frame_equal(spliced(history(), traded(n)).rows.sort("session"), whole.head(n), check_exact=True)


def test_a_hole_in_the_history_is_filled_at_its_level():
    whole = history()
    rows = spliced(whole.filter(~pl.col("session").is_in([DAYS[10], DAYS[40]])), traded()).rows.sort("session")
    filled = rows.filter(pl.col("session").is_in([DAYS[10], DAYS[40]]))
    assert filled["source"].to_list() == ["yahoo", "yahoo"]
    assert filled["close"].to_list() == pytest.approx([whole["close"][10], whole["close"][40]], rel=1e-12)
    assert filled["volume"].to_list() == [1400.0, 700.0]  # the 2:1 split between them is in the history's shares
    none = whole.with_columns(close=pl.when(session=DAYS[10]).then(NAN).otherwise("close"))
    assert spliced(none, traded()).rows.sort("session")["source"][10] == "yahoo"


def test_one_return_that_differs_refuses_the_name():
    closes = history()["close"].to_list()
    closes[25] *= 1.02
    got = spliced(bars("kaggle", DAYS[:LAST], closes), traded())
    assert got.rows.is_empty()
    told = got.refused["AAPL"]
    assert told.startswith(f"AAPL {DAYS[25]}: total return ")
    assert " from kaggle and " in told
    assert f"from yahoo (limit 1%; 2 of {LAST} sessions differ, the last {DAYS[26]}): they are not joined; correct the history" in told


def test_rounding_to_five_digits_is_no_difference():
    """On a price of 0.0003 half a step of the fifth decimal is 1.7 %, twice."""
    cheap = [round(close * 0.000003, 5) for close in wave(LAST)]
    raw = bars("yahoo", DAYS, wave(len(DAYS)))
    assert spliced(bars("kaggle", DAYS[:LAST], cheap), raw).refused == {}
    assert "AAPL" in spliced(bars("kaggle", DAYS[:LAST], [close * 1e4 for close in cheap]), raw).refused


@pytest.mark.parametrize(("overlap", "refused"), [(0, True), (19, True), (20, False)])
def test_twenty_sessions_must_be_in_both(overlap: int, refused: bool):
    got = spliced(history(), traded().filter(pl.col("session") > (DAYS[LAST - overlap - 1])))
    told = f"AAPL: {overlap} sessions are both in the history and as traded, 20 are needed to join them"
    assert got.refused.get("AAPL", "").startswith(told) == refused


def test_nothing_is_chained_over_a_session_that_nobody_has():
    got = spliced(history(), traded().filter(pl.col("session") != DAYS[70]))
    assert got.refused["AAPL"].startswith(f"AAPL {DAYS[70]}: no bar since the last common session {DAYS[LAST - 1]}")
    assert spliced(history(), traded().filter(pl.col("session") != DAYS[20])).refused == {}


def test_a_bar_without_a_price_is_chained_over_unless_it_pays():
    def without(day: dt.date) -> pl.DataFrame:
        return traded().with_columns(close=pl.when(session=day).then(NAN).otherwise("close"))

    got = spliced(history(), without(DAYS[70]))
    rows, whole = got.rows.sort("session"), spliced(history(), traded()).rows.sort("session")
    assert got.refused == {}
    assert_frame_equal(rows.filter(pl.col("session") != DAYS[70]), whole.filter(pl.col("session") != DAYS[70]), rel_tol=1e-12)
    assert rows.filter(session=DAYS[70])["close"].is_nan().all()  # for the gate
    for day, action in ((DAYS[75], "dividend 0.5"), (DAYS[90], "split factor 4.0")):
        assert action in spliced(history(), without(day)).refused["AAPL"]


def test_one_refused_name_does_not_stop_another():
    parts = [history(), traded(), history().with_columns(ticker=pl.lit("IBM")), traded(50).with_columns(ticker=pl.lit("IBM"))]
    parts[1] = parts[1].filter(pl.col("session") != DAYS[70])
    got = choose(pl.concat(parts), dict.fromkeys(("AAPL", "IBM"), ("kaggle", "yahoo")))
    assert set(got.refused) == {"AAPL"}
    assert set(got.rows["ticker"]) == {"IBM"}


def test_the_history_comes_first_and_is_the_only_one():
    got = choose(pl.concat([history(), traded()]), {"AAPL": ("yahoo", "kaggle")})
    assert got.refused["AAPL"] == (
        "AAPL: yahoo+kaggle cannot be joined, since one adjusted history comes first and bars as traded follow it; "
        "write kaggle+yahoo in the universe file."
    )
    assert "kaggle+skfolio cannot be joined" in choose(history(), {"AAPL": ("kaggle", "skfolio")}).refused["AAPL"]


def test_a_vendor_of_another_basis_than_declared_is_refused():
    with pytest.raises(SourceError, match=r"yahoo delivers adjusted prices, which splice\.ADJUSTED does not say"):
        choose(history().with_columns(source=pl.lit("yahoo")), {"AAPL": ("yahoo",)})
    assert (stored_basis(("yahoo", "massive")), stored_basis(("kaggle", "yahoo")), stored_basis(("skfolio",))) == (
        "raw",
        "adjusted",
        "adjusted",
    )
    assert [is_spliced(vendors) for vendors in (("kaggle",), ("kaggle", "yahoo"), ("yahoo", "massive"))] == [False, True, False]
