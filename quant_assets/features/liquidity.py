"""Liquidity: what it costs to trade a name, and how much of it is traded in USD. What volume says of direction lives in `volume.py`.

Windows are of the name's own bars; the mart `liquidity` counts sessions of the exchange and is null where one of 20 has no bar. On names
without gaps both agree.
"""

from __future__ import annotations

import math

import polars as pl

from quant_assets.features.cover_shares import CONCEPT, cover_shares
from quant_assets.features.feature import CLOSES, RANGES, VOLUMES, Beside, Feature
from quant_assets.features.shared import shared
from quant_assets.features.windows import highest, mean, moved

FAMILY = "liquidity"
CLOSE, HIGH, LOW, VOLUME = pl.col("adj_close"), pl.col("adj_high"), pl.col("adj_low"), pl.col("volume")
DOLLARS = pl.when(pl.col("price_basis") == "raw").then(pl.col("close") * VOLUME)
"""Raw close x raw volume of the session: neither splits nor dividends touch it."""
BESIDE = (Beside(tables=("fundamentals",), columns=("cover_shares",), join=cover_shares),)


def amihud(sessions: int) -> pl.Expr:
    """Mean of |total return| / dollar volume over those of the last `sessions` bars that traded, times a million."""
    traded = (DOLLARS > 0).cast(pl.Float64)
    change = shared("return", CLOSE / CLOSE.shift(1) - 1).abs()
    impact = pl.when(DOLLARS > 0).then(change / DOLLARS).when(change.is_not_null() & (DOLLARS == 0)).then(0.0)
    return 1e6 * mean(impact, sessions) / mean(traded, sessions)


def roll_spread(sessions: int) -> pl.Expr:
    """Roll's effective spread, fraction of price: 2 sqrt(max(0, -cov)) of `sessions` pairs of successive simple returns, ddof 1.

    A bounce between bid and ask makes successive returns opposite. Where their covariance is positive Roll's estimate does not exist,
    and the effective one, zero, is taken (Goyenko, Holden, Trzcinka 2009).
    """
    here = CLOSE / CLOSE.shift(1) - 1
    before = here.shift(1)
    covariance = (mean(here * before, sessions) - mean(here, sessions) * mean(before, sessions)) * (sessions / (sessions - 1))
    return pl.when(moved(CLOSE, sessions + 1)).then(2 * (-covariance).clip(lower_bound=0.0).sqrt())


def ranged(sessions: int) -> pl.Expr:
    """Whether one of the last `sessions` bars has a high above its low; null while one has neither."""
    return highest(HIGH / LOW, sessions) > 1


def corwin_schultz(sessions: int) -> pl.Expr:
    """Corwin and Schultz' spread, fraction of price: mean over `sessions` of the estimate of each two bars, negative ones as 0.

    Equations 14 and 18: beta is the sum of both squared log ranges, gamma the squared log range of both bars as one,
    alpha = (sqrt(2 beta) - sqrt(beta)) / (3 - 2 sqrt(2)) - sqrt(gamma / (3 - 2 sqrt(2))), spread = 2 (e^alpha - 1) / (1 + e^alpha).
    Overnight: where the second bar lies wholly above (below) the first close, it is moved down (up) until it touches it.
    """
    k = 3 - 2 * math.sqrt(2)
    before = CLOSE.shift(1)
    overnight = (LOW - before).clip(lower_bound=0.0) - (before - HIGH).clip(lower_bound=0.0)
    high, low = HIGH - overnight, LOW - overnight
    beta = (HIGH / LOW).log().shift(1).pow(2) + (high / low).log().pow(2)
    gamma = (pl.max_horizontal(high, HIGH.shift(1)) / pl.min_horizontal(low, LOW.shift(1))).log().pow(2)
    alpha = ((2 * beta).sqrt() - beta.sqrt()) / k - (gamma / k).sqrt()
    spread = 2 * (alpha / 2).tanh()  # the same as 2 (e^alpha - 1) / (1 + e^alpha)
    return pl.when(ranged(sessions + 1)).then(mean(spread.clip(lower_bound=0.0), sessions))


def abdi_ranaldo(sessions: int) -> pl.Expr:
    """Abdi and Ranaldo's spread, fraction of price: mean over `sessions` of sqrt(max(0, 4 (c - m)(c - m'))) of each two bars.

    c is the log close of the first bar, m and m' the middle of log high and log low of the first and the second.
    """
    close = CLOSE.shift(1)
    here, after = (close / HIGH.shift(1)).log() + (close / LOW.shift(1)).log(), (close / HIGH).log() + (close / LOW).log()
    return pl.when(ranged(sessions + 1)).then(mean((here * after).clip(lower_bound=0.0).sqrt(), sessions))


TRADED_IN_USD = ("prices.close", "prices.volume", "prices.price_basis")
NO_VOLUME = "one of the 20 volumes is missing, or the name has adjusted prices only"
NO_HIGH = "one of the 21 bars has no high or low, or none of them has a range"
FRACTION = "fraction of price"

FEATURES = (
    Feature(
        name="dollar_volume_20",
        family=FAMILY,
        expression=mean(DOLLARS, 20),
        inputs=TRADED_IN_USD,
        lookback=19,
        recursive=False,
        unit="USD a session",
        low=0.0,
        formula="mean(raw close * raw volume, 20)",
        meaning="for how many dollars the name usually trades in a session",
        missing=NO_VOLUME,
        source="dollar volume at the close, as in the mart liquidity",
    ),
    Feature(
        name="log_dollar_volume_20",
        family=FAMILY,
        expression=mean(DOLLARS, 20).log(10.0),
        inputs=TRADED_IN_USD,
        lookback=19,
        recursive=False,
        unit="log10 USD a session",
        formula="log10(dollar_volume_20)",
        meaning="size of the usual trade in powers of ten: 8 is a hundred million dollars a session",
        missing=f"{NO_VOLUME}, or nothing traded in 20 sessions",
        source="dollar volume at the close, logarithm of the mean",
    ),
    Feature(
        name="amihud_20",
        family=FAMILY,
        expression=amihud(20),
        inputs=(*CLOSES, "prices.volume", "prices.price_basis"),
        lookback=20,
        recursive=False,
        unit="1/million USD",
        low=0.0,
        formula="1e6 * mean(|return| / (raw close * raw volume)) over those of 20 sessions that traded",
        meaning="how far a million dollars of trade moved the price: large is illiquid",
        missing=f"{NO_VOLUME}, or nothing traded in 20 sessions",
        source="Amihud (2002), Illiquidity and stock returns, eq. 1, total returns; sessions without trade are left out as in the mart",
    ),
    *(
        Feature(
            name=f"roll_spread_{sessions}",
            family=FAMILY,
            expression=roll_spread(sessions),
            inputs=CLOSES,
            lookback=sessions + 1,
            recursive=False,
            unit=FRACTION,
            low=0.0,
            formula=f"2 * sqrt(max(0, -cov(return, return before))) of {sessions} pairs, ddof 1",
            meaning="spread between bid and ask that the bounce of closes between them shows; 0 where they trend instead",
            missing=f"the close has not moved for {sessions + 1} sessions",
            source="Roll (1984), A simple implicit measure of the effective bid-ask spread; 0 where the covariance is positive, as in "
            "Goyenko, Holden, Trzcinka (2009), where Roll's own estimate does not exist",
        )
        for sessions in (20, 60)
    ),
    Feature(
        name="corwin_schultz_spread_20",
        family=FAMILY,
        expression=corwin_schultz(20),
        inputs=RANGES,
        lookback=20,
        recursive=False,
        unit=FRACTION,
        low=0.0,
        high=2.0,
        formula="mean of max(0, S) over 20 pairs of bars, S = 2 * (exp(a) - 1) / (1 + exp(a)), a from both ranges and their union",
        meaning="spread between bid and ask, read off highs (at the ask) and lows (at the bid)",
        missing=NO_HIGH,
        source="Corwin, Schultz (2012), A simple way to estimate bid-ask spreads from daily high and low prices, eq. 14 and 18, overnight "
        "moves taken out, negative two-day estimates as 0 before the mean",
    ),
    Feature(
        name="abdi_ranaldo_spread_20",
        family=FAMILY,
        expression=abdi_ranaldo(20),
        inputs=RANGES,
        lookback=20,
        recursive=False,
        unit=FRACTION,
        low=0.0,
        formula="mean of sqrt(max(0, 4 * (c - m) * (c - m'))) over 20 pairs of bars, c the first log close, m log mid-ranges of both",
        meaning="spread between bid and ask, read off where closes lie in the ranges around them",
        missing=NO_HIGH,
        source="Abdi, Ranaldo (2017), A simple estimation of bid-ask spreads from daily close, high, and low prices, two-day corrected",
    ),
    Feature(
        name="turnover_20",
        family=FAMILY,
        expression=mean(VOLUME / pl.col("cover_shares"), 20),
        inputs=(*VOLUMES, f"fundamentals.value:{CONCEPT}"),
        lookback=19,
        recursive=False,
        unit="fraction a session",
        low=0.0,
        formula="mean(volume / shares outstanding as known at the close, 20), shares carried over splits since they were counted",
        meaning="share of the company that changes hands in a usual session",
        missing="a volume is missing, or no count of shares of the last 400 days was filed by one of the 20 closes",
        source="share turnover; shares of the cover page of 10-K and 10-Q, dei EntityCommonStockSharesOutstanding",
    ),
    Feature(
        name="log_market_cap",
        family=FAMILY,
        expression=pl.when(pl.col("price_basis") == "raw").then((pl.col("close") * pl.col("cover_shares")).log10()),
        inputs=("prices.close", "prices.split_factor", "prices.price_basis", f"fundamentals.value:{CONCEPT}"),
        lookback=0,
        recursive=False,
        unit="log10 USD",
        formula="log10(close * shares outstanding as known at the close)",
        meaning="size of the company: 9 is a billion dollars, 12 a trillion",
        missing="the name has adjusted prices only, or no count of shares of the last 400 days was filed by the close",
        source="size as in Fama, French (1992), The Cross-Section of Expected Stock Returns, on the day's own close",
    ),
    Feature(
        name="zero_volume_share_20",
        family=FAMILY,
        expression=mean((VOLUME == 0).cast(pl.Float64), 20),
        inputs=("prices.volume",),
        lookback=19,
        recursive=False,
        unit="fraction of sessions",
        low=0.0,
        high=1.0,
        formula="number of sessions with volume 0 among the last 20 / 20",
        meaning="how often nobody traded at all: its closes of those days are quotes or copies",
        missing="one of the 20 volumes is missing",
        source="share of sessions without trade, as in the mart liquidity; a session without a bar is none of the 20",
    ),
)
