"""Liquidity against loops that follow the papers, against trades with a known spread, and turnover over a real split."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import json
import math
import statistics
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quant_assets.features.catalog import CATALOG
from quant_assets.features.compute import compute
from quant_assets.features.liquidity import FEATURES
from quant_assets.schemas import UTC
from quant_assets_tests.features.filed_shares import count, fundamentals, shares_outstanding_rows
from quant_assets_tests.features.panels import SESSIONS, N, adjusted_only, bars, quandl_sample

NAMES = tuple(feature.name for feature in FEATURES)
SPREADS = tuple(name for name in NAMES if "spread" in name)


def values(prices: pl.DataFrame, filed: pl.DataFrame | None = None) -> pl.DataFrame:
    return compute({"prices": prices, "fundamentals": shares_outstanding_rows() if filed is None else filed}, names=NAMES)


def corwin_schultz(first: dict[str, float], second: dict[str, float]) -> float:
    """The two-day estimate as the paper has it, section II.B for the overnight move."""
    high, low = second["high"], second["low"]
    if low > first["close"]:
        high, low = high - (low - first["close"]), first["close"]
    elif high < first["close"]:
        high, low = first["close"], low + (first["close"] - high)
    beta = math.log(first["high"] / first["low"]) ** 2 + math.log(high / low) ** 2
    gamma = math.log(max(first["high"], high) / min(first["low"], low)) ** 2
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / (3 - 2 * math.sqrt(2)) - math.sqrt(gamma / (3 - 2 * math.sqrt(2)))
    return max(0.0, 2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)))


def abdi_ranaldo(first: dict[str, float], second: dict[str, float]) -> float:
    close = math.log(first["close"])
    middles = [(math.log(bar["high"]) + math.log(bar["low"])) / 2 for bar in (first, second)]
    return math.sqrt(max(0.0, 4 * (close - middles[0]) * (close - middles[1])))


def test_against_loops_over_a_split_and_dividends():
    """Tolerance: a covariance near zero keeps 1e-18 of rounding, and its root 1e-9."""
    prices = bars("AAA")
    filed = shares_outstanding_rows().filter(pl.col("ticker") == "AAA").sort("known_at").to_dicts()
    prices = prices.with_columns(volume=pl.when(pl.int_range(pl.len()) % 31 == 7).then(0.0).otherwise("volume"))
    out = values(prices)
    raw = prices.to_dicts()
    growth, shares = [1.0], [1.0]
    for row in raw[1:]:
        growth.append(growth[-1] * row["split_factor"] * (1 + row["dividend"] / row["close"]))
        shares.append(shares[-1] * row["split_factor"])
    grown = [{name: row[name] * g for name in ("high", "low", "close")} for row, g in zip(raw, growth, strict=True)]
    dollars = [row["close"] * row["volume"] for row in raw]
    returns = [math.nan, *(after["close"] / before["close"] - 1 for before, after in itertools.pairwise(grown))]

    def outstanding(t: int) -> float:
        """Counts in shares of the day they were made; each split since then multiplies them."""
        told = [row for row in filed if row["known_at"].date() <= SESSIONS[t]][-1]  # at 5:00 UTC, before the close of that day
        counted = max((i for i in range(N) if SESSIONS[i] <= told["period_end"]), default=0)
        return told["value"] * shares[t] / shares[counted]

    def roll(t: int, n: int) -> float:
        here, before = returns[t - n + 1 : t + 1], returns[t - n : t]
        return 2 * math.sqrt(max(0.0, -statistics.covariance(here, before)))

    for t in range(61, N):
        last = range(t - 19, t + 1)
        usual = statistics.fmean(dollars[i] for i in last)
        expected = {
            "dollar_volume_20": usual,
            "log_dollar_volume_20": math.log10(usual),
            "amihud_20": 1e6 * statistics.fmean(abs(returns[i]) / dollars[i] for i in last if dollars[i] > 0),
            "roll_spread_20": roll(t, 20),
            "roll_spread_60": roll(t, 60),
            "corwin_schultz_spread_20": statistics.fmean(corwin_schultz(grown[i - 1], grown[i]) for i in last),
            "abdi_ranaldo_spread_20": statistics.fmean(abdi_ranaldo(grown[i - 1], grown[i]) for i in last),
            "turnover_20": statistics.fmean(raw[i]["volume"] / outstanding(i) for i in last),
            "log_market_cap": math.log10(raw[t]["close"] * outstanding(t)),
            "zero_volume_share_20": sum(raw[i]["volume"] == 0 for i in last) / 20,
        }
        assert set(expected) == set(NAMES)
        for name, value in expected.items():
            assert out[name][t] == pytest.approx(value, rel=1e-9, abs=1e-9 if "spread" in name else 1e-12), (name, t)
    assert out["zero_volume_share_20"].max() == pytest.approx(1 / 20)
    assert 0 < (out["roll_spread_20"] == 0).sum() < N / 2


def test_spreads_find_the_spread_of_made_up_trades():
    """390 trades a session around a random walk without drift, each at bid or ask, 2 % apart; the estimates lie around that.

    The tolerance is the estimators' own: 15 % is what they scatter and are biased here, where a session's walk is half the spread.
    """
    rng = np.random.default_rng(5)
    spread, trades = 0.02, 390
    middle = np.log(50) + np.cumsum(rng.normal(0, 0.01 / math.sqrt(trades), (N, trades)).ravel()).reshape(N, trades)
    price = np.exp(middle) * (1 + spread / 2 * rng.choice([-1, 1], (N, trades)))
    columns = {"open": price[:, 0], "high": price.max(axis=1), "low": price.min(axis=1), "close": price[:, -1]}
    out = values(bars("AAA", actions=False).with_columns(**{name: pl.Series(column) for name, column in columns.items()}))
    assert out["roll_spread_60"].mean() == pytest.approx(spread, rel=0.15)
    assert out["abdi_ranaldo_spread_20"].mean() == pytest.approx(spread, rel=0.15)
    assert out["corwin_schultz_spread_20"].mean() == pytest.approx(spread, rel=0.15)


def test_a_gap_overnight_is_no_spread():
    """Bars of one shape that step up 5 % every night: each is moved back to the close before, and what is left is the shape."""
    level = 1.05 ** np.arange(60)
    columns = {"open": 0.999 * level, "high": 1.001 * level, "low": 0.999 * level, "close": level}
    still = {name: np.full(60, shape[0]) for name, shape in columns.items()}
    stepping, standing = (
        values(bars("AAA", 60, actions=False).with_columns(**{name: pl.Series(column) for name, column in frame.items()}))
        for frame in (columns, still)
    )
    assert stepping["corwin_schultz_spread_20"][59] < 0.002
    assert standing["corwin_schultz_spread_20"][59] == pytest.approx(corwin_schultz(*[{k: float(v[0]) for k, v in still.items()}] * 2))


def test_a_price_that_never_moves_tells_no_spread():
    still = bars("AAA", actions=False).with_columns(open=10.0, high=10.0, low=10.0, close=10.0)
    out = values(still).row(N - 1, named=True)
    assert [out[name] for name in SPREADS] == [None] * len(SPREADS)
    assert out["amihud_20"] == 0.0
    bounce = values(still.with_columns(high=10.1, low=9.9)).row(N - 1, named=True)
    assert bounce["corwin_schultz_spread_20"] == pytest.approx(0.02, rel=1e-3)  # the range is all spread where nothing else moves
    assert bounce["abdi_ranaldo_spread_20"] < 2e-4  # the close is the middle but for logarithms


def test_where_nothing_trades():
    """The volume before is large, so that a sum that goes on by adding and taking away would leave crumbs of it."""
    rows = pl.int_range(pl.len())
    out = values(bars("AAA", 80).with_columns(volume=pl.when(rows < 30).then(1e12 / 7).otherwise(0.0)))
    last = out.row(79, named=True)
    assert last["dollar_volume_20"] == 0.0
    assert last["turnover_20"] == 0.0
    assert last["zero_volume_share_20"] == 1.0
    assert last["log_dollar_volume_20"] is None
    assert last["amihud_20"] is None
    assert out["amihud_20"][48] is not None  # one of the 20 sessions traded


def test_a_bar_without_volume_silences_its_windows_and_no_more():
    prices = bars("AAA", 120)
    out = values(prices.with_columns(volume=pl.when(pl.int_range(pl.len()) != 70).then("volume")))
    for name in ("dollar_volume_20", "log_dollar_volume_20", "amihud_20", "turnover_20", "zero_volume_share_20"):
        assert out[name][70:90].null_count() == 20, name
        assert out[name][90:].null_count() == 0, name


def test_adjusted_prices_tell_no_dollars():
    out = values(adjusted_only(bars("AAA")).with_columns(volume=1_000.0))
    for name in ("dollar_volume_20", "log_dollar_volume_20", "amihud_20"):
        assert out[name].null_count() == N, name


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_little_history_gives_null(n: int):
    looking_back = [name for name in NAMES if CATALOG[name].lookback]
    assert values(bars("AAA", n)).select(looking_back).null_count().row(0) == (n,) * len(looking_back)


def test_turnover_of_apple_over_its_split_of_2014(shared: Path):
    """861,381,000 shares of April were seven times as many from 9 June on, and the count of July, filed on the 23rd, is in new shares."""
    prices = quandl_sample(shared).filter(pl.col("ticker") == "AAPL").sort("session")
    facts = json.loads(gzip.decompress((shared / "data/fundamentals/sec/companyfacts/CIK0000320193.json.gz").read_bytes()))
    told = facts["facts"]["dei"]["EntityCommonStockSharesOutstanding"]["units"]["shares"]
    rows = []
    for one in told:
        day, filed = dt.date.fromisoformat(one["end"]), dt.date.fromisoformat(one["filed"])
        rows.append(count("AAPL", day, float(one["val"]), delay=(filed - day).days, accession=one["accn"]))
    found = values(prices, fundamentals(rows)).select("session", "turnover_20")

    def outstanding(session: dt.date) -> float:
        steps = [
            (dt.date(2014, 7, 24), 5_987_867_000),
            (dt.date(2014, 6, 9), 7 * 861_381_000),
            (dt.date(2014, 4, 25), 861_381_000),
            (dt.date(2014, 1, 29), 891_989_000),
            (dt.date(2013, 10, 31), 899_738_000),
        ]
        return next(shares for since, shares in steps if session >= since)

    days = prices.filter(pl.col("session") < dt.date(2014, 10, 1)).select("session", "volume").rows()
    assert days[0][0] == dt.date(2014, 1, 2)
    for t in range(19, len(days)):
        expected = statistics.fmean(volume / outstanding(session) for session, volume in days[t - 19 : t + 1])
        assert found["turnover_20"][t] == pytest.approx(expected, rel=1e-9), days[t][0]
    assert found["turnover_20"].drop_nulls().max() < 0.03  # the split itself would have made it seven times as much


def shares_known(rows: list[dict[str, object]], n: int = 60) -> list[float | None]:
    """1 / turnover of a name that trades one share a session: the shares it is divided by, each 20 sessions' harmonic mean."""
    prices = bars("AAA", n, actions=False).with_columns(volume=1.0)
    turnover = values(prices, fundamentals(rows))["turnover_20"]
    return [None if value is None else round(1 / value, 6) for value in turnover]


def test_only_what_was_filed_by_the_close_counts():
    early, late = count("AAA", dt.date(2009, 12, 1), 100.0), count("AAA", SESSIONS[30], 200.0)
    found = shares_known([early, late])
    known = next(t for t in range(60) if SESSIONS[t] >= late["known_at"].date())
    assert SESSIONS[30] < SESSIONS[known]
    assert set(found[19:known]) == {100.0}
    assert found[known] == pytest.approx(20 / (19 / 100 + 1 / 200))
    assert found[:known] == shares_known([early])[:known]
    assert shares_known([count("BBB", dt.date(2009, 12, 1), 100.0)]) == [None] * 60


@pytest.mark.parametrize(
    "row",
    [
        count("AAA", dt.date(2009, 9, 1), 900.0, delay=150),  # an amendment repeats an older count
        count("AAA", dt.date(2029, 1, 31), 900.0, delay=-365 * 19),  # a misprint
        count("AAA", dt.date(2010, 1, 20), 0.0),
        count("AAA", dt.date(2010, 1, 20), 900.0, unit="pure"),
        count("AAA", dt.date(2010, 1, 20), 900.0, concept="EntityPublicFloat"),
        count("AAA", dt.date(2010, 1, 20), 900.0, taxonomy="us-gaap"),
    ],
    ids=["older", "misprint", "zero", "unit", "concept", "taxonomy"],
)
def test_what_is_no_newer_count_of_shares_changes_nothing(row: dict[str, object]):
    plain = [count("AAA", dt.date(2009, 12, 1), 100.0)]
    assert shares_known([*plain, row]) == shares_known(plain)
    proper = count("AAA", dt.date(2010, 1, 20), 900.0)
    assert shares_known([*plain, proper]) != shares_known(plain)


def test_the_latest_of_two_counts_filed_together_counts():
    rows = [count("AAA", dt.date(2009, 12, 1), 100.0, delay=14), count("AAA", dt.date(2009, 12, 10), 110.0, delay=5)]
    assert rows[0]["known_at"] == rows[1]["known_at"]
    for order in (rows, rows[::-1]):
        assert set(shares_known(order)[19:]) == {110.0}


def test_who_stops_filing_has_no_turnover_in_the_end():
    found = shares_known([count("AAA", dt.date(2009, 12, 1), 100.0)], n=400)
    last = next(t for t in range(400) if (SESSIONS[t] - dt.date(2009, 12, 1)).days > 400)
    assert set(found[19:last]) == {100.0}
    assert set(found[last:]) == {None}


def test_bars_as_the_lake_stores_them_have_provenance_of_their_own():
    prices = bars("AAA", 60)
    stored = prices.with_columns(source=pl.lit("x"), known_at=pl.lit(dt.datetime(2030, 1, 1, tzinfo=dt.UTC), dtype=UTC), fetched_at=None)
    assert values(stored).equals(values(prices))
