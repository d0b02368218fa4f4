"""Information coefficients, quintiles and turnover against alphalens, pandas, scipy and loops, and what the future may not change."""

from __future__ import annotations

import bisect
import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import spearmanr

from quant_assets.calendars import Window, session_offset, session_table
from quant_assets.errors import BadArgument, SchemaMismatch
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.validation.newey_west import standard_error
from quant_assets.validation.signal_quality import HORIZONS, QUANTILE_COLUMNS, by_session, forward_returns, measure, summary
from quant_assets_tests.features.panels import SESSIONS, bars

NAMES = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG")
HALTED = SESSIONS[100:108]
AS_OF = SESSIONS[259]
FIGURES = ("names", "ic", "rank_ic", *QUANTILE_COLUMNS, "spread", "turnover")


@pytest.fixture(scope="module")
def prices() -> pl.DataFrame:
    """Splits and dividends in all, a halt, a name that is often not there."""
    frames = [bars(name) for name in NAMES]
    frames[1] = frames[1].filter(~pl.col("session").is_in(HALTED))
    frames[2] = frames[2].sample(fraction=0.8, seed=5)
    return pl.concat(frames)


@pytest.fixture(scope="module")
def scores(prices: pl.DataFrame) -> pl.DataFrame:
    """One digit, so with ties; now and then none."""
    rng = np.random.default_rng(8)
    drawn = prices.select("ticker", "session").with_columns(score=pl.Series(rng.normal(size=prices.height).round(1)))
    return drawn.with_columns(pl.when(pl.Series(rng.random(prices.height) < 0.95)).then("score").alias("score"))


@pytest.fixture(scope="module")
def days(scores: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    return measure(scores, prices.lazy(), since=SESSIONS[0], as_of=AS_OF)


def panel(values: dict[str, list[float | None]], name: str) -> pl.DataFrame:
    """ticker, session and one value a session."""
    rows = [(ticker, SESSIONS[day], value) for ticker, listed in values.items() for day, value in enumerate(listed)]
    return pl.DataFrame(rows, schema={"ticker": pl.String, "session": pl.Date, name: pl.Float64}, orient="row")


@pytest.fixture(scope="module")
def published(shared: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The published case, and our rows of its panel over one session."""
    folder = shared / "reference"
    case = next(one for one in json.loads((folder / "17_ic_panel.json").read_text())["cases"] if one["id"] == "ic_panel")
    factor, price = (
        pl.read_csv(folder / f"17_{name}.csv")
        .rename({"": "session"})
        .with_columns(pl.col("session").str.head(10).str.to_date())
        .unpivot(index="session", variable_name="ticker", value_name=name)
        for name in ("factor", "prices")
    )
    ahead = price.sort("ticker", "session").select(
        "ticker", "session", ret_1=pl.col("prices").shift(-1).over("ticker") / pl.col("prices") - 1
    )
    return case, by_session(factor.rename({"factor": "score"}), ahead, horizons=(1,))


def test_every_published_figure(published: tuple[dict[str, Any], pl.DataFrame]):
    """alphalens-reloaded 0.5.1, numpy and scipy. The last session has no return and is left out, as there."""
    case, ours = published
    expected, exact = case["expected"], case["tolerance"]["abs"]
    known = ours.filter(pl.col("names") > 0)
    assert known["ic"].to_list() == pytest.approx(expected["ic"], abs=exact)
    assert known["rank_ic"].to_list() == pytest.approx(expected["rank_ic"], abs=exact)
    told = summary(known).row(0, named=True)
    assert told["sessions"] == expected["n_dates"]
    for name in ("ic", "rank_ic"):
        assert told[name] == pytest.approx(expected[f"{name}_mean"], abs=exact)
        assert told[f"{name}_std"] == pytest.approx(expected[f"{name}_std_ddof1"], abs=exact)
    assert told["ic_ir"] == pytest.approx(expected["icir"], abs=exact)
    assert told["rank_ic_ir"] == pytest.approx(expected["rank_icir"], abs=exact)
    assert told["ic"] / standard_error(known["ic"].to_numpy(), 0) == pytest.approx(expected["ic_t"], abs=exact)
    for place, mean in expected["quantile_mean_returns"].items():
        assert told[f"q{place}"] == pytest.approx(mean, abs=exact)
    assert told["spread"] == pytest.approx(expected["spread_q5_q1"], abs=exact)
    assert told["turnover"] == pytest.approx(expected["top_turnover_mean"], abs=exact)


def test_published_ties(shared: Path):
    case = next(one for one in json.loads((shared / "reference/17_ic_panel.json").read_text())["cases"] if one["id"] == "rank_ic_ties")
    score, ret = (panel({name: [value] for name, value in zip("ABCDE", case["inputs"][key], strict=True)}, name_of) for key, name_of in
                  (("factor", "score"), ("ret", "ret_1")))  # fmt: skip
    [day] = by_session(score, ret, horizons=(1,)).to_dicts()
    assert day["rank_ic"] == pytest.approx(case["expected"]["rank_ic"], abs=case["tolerance"]["abs"])
    assert day["ic"] == pytest.approx(case["expected"]["pearson"], abs=case["tolerance"]["abs"])


@pytest.mark.parametrize("horizon", HORIZONS)
def test_returns_are_those_of_labels(prices: pl.DataFrame, horizon: int):
    """The same holding-period return, bit for bit, with its nulls: of halts, of gaps, of ends after as_of."""
    calendar = session_table(Window(SESSIONS[0], session_offset(AS_OF, 30)))
    labels = forward_return_labels(prices.lazy(), calendar, horizon=horizon, as_of=AS_OF).select("ticker", "session", "ret")
    ours = forward_returns(prices.lazy(), as_of=AS_OF).select("ticker", "session", ret=f"ret_{horizon}")
    assert_frame_equal(ours, labels, check_exact=True)
    assert ours["ret"].null_count() > horizon * len(NAMES)


def test_a_bar_on_a_holiday_is_refused(prices: pl.DataFrame):
    [saturday] = (day for n in range(7) if (day := SESSIONS[0] + dt.timedelta(days=n)).weekday() == 5)
    wrong = prices.filter(ticker="AAA").with_columns(session=pl.when(pl.col("session") == SESSIONS[0]).then(saturday).otherwise("session"))
    with pytest.raises(BadArgument, match=f"AAA {saturday}: a bar on a day that is no session"):
        forward_returns(wrong.lazy(), as_of=AS_OF)


def test_each_session_against_a_loop(scores: pl.DataFrame, prices: pl.DataFrame, days: pl.DataFrame):
    """scipy's Spearman, numpy's Pearson and quintiles by bisection, name by name; every third session of two horizons."""
    returns = forward_returns(prices.lazy(), as_of=AS_OF)
    every = scores.drop_nulls("score").join(returns, on=["ticker", "session"])
    sessions = every["session"].unique().sort().to_list()
    tops: dict[Any, set[str]] = {}
    for session in sessions:
        part = every.filter(session=session).sort("score")
        edges = np.quantile(part["score"], [0.2, 0.4, 0.6, 0.8])
        tops[session] = {name for name, score in part.select("ticker", "score").iter_rows() if score > edges[3]}
    for horizon in (1, 5):
        found = {row["session"]: row for row in days.filter(horizon=horizon).iter_rows(named=True)}
        for place, session in list(enumerate(sessions))[::3]:
            part = every.filter(session=session)
            edges = list(np.quantile(part["score"], [0.2, 0.4, 0.6, 0.8]))
            quintile = [bisect.bisect_left(edges, score) for score in part["score"]]
            both = part.drop_nulls(f"ret_{horizon}")
            row = found[session]
            assert row["scored"] == part.height
            if row["ends"] > AS_OF:
                assert (row["names"], row["ic"], row["spread"]) == (None, None, None)
                continue
            assert row["names"] == both.height
            if both.height >= 5:
                x, y = both["score"].to_numpy(), both[f"ret_{horizon}"].to_numpy()
                assert row["rank_ic"] == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
                assert row["ic"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
            for of, name in enumerate(QUANTILE_COLUMNS):
                inside = [ret for ret, own in zip(part[f"ret_{horizon}"], quintile, strict=True) if own == of and ret is not None]
                assert row[name] == (pytest.approx(np.mean(inside), abs=1e-12) if inside else None)
            before = tops[sessions[place - horizon]] if place >= horizon else set()
            now = tops[session]
            assert row["turnover"] == (pytest.approx(len(now - before) / len(now)) if now and before else None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(5, 300), st.integers(0, 10**6))
def test_quintiles_are_those_of_pandas(n: int, seed: int):
    values = np.random.default_rng(seed).normal(size=n)
    names = [f"N{place:03}" for place in range(n)]
    ours = by_session(
        panel(dict(zip(names, ([value] for value in values), strict=True)), "score"),
        panel({name: [float(place)] for place, name in enumerate(names)}, "ret_1"),
        horizons=(1,),
    )
    theirs = pd.Series(np.arange(n, dtype=float)).groupby(pd.qcut(values, 5, labels=False)).mean()
    assert ours.select(QUANTILE_COLUMNS).row(0) == pytest.approx(theirs.to_list(), rel=1e-12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-20, 20)), min_size=5, max_size=20))
def test_turned_over_scores_turn_the_coefficients(pairs: list[tuple[int, int]]):
    """And another unit changes nothing."""
    names = [f"N{place}" for place in range(len(pairs))]
    ret = panel({name: [value / 100] for name, (_, value) in zip(names, pairs, strict=True)}, "ret_1")
    score = panel({name: [float(value)] for name, (value, _) in zip(names, pairs, strict=True)}, "score")
    [plain], [turned], [scaled] = (
        by_session(score.with_columns(change), ret, horizons=(1,)).to_dicts()
        for change in (pl.col("score"), -pl.col("score"), 4 * pl.col("score") + 8)
    )
    for name in ("ic", "rank_ic"):
        if plain[name] is None:
            assert (turned[name], scaled[name]) == (None, None)
        else:
            assert -1 - 1e-12 <= plain[name] <= 1 + 1e-12
            assert turned[name] == pytest.approx(-plain[name], abs=1e-12)
            assert scaled[name] == pytest.approx(plain[name], abs=1e-12)
    assert [scaled[name] for name in QUANTILE_COLUMNS] == [plain[name] for name in QUANTILE_COLUMNS]


def test_what_is_not_defined_is_null():
    ret = panel({name: [0.01 * place] for place, name in enumerate("ABCDEF")}, "ret_1")

    def day(values: list[float | None], returns: pl.DataFrame = ret) -> dict[str, Any]:
        [row] = by_session(
            panel(dict(zip("ABCDEF", ([value] for value in values), strict=True)), "score"), returns, horizons=(1,)
        ).to_dicts()
        return row

    few = day([1, 2, 3, 4, None, float("nan")])
    assert (few["scored"], few["names"], few["ic"], few["rank_ic"]) == (4, 4, None, None)
    assert few["spread"] is not None
    same = day([0.1] * 6)  # the mean of six times 0.1 is not 0.1
    assert (same["ic"], same["rank_ic"], same["q1"], same["q5"], same["spread"]) == (None, None, pytest.approx(0.025), None, None)
    flat = day([1, 2, 3, 4, 5, 6], ret.with_columns(ret_1=pl.lit(0.1)))
    assert (flat["ic"], flat["rank_ic"], flat["spread"]) == (None, None, 0.0)


def test_turnover_looks_back_by_the_horizon():
    """The two highest of ten names in each of four sessions."""
    top = ["IJ", "IH", "GF", "IJ"]
    score = panel({name: [float(name in names) + place / 100 for names in top] for place, name in enumerate("ABCDEFGHIJ")}, "score")
    ret = score.select("ticker", "session", ret_1=pl.lit(0.0), ret_2=pl.lit(0.0))
    found = by_session(score, ret, horizons=(1, 2))
    assert found.filter(horizon=1)["turnover"].to_list() == [None, 0.5, 1.0, 1.0]
    assert found.filter(horizon=2)["turnover"].to_list() == [None, None, 1.0, 0.5]


def test_repeated_rows_are_refused(scores: pl.DataFrame, prices: pl.DataFrame):
    returns = forward_returns(prices.lazy(), as_of=AS_OF)
    twice = scores.filter(ticker="EEE", session=SESSIONS[50]).with_columns(score=pl.lit(0.3))
    with pytest.raises(SchemaMismatch, match=f"EEE {SESSIONS[50]}: more than one score"):
        by_session(pl.concat([scores, twice]), returns)


def test_no_score_is_no_row_and_a_session_without_any_is_said(prices: pl.DataFrame):
    nothing = panel({}, "score")
    assert by_session(nothing, forward_returns(prices.lazy(), as_of=AS_OF)).is_empty()
    dated = measure(nothing, prices.lazy(), since=SESSIONS[255], as_of=AS_OF)
    assert dated.group_by("horizon").len()["len"].to_list() == [5] * 5
    assert dated["scored"].to_list() == [0] * 25
    assert dated.filter(pl.col("ends") <= AS_OF)["names"].to_list() == [0] * 6
    assert dated["ic"].null_count() == 25


def test_a_row_is_null_until_its_horizon_has_ended_and_constant_from_then_on(
    scores: pl.DataFrame, prices: pl.DataFrame, days: pl.DataFrame
):
    early = SESSIONS[180]
    then = measure(scores, prices.lazy(), since=SESSIONS[0], as_of=early)
    same = days.filter(pl.col("session") <= early)
    ended = pl.col("ends") <= early
    assert_frame_equal(then.filter(ended), same.filter(ended), check_exact=True)
    open_then = then.filter(~ended)
    assert open_then.height == sum(HORIZONS)
    assert all(open_then[name].null_count() == open_then.height for name in FIGURES if name != "turnover")
    assert_frame_equal(open_then.select("scored", "turnover"), same.filter(~ended).select("scored", "turnover"), check_exact=True)


def test_a_corrupted_future_changes_nothing_that_had_ended(scores: pl.DataFrame, prices: pl.DataFrame, days: pl.DataFrame):
    cut = SESSIONS[200]
    later = pl.col("session") > cut
    other = prices.with_columns(pl.when(later).then(pl.col("close") * 3).otherwise("close").alias("close"))
    shuffled = scores.with_columns(pl.when(later).then(-pl.col("score")).otherwise("score").alias("score"))
    found = measure(shuffled, other.lazy(), since=SESSIONS[0], as_of=AS_OF)
    ended = pl.col("ends") <= cut
    assert_frame_equal(found.filter(ended), days.filter(ended), check_exact=True)
    assert not found.equals(days)


def test_a_summary_is_of_the_sessions_in_order(days: pl.DataFrame):
    years = days.with_columns(half=pl.col("session").dt.month() > 6)
    told = summary(years.sample(fraction=1, shuffle=True, seed=1), "half")
    assert told.select("horizon", "half").rows() == [(horizon, half) for horizon in HORIZONS for half in (False, True)]
    for row in told.iter_rows(named=True):
        part = years.filter(horizon=row["horizon"], half=row["half"]).sort("session")
        series = part["rank_ic"].drop_nulls().to_numpy()
        lag = max(row["horizon"] - 1, 3 if series.size < 100 else 4)
        assert row["sessions"] == series.size
        assert row["rank_ic"] == pytest.approx(series.mean(), rel=1e-12)
        assert row["rank_ic_se"] == standard_error(series, lag)
        assert row["rank_ic_t"] == pytest.approx(series.mean() / standard_error(series, lag), rel=1e-12)
        assert row["q5"] == pytest.approx(part["q5"].mean(), rel=1e-12)
        assert row["names"] == pytest.approx(part["names"].mean(), rel=1e-12)


def test_a_summary_of_little_says_little(days: pl.DataFrame):
    short = days.filter(pl.col("session") < SESSIONS[10], horizon=20)
    [row] = summary(short).to_dicts()
    assert row["sessions"] == 10
    assert row["ic"] is not None
    assert (row["ic_se"], row["ic_t"]) == (None, None)
    [none] = summary(days.filter(session=AS_OF, horizon=20)).to_dicts()
    assert {value for name, value in none.items() if name not in ("horizon", "sessions", "turnover")} == {None}
    assert none["sessions"] == 0
    assert summary(days.clear(), "scored").is_empty()
    constant = short.with_columns(ic=pl.lit(0.25), horizon=pl.lit(1, dtype=pl.Int64))
    [row] = summary(constant).to_dicts()
    assert (row["ic"], row["ic_std"], row["ic_se"], row["ic_ir"], row["ic_t"]) == (0.25, 0.0, 0.0, None, None)
