"""Candlesticks: TA-Lib's 61 patterns of one to five bars. Shapes that need a trend or volume besides live in `patterns.py`.

+1 is a pattern that its author calls bullish, -1 bearish, 0 none; a one-bar shape without a direction of its own (doji, long line,
marubozu) has the colour of its body, a doji always +1. TA-Lib grades two groups further. An engulfing or harami of which one end is
level is 80 there and counts in full here; a hikkake is 100 when it appears and 200 on the bar, up to three later, that confirms it, and
those are two features here.

Long, short, near and equal are against the mean body or range of the 5 or 10 bars *before* each candle, so most patterns look back 10
bars beyond their own. TA-Lib keeps running sums of them, and those are exact: differences of prices are multiples of the last binary
place of a price, and ten of them do not outgrow it. A window therefore gives the same pattern as the whole history.

Bars are adjusted for splits and dividends: an ex-dividend opening is not a gap. Bars that miss a field are passed over.
"""

from __future__ import annotations

import polars as pl
import polars_talib as talib

from quant_assets.features.complete import over_complete
from quant_assets.features.feature import CLOSES, FLAG, Feature

FAMILY = "candlesticks"
SIGNED = "-1, 0 or 1"
FIELDS = {"o": "open", "h": "high", "l": "low", "c": "close"}

Row = tuple[str, str, str, int, int, int, str]
PATTERNS: tuple[Row, ...] = (
    # name, TA-Lib's function, the fields it reads, look-back, least and greatest value, the shape
    ("two_crows", "2crows", "oc", 12, -1, 0, "long white, a black that gaps above it, a black back into the white"),
    ("three_black_crows", "3blackcrows", "ohlc", 13, -1, 0, "after a white three blacks, each from within the last to its low"),
    ("three_inside", "3inside", "oc", 12, -1, 1, "harami that the third bar confirms by closing beyond the first open"),
    ("three_line_strike", "3linestrike", "ohlc", 8, -1, 1, "three bars of one colour that step on, and a fourth that undoes all three"),
    ("three_outside", "3outside", "oc", 3, -1, 1, "engulfing that the third bar confirms by closing further on"),
    ("three_stars_in_south", "3starsinsouth", "ohlc", 12, 0, 1, "three ever smaller blacks with ever higher lows: selling that dries up"),
    ("three_white_soldiers", "3whitesoldiers", "ohlc", 12, 0, 1, "three whites, each from within the last to a higher close at its high"),
    ("abandoned_baby", "abandonedbaby", "ohlc", 12, -1, 1, "long bar, a doji alone between gaps, a bar back into the first"),
    ("advance_block", "advanceblock", "ohlc", 12, -1, 0, "three rising whites that lose force: smaller bodies, longer upper shadows"),
    ("belt_hold", "belthold", "ohlc", 10, -1, 1, "long bar that opens at its extreme: no shadow on the side of the open"),
    ("breakaway", "breakaway", "ohlc", 14, -1, 1, "long bar, a gap on, two bars further, a fifth that closes inside the gap"),
    ("closing_marubozu", "closingmarubozu", "ohlc", 10, -1, 1, "long bar that closes at its extreme, in the colour of the bar"),
    ("concealing_baby_swallow", "concealbabyswall", "ohlc", 13, 0, 1, "two black marubozu, one that trades back up, one that engulfs it"),
    ("counterattack", "counterattack", "ohlc", 11, -1, 1, "long bar against long bar of the other colour, both closing at one price"),
    ("dark_cloud_cover", "darkcloudcover", "ohc", 11, -1, 0, "black from above a long white's high into the lower half of its body"),
    ("doji", "doji", "ohlc", 10, 0, 1, "close where it opened: a body under a tenth of the usual range"),
    ("doji_star", "dojistar", "ohlc", 11, -1, 1, "doji that gaps away from a long body: -1 above a white, +1 below a black"),
    ("dragonfly_doji", "dragonflydoji", "ohlc", 10, 0, 1, "doji at its high with a lower shadow"),
    ("engulfing", "engulfing", "oc", 2, -1, 1, "body that covers the opposite body before it, in the colour of the new bar"),
    ("evening_doji_star", "eveningdojistar", "ohlc", 12, -1, 0, "long white, a doji that gaps above it, a black back into it"),
    ("evening_star", "eveningstar", "oc", 12, -1, 0, "long white, a small body that gaps above it, a black back into it"),
    ("gap_side_by_side_white", "gapsidesidewhite", "ohlc", 7, -1, 1, "two like whites side by side beyond a gap, in its direction"),
    ("gravestone_doji", "gravestonedoji", "ohlc", 10, 0, 1, "doji at its low with an upper shadow"),
    ("hammer", "hammer", "ohlc", 11, 0, 1, "small body on a long lower shadow, near or under the low before"),
    ("hanging_man", "hangingman", "ohlc", 11, -1, 0, "small body on a long lower shadow, near or above the high before"),
    ("harami", "harami", "oc", 11, -1, 1, "small body within the long body before it, against that bar's colour"),
    ("harami_cross", "haramicross", "ohlc", 11, -1, 1, "doji within the long body before it, against that bar's colour"),
    ("high_wave", "highwave", "ohlc", 10, -1, 1, "small body between two very long shadows, in the colour of the bar"),
    ("hikkake", "hikkake", "hlc", 5, -1, 1, "break of an inside day that may be false: a bull trap is bearish"),
    ("hikkake_confirmed", "hikkake", "hlc", 5, -1, 1, "break of the other side of the inside day within three bars of a hikkake"),
    ("hikkake_modified", "hikkakemod", "hlc", 10, -1, 1, "hikkake after a bar that closed near its extreme"),
    ("hikkake_modified_confirmed", "hikkakemod", "hlc", 10, -1, 1, "break of the other side within three bars of a modified hikkake"),
    ("homing_pigeon", "homingpigeon", "oc", 11, 0, 1, "small black body within a long black one: selling that tires"),
    ("identical_three_crows", "identical3crows", "ohlc", 12, -1, 0, "three blacks, each from the close before down to its low"),
    ("in_neck", "inneck", "ohlc", 11, -1, 0, "white from under a long black's low that ends at its close"),
    ("inverted_hammer", "invertedhammer", "ohlc", 11, 0, 1, "small body under a long upper shadow, gapping down"),
    ("kicking", "kicking", "ohlc", 11, -1, 1, "marubozu and one of the other colour beyond a gap, in the colour of the second"),
    ("kicking_by_length", "kickingbylength", "ohlc", 11, -1, 1, "kicking, in the colour of the longer of the two"),
    ("ladder_bottom", "ladderbottom", "ohlc", 14, 0, 1, "three falling blacks, a fourth with an upper shadow, a white gapping up"),
    ("long_legged_doji", "longleggeddoji", "ohlc", 10, 0, 1, "doji with one or two long shadows"),
    ("long_line", "longline", "ohlc", 10, -1, 1, "long body between short shadows, in the colour of the bar"),
    ("marubozu", "marubozu", "ohlc", 10, -1, 1, "long body without shadows, in the colour of the bar"),
    ("matching_low", "matchinglow", "ohlc", 6, 0, 1, "two blacks that close at one price: a floor"),
    ("mat_hold", "mathold", "ohc", 14, 0, 1, "long white, a gap up, three small bars that hold it, a white to a new high"),
    ("morning_doji_star", "morningdojistar", "ohlc", 12, 0, 1, "long black, a doji that gaps below it, a white back into it"),
    ("morning_star", "morningstar", "oc", 12, 0, 1, "long black, a small body that gaps below it, a white back into it"),
    ("on_neck", "onneck", "ohlc", 11, -1, 0, "white from under a long black's low that ends at that low"),
    ("piercing", "piercing", "olc", 11, 0, 1, "white from under a long black's low into the upper half of its body"),
    ("rickshaw_man", "rickshawman", "ohlc", 10, 0, 1, "long-legged doji with its body in the middle of the range"),
    ("rise_fall_three_methods", "risefall3methods", "ohlc", 14, -1, 1, "long bar, three small ones back within it, a long one further on"),
    ("separating_lines", "separatinglines", "ohlc", 11, -1, 1, "bar of the other colour from the open before that runs off at once"),
    ("shooting_star", "shootingstar", "ohlc", 11, -1, 0, "small body under a long upper shadow, gapping up"),
    ("short_line", "shortline", "ohlc", 10, -1, 1, "short body between short shadows, in the colour of the bar"),
    ("spinning_top", "spinningtop", "ohlc", 10, -1, 1, "small body between shadows longer than it, in the colour of the bar"),
    ("stalled_pattern", "stalledpattern", "ohlc", 12, -1, 0, "two long rising whites and a small one on their shoulder"),
    ("stick_sandwich", "sticksandwich", "ohlc", 7, 0, 1, "white between two blacks that close at one price"),
    ("takuri", "takuri", "ohlc", 10, 0, 1, "dragonfly doji with a very long lower shadow"),
    ("tasuki_gap", "tasukigap", "ohlc", 7, -1, 1, "gap, a bar on, one of the other colour that leaves the gap open"),
    ("thrusting", "thrusting", "ohlc", 11, -1, 0, "white from under a long black's low that ends below mid-body"),
    ("tristar", "tristar", "ohlc", 12, -1, 1, "three dojis with the middle one standing off by a gap"),
    ("unique_three_river", "unique3river", "olc", 12, 0, 1, "long black, a black hammer to a new low, a small white under its body"),
    ("upside_gap_two_crows", "upsidegap2crows", "oc", 12, -1, 0, "long white, a black that gaps up, a black around it above the gap"),
    ("gap_three_methods", "xsidegap3methods", "oc", 2, -1, 1, "two bars of a colour with a gap between, and a third that fills it"),
)  # fmt: skip
GRADES = {"hikkake": 100, "hikkake_confirmed": 200, "hikkake_modified": 100, "hikkake_modified_confirmed": 200}
"""The one value, up to its sign, of TA-Lib's that counts as the pattern."""
PENETRATION = {"mat_hold": 0.5, "dark_cloud_cover": 0.5} | dict.fromkeys(
    ("abandoned_baby", "evening_doji_star", "evening_star", "morning_doji_star", "morning_star"), 0.3
)
"""How far into the first body the last bar must close, as a fraction of it: TA-Lib's defaults."""
SOURCE = "TA-Lib 0.8 pattern recognition with its default candle settings; Morris (2006), Candlestick Charting Explained"


def candlestick(function: str, reads: str, lookback: int, penetration: float | None = None, grade: int | None = None) -> pl.Expr:
    """The sign of one of TA-Lib's patterns: see the module for what it means.

    Parameters
    ----------
    function : the kernel's name without `cdl`.
    reads : letters of the fields that the kernel reads; the others may be missing, and are given the close instead.
    lookback : complete bars before the first that can have a value. TA-Lib says 0 on those, which is null here.
    grade : the one value of TA-Lib's, up to its sign, that counts; every value when None.
    """

    def kernel(*fields: pl.Expr) -> pl.Expr:
        given = dict(zip(reads, fields, strict=True))
        options = {} if penetration is None else {"penetration": penetration}
        found: pl.Expr = getattr(talib, f"cdl{function}")(*(given.get(letter, given["c"]) for letter in "ohlc"), **options)
        sign = found.sign().cast(pl.Float64)
        value = sign if grade is None else pl.when(found.abs() == grade).then(sign).otherwise(0.0)
        return pl.when(given["c"].shift(lookback).is_not_null()).then(value)

    return over_complete(kernel, *(pl.col(f"adj_{FIELDS[letter]}") for letter in reads))


def _feature(name: str, function: str, reads: str, lookback: int, low: int, high: int, shape: str) -> Feature:
    penetration, grade = PENETRATION.get(name), GRADES.get(name)
    kernel = f"TA-Lib CDL{function.upper()}" + (f", penetration {penetration}" if penetration else "")
    beyond_close = [FIELDS[letter] for letter in reads if letter != "c"]
    return Feature(
        name=f"cdl_{name}",
        family=FAMILY,
        expression=candlestick(function, reads, lookback, penetration, grade),
        inputs=(*(f"prices.{field}" for field in beyond_close), *CLOSES),
        lookback=lookback,
        recursive=False,
        unit=FLAG if low == 0 else SIGNED,
        low=float(low),
        high=float(high),
        formula=f"{kernel}: -1 at -{grade}, 1 at {grade}, else 0" if grade else f"sign of {kernel}",
        meaning=shape,
        missing=f"the bar has no {' or '.join(beyond_close)}",
        source=SOURCE,
    )


FEATURES = tuple(_feature(*row) for row in PATTERNS)
