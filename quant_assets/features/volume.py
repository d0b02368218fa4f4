"""Volume: how much was traded against what is usual for the name, and on which side. What a trade costs lives in `liquidity.py`.

On-balance volume and the accumulation/distribution line are sums since the first stored bar: their level says when storage began, and
nothing else. Here they appear as what does not depend on it: change, slope, divergence, each over volume of the same sessions.

Shares are those of one split basis. Prices that only say which way or where in the bar the session ended are split-adjusted and without
dividends, as on a chart: an ex-dividend day is a fall. The VWAP is of total-return prices, as every average price here.
"""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.averages import TYPICAL
from quant_assets.features.complete import over_complete
from quant_assets.features.feature import FLAG, RANGES, USD, VOLUMES, Feature
from quant_assets.features.windows import deviation, mean, total, weighted_sum

FAMILY = "volume"
VOLUME = pl.col("adj_volume")
PRICE = pl.col("close") * pl.col("split_growth")
"""Close in USD of the first bar's share, dividends left out."""
POSSIBLE_HIGH = pl.when(pl.col("close").is_between("low", "high")).then("high")
"""The high; null where the close is outside its bar, which then says nothing about where in the range it closed."""
SPIKE = 2.0


def over_volume(values: pl.Expr, sessions: int) -> pl.Expr:
    """The values over the mean volume of the last `sessions` bars; null where nothing traded in them."""
    usual = mean(VOLUME, sessions)
    return pl.when(usual > 0).then(values / usual)


def share_of_volume(values: pl.Expr, sessions: int) -> pl.Expr:
    """Sum of the values over the sum of the volume, both of the last `sessions` bars; null where nothing traded in them."""
    traded = total(VOLUME, sessions)
    return pl.when(traded > 0).then(total(values, sessions) / traded)


def volume_ratio(sessions: int) -> pl.Expr:
    """Volume over the mean of the `sessions` sessions before it, today excluded, in shares of one split basis."""
    return VOLUME / mean(VOLUME, sessions).shift(1)


def volume_z(sessions: int) -> pl.Expr:
    """Volume less the mean of the `sessions` sessions before it, today excluded, over their standard deviation (ddof 1)."""
    usual, scatter = mean(VOLUME, sessions).shift(1), deviation(VOLUME, sessions).shift(1)
    # a split leaves equal volumes equal but for rounding
    return pl.when(scatter > 1e-12 * usual).then((VOLUME - usual) / scatter)


def volume_spike(sessions: int, times: float) -> pl.Expr:
    """1 where the volume ratio is above `times`, 0 where not, null where there is no ratio."""
    ratio = volume_ratio(sessions)
    return pl.when(ratio.is_finite()).then((ratio > times).cast(pl.Float64))


def signed_volume() -> pl.Expr:
    """Shares of the session, negative where it closed below the close before, 0 where at it: the daily change of on-balance volume."""
    return (PRICE - PRICE.shift(1)).sign() * VOLUME


def money_flow_volume() -> pl.Expr:
    """Volume x ((close - low) - (high - close)) / (high - low), 0 where high is low: the daily change of Chaikin's A/D line."""
    high, low, close = POSSIBLE_HIGH, pl.col("low"), pl.col("close")
    where = pl.when(high > low).then((2 * close - low - high) / (high - low)).when(high == low).then(0.0)
    return where * VOLUME


def slope_of_sum(changes: pl.Expr, sessions: int) -> pl.Expr:
    """Least-squares slope, a session, of the last `sessions` points of the running sum of the changes.

    Written in the last `sessions` - 1 changes, because a sum since the first bar loses digits with every year: with n points the change
    that leads to point j (from 0) weighs 6 j (n - j) / (n (n^2 - 1)), and the weights sum to 1.
    """
    n = sessions
    weights = [6 * j * (n - j) / (n * (n * n - 1)) for j in range(1, n)]
    return weighted_sum(changes, weights)


def price_volume_divergence(sessions: int) -> pl.Expr:
    """1 where the price rose over the sessions and OBV fell, -1 where the price fell and OBV rose, else 0."""
    price, balance = (PRICE - PRICE.shift(sessions)).sign(), total(signed_volume(), sessions).sign()
    apart = pl.when(price * balance < 0).then(price).otherwise(0.0)
    return pl.when((total(VOLUME, sessions) > 0) & price.is_not_null() & balance.is_not_null()).then(apart)


def chaikin_oscillator() -> pl.Expr:
    """TA-Lib's ADOSC(3, 10) in shares, over the bars that have high, low and volume, and a close between them."""
    columns = POSSIBLE_HIGH, pl.col("low"), pl.col("close"), VOLUME

    def kernel(high: pl.Expr, low: pl.Expr, close: pl.Expr, volume: pl.Expr) -> pl.Expr:
        value: pl.Expr = talib.adosc(high, low, close, volume, 3, 10)
        return value

    return over_complete(kernel, *columns)


def vwap(sessions: int) -> pl.Expr:
    """Mean of (high + low + close) / 3 weighted with volume, total-return USD of the first bar's share; null where nothing traded."""
    return share_of_volume(TYPICAL * VOLUME, sessions)


DIRECTED = ("prices.close", *VOLUMES)
IN_RANGE = ("prices.high", "prices.low", *DIRECTED)
PRICED = (*RANGES, "prices.volume")
NO_TRADE = "a volume of the window is missing, or nothing traded in it"
NO_RANGE = "a high, low or volume of the window is missing, or nothing traded in it"
NO_PLACE = f"{NO_RANGE}, or a close is outside its bar"
NO_PLACE_NOW = f"the bar has no high or low or its close is outside them; {NO_TRADE}"
OBV_SOURCE = "Granville (1963), New Key to Stock Market Profits; changes of TA-Lib OBV, split-adjusted closes without dividends"
AD_SOURCE = "Chaikin's accumulation/distribution; changes of TA-Lib AD: a bar without a range counts 0"
VWAP_SOURCE = (
    "daily proxy of the volume-weighted average price: a bar's trades are taken to be at its typical price (high + low + close) / 3"
)

FEATURES = (
    Feature(
        name="volume_ratio_20",
        family=FAMILY,
        expression=volume_ratio(20),
        inputs=VOLUMES,
        lookback=20,
        recursive=False,
        unit="ratio",
        low=0.0,
        formula="volume / mean(volume of the 20 sessions before)",
        meaning="shares traded over the average of the 20 sessions before: 2 is twice the usual trade",
        missing="one of the 21 volumes is missing, or nothing traded in the 20 sessions before",
        source="relative volume; splits are undone, dividends are not volume",
    ),
    Feature(
        name="volume_z_20",
        family=FAMILY,
        expression=volume_z(20),
        inputs=VOLUMES,
        lookback=20,
        recursive=False,
        unit="standard deviations",
        formula="(volume - mean) / std, both of the 20 sessions before, std with ddof 1",
        meaning="how unusual the number of shares traded is for the name: above 3 something has happened",
        missing="one of the 21 volumes is missing, or the 20 before are all the same",
        source="z-score against the sessions before, today excluded as in volume_ratio_20, ddof 1",
    ),
    Feature(
        name="volume_spike",
        family=FAMILY,
        expression=volume_spike(20, SPIKE),
        inputs=VOLUMES,
        lookback=20,
        recursive=False,
        unit=FLAG,
        low=0.0,
        high=1.0,
        formula="volume_ratio_20 > 2",
        meaning="more than twice the usual trade",
        missing="volume_ratio_20 is",
        source="relative volume above 2, today excluded from the average",
    ),
    Feature(
        name="obv_change_20",
        family=FAMILY,
        expression=share_of_volume(signed_volume(), 20),
        inputs=DIRECTED,
        lookback=20,
        recursive=False,
        unit="fraction of volume",
        low=-1.0,
        high=1.0,
        formula="(OBV[t] - OBV[t-20]) / sum(volume, 20)",
        meaning="share of 20 sessions' volume traded on rises less the share traded on falls: 1 all on rises",
        missing=NO_TRADE,
        source=OBV_SOURCE,
    ),
    Feature(
        name="obv_slope_10",
        family=FAMILY,
        expression=over_volume(slope_of_sum(signed_volume(), 10), 20),
        inputs=DIRECTED,
        lookback=19,
        recursive=False,
        unit="sessions' volume a session",
        formula="least-squares slope of the last 10 OBV / mean(volume, 20)",
        meaning="how fast volume gathers on rises (+) or on falls (-), in usual sessions' volume a session",
        missing=NO_TRADE,
        source=OBV_SOURCE,
    ),
    Feature(
        name="ad_slope_10",
        family=FAMILY,
        expression=over_volume(slope_of_sum(money_flow_volume(), 10), 20),
        inputs=IN_RANGE,
        lookback=19,
        recursive=False,
        unit="sessions' volume a session",
        formula="least-squares slope of the last 10 of the A/D line / mean(volume, 20)",
        meaning="how fast volume gathers in bars that close high in their range (+) or low in it (-)",
        missing=NO_PLACE,
        source=AD_SOURCE,
    ),
    Feature(
        name="chaikin_oscillator",
        family=FAMILY,
        expression=over_volume(chaikin_oscillator(), 20),
        inputs=IN_RANGE,
        lookback=19,
        recursive=True,
        unit="sessions' volume",
        formula="(EMA(A/D, 3) - EMA(A/D, 10)) / mean(volume, 20)",
        meaning="whether accumulation is gaining (+) or losing (-) speed, in usual sessions' volume",
        missing=NO_PLACE_NOW,
        source=f"{AD_SOURCE}; TA-Lib ADOSC(3, 10), averages seeded with the first value, so that the level of the line drops out",
    ),
    Feature(
        name="cmf_20",
        family=FAMILY,
        expression=share_of_volume(money_flow_volume(), 20),
        inputs=IN_RANGE,
        lookback=19,
        recursive=False,
        unit="fraction of volume",
        low=-1.0,
        high=1.0,
        formula="sum(volume * ((close - low) - (high - close)) / (high - low), 20) / sum(volume, 20)",
        meaning="whether sessions closed near their high (towards 1) or low (towards -1), those of much volume counting more",
        missing=NO_PLACE,
        source=f"Chaikin money flow: the change of the A/D line over its volume; {AD_SOURCE}",
    ),
    Feature(
        name="vwap_20",
        family=FAMILY,
        expression=pl.when(pl.col("price_basis") == "raw").then(vwap(20) / pl.col("growth")),
        inputs=(*PRICED, "prices.price_basis"),
        lookback=19,
        recursive=False,
        unit=USD,
        low=0.0,
        formula="sum(typical price * volume, 20) / sum(volume, 20) / growth, typical price (high + low + close) / 3",
        meaning="what a share bought in the last 20 sessions cost on average, in prices of this session",
        missing=f"{NO_RANGE}, or the name has adjusted prices only",
        source=VWAP_SOURCE,
    ),
    Feature(
        name="vwap_20_distance",
        family=FAMILY,
        expression=pl.col("adj_close") / vwap(20) - 1,
        inputs=PRICED,
        lookback=19,
        recursive=False,
        unit="fraction",
        low=-1.0,
        formula="close / VWAP(20) - 1",
        meaning="what buyers of the last 20 sessions have gained (+) or lost (-) on average",
        missing=NO_RANGE,
        source=VWAP_SOURCE,
    ),
    Feature(
        name="price_volume_divergence",
        family=FAMILY,
        expression=price_volume_divergence(10),
        inputs=DIRECTED,
        lookback=10,
        recursive=False,
        unit="-1, 0 or 1",
        low=-1.0,
        high=1.0,
        formula="sign(close[t] - close[t-10]) where sign(OBV[t] - OBV[t-10]) is its opposite, else 0",
        meaning="1: the price rose over 10 sessions while volume was on the falls; -1: it fell while volume was on the rises",
        missing=NO_TRADE,
        source=f"the sign is the price's; {OBV_SOURCE}",
    ),
)
