"""Named lists of features, each what one model reads, in its order. One of your own is a list in the settings (`features.sets`)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from quant_assets.errors import BadArgument
from quant_assets.features import alpha158
from quant_assets.features.catalog import CATALOG, select
from quant_assets.features.feature import USD

BASELINE = (
    "ret_1", "ret_5", "ret_20", "rsi_14", "macd", "macd_hist",
    "ema_9_distance", "ema_21_distance", "ema_50_distance", "ema_200_distance",
    "atr_14_pct", "bollinger_position", "bollinger_width", "volatility_20", "volatility_60", "volatility_ratio",
    "volume_ratio_20", "beta_60",
)  # fmt: skip
"""Eighteen plain ones of trend, momentum, volatility, volume and market: a new feature of the catalogue changes no model by itself."""
ALPHA158 = tuple(feature.name for feature in alpha158.FEATURES)
"""All 158 of the family, in qlib's order: what a published result on Alpha158 is compared with."""
SETS: Mapping[str, tuple[str, ...]] = {"baseline": BASELINE, "alpha158": ALPHA158}


def feature_set(name: str, own: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The features of a set, in its order.

    Parameters
    ----------
    own : sets of the settings, by name.

    Raises
    ------
    BadArgument : no such set; one of the settings has the name of a packaged one, is empty, names a feature twice, an unknown one, or a
        price level, of which a model learns the name and not the shape.
    """
    for mine in own:
        if mine in SETS:
            raise BadArgument(f"setting features.sets.{mine} has the name of a packaged set", remedy="give it another name")
    if name not in SETS and name not in own:
        known = ", ".join([*SETS, *own])
        raise BadArgument(f"no feature set is called {name!r}", remedy=f"choose among {known}, or add it to features.sets")
    names = tuple(own.get(name) or SETS.get(name, ()))
    repeated = sorted({one for one in names if names.count(one) > 1})
    levels = [feature.name for feature in select(tuple(dict.fromkeys(names))) if feature.unit == USD]
    if levels:
        shown = ", ".join(levels)
        scale_free = [one for one, feature in CATALOG.items() if feature.unit != USD]
        near = dict.fromkeys(close for level in levels for close in difflib.get_close_matches(level, scale_free, n=2))
        instead = f"take scale-free ones instead, as {', '.join(near)}" if near else "leave them out"
        remedy = f"{instead}; `quant-assets features list` shows the unit of each"
        raise BadArgument(f"setting features.sets.{name} has price levels ({shown}), and a set may hold none", remedy=remedy)
    if not names or repeated:
        wrong = f"names {', '.join(repeated)} twice" if repeated else "is empty"
        raise BadArgument(f"setting features.sets.{name} {wrong}", remedy="name each feature once; `quant-assets features list` shows them")
    return names
