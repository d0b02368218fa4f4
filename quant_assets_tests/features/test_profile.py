"""What a profile says of made-up features whose stability, likeness and foresight are known."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from quant_assets.features.profile import FEWEST_BLOCKS, HORIZONS, Ic, chance, fewest_sessions, population_stability, profiles
from quant_assets_tests.features.panels import SESSIONS, bars

NAMES = tuple(f"N{place}" for place in range(8))
PRICES = pl.concat([bars(name, n=500, actions=False) for name in NAMES])
CLOSES = PRICES.select("ticker", "session", "close").sort("ticker", "session")
RNG = np.random.default_rng(5)


def made_up() -> pl.DataFrame:
    """`seer` knows the next session's return with noise, `blind` knows nothing, `twin` is the blind one upside down, `mood` is the same for
    all names, `shifted` becomes another one in 2011, `rare` has few values, `none` has none."""
    ahead = (pl.col("close").shift(-1) / pl.col("close") - 1).over("ticker")
    rows = CLOSES.with_columns(ahead=ahead)
    n = rows.height
    blind = pl.Series(RNG.normal(size=n))
    mood = pl.DataFrame({"session": SESSIONS[:500], "mood": RNG.normal(size=500)})
    return (
        rows.with_columns(
            seer=pl.col("ahead").fill_null(0.0) + pl.Series(RNG.normal(0, 0.02, n)),
            blind=blind,
            twin=-(blind**3),
            shifted=pl.Series(RNG.normal(size=n)) + 3.0 * (pl.col("session").dt.year() == 2011),
            rare=pl.when(pl.int_range(pl.len()) < 50).then(1.0),
            none=pl.lit(None, dtype=pl.Float64),
        )
        .join(mood, on="session")
        .drop("close", "ahead")
    )


FEATURES = ("seer", "blind", "twin", "mood", "shifted", "rare", "none")
VALUES = made_up()
FOUND = profiles(VALUES, PRICES, FEATURES)


def test_foresight_is_seen_and_its_absence_too():
    seer, blind = FOUND["seer"].ic[0], FOUND["blind"].ic[0]
    assert seer.across
    assert seer.mean is not None
    assert seer.low is not None
    assert seer.low > 0.5
    assert blind.low is not None
    assert blind.high is not None
    assert blind.low < 0 < blind.high
    # what is known of tomorrow is a twentieth of the variance of the next twenty sessions
    assert FOUND["seer"].ic[2].mean == pytest.approx(seer.mean / math.sqrt(20), abs=0.06)


def test_the_coefficient_is_the_mean_of_the_sessions_rank_correlations():
    for horizon, ic in zip(HORIZONS, FOUND["blind"].ic, strict=True):
        ahead = CLOSES.with_columns(ahead=(pl.col("close").shift(-horizon) / pl.col("close") - 1).over("ticker"))
        both = VALUES.join(ahead, on=["ticker", "session"]).drop_nulls("ahead")
        by_day = [spearmanr(part["blind"], part["ahead"]).statistic for _, part in both.group_by("session")]
        assert ic.mean == pytest.approx(np.mean(by_day), rel=1e-9)


def test_a_feature_of_the_whole_session_is_compared_over_time():
    ic = FOUND["mood"].ic[0]
    assert not ic.across
    ahead = CLOSES.with_columns(ahead=(pl.col("close").shift(-1) / pl.col("close") - 1).over("ticker")).drop_nulls("ahead")
    market = ahead.group_by("session").agg(pl.col("ahead").mean()).join(VALUES.select("session", "mood").unique(), on="session")
    assert ic.mean == pytest.approx(spearmanr(market["mood"], market["ahead"]).statistic, rel=1e-9)


def test_likeness_is_of_ranks_and_signed():
    assert FOUND["blind"].neighbours[0] == ("twin", pytest.approx(-1.0))
    assert FOUND["none"].neighbours == ()


def test_stability_tells_a_shift():
    assert FOUND["blind"].psi[2011] < 0.1
    assert FOUND["shifted"].psi[2011] > 1.0
    assert set(FOUND["blind"].psi) == {2011}
    assert FOUND["rare"].psi == {}


def test_psi_by_hand():
    """Ten equal cells against a sample that lies in two of them, with half a case more in each cell."""
    before = np.arange(1.0, 101.0)
    after = np.array([5.0] * 50 + [95.0] * 50)
    q = [10.5 / 105] * 10
    p = [50.5 / 105, *[0.5 / 105] * 8, 50.5 / 105]
    expected = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert population_stability(before, after) == pytest.approx(expected, rel=1e-12)
    assert population_stability(np.zeros(100), np.zeros(100)) == 0.0


def test_what_is_hardly_there_is_not_measured():
    assert FOUND["rare"].share == pytest.approx(50 / VALUES.height)
    assert all(ic.mean is None for ic in (*FOUND["rare"].ic, *FOUND["none"].ic))
    assert FOUND["none"].quantiles == ()


def test_a_coefficient_says_what_it_rests_on():
    """500 sessions of 8 names, less those at the end whose return is not there yet."""
    for feature in ("blind", "mood"):
        assert [(ic.sessions, ic.names) for ic in FOUND[feature].ic] == [(500 - horizon, 8) for horizon in HORIZONS]
    assert [(ic.sessions, ic.names) for ic in FOUND["none"].ic] == [(0, 0)] * 3


def test_few_sessions_never_exclude_zero():
    assert [fewest_sessions(horizon) for horizon in HORIZONS] == [10 * 21, 10 * 21, 10 * 40]
    few, enough = (Ic(5, 0.1, 0.05, 0.15, True, sessions, 5) for sessions in (209, 210))
    assert (few.enough, few.excludes_zero) == (False, False)
    assert (enough.enough, enough.excludes_zero) == (True, True)
    assert not Ic(5, 0.1, -0.05, 0.25, True, 5_000, 5).excludes_zero
    assert FEWEST_BLOCKS == 10


def test_what_excludes_zero_is_counted_beside_what_could():
    counts = chance([FOUND[name] for name in ("seer", "blind", "rare", "none")])
    assert counts[1] == (2, 1)
    assert set(counts) == set(HORIZONS)


def test_how_often_a_flag_fires():
    flags = VALUES.select("ticker", "session", flag=(pl.int_range(pl.len()) % 4 == 0).cast(pl.Float64))
    assert profiles(flags, PRICES, ["flag"])["flag"].fires == pytest.approx(0.25)
    assert FOUND["none"].fires == 0.0
