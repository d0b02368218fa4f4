"""Every feature by name, and the hash that names a list of them. The mathematics lives in the family files, named lists in `sets.py`.

To add a feature: one function and one entry in a family file; a new family is one more line in FAMILIES.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence

from quant_assets.errors import BadArgument
from quant_assets.features import market, momentum, trend, volatility, volume
from quant_assets.features.feature import Feature

FAMILIES = (momentum, trend, volatility, volume, market)
CATALOG: dict[str, Feature] = {feature.name: feature for family in FAMILIES for feature in family.FEATURES}

LOOKBACK = max(feature.lookback for feature in CATALOG.values())
"""Sessions before t that the longest look-back needs; recursive features also read every bar since the ticker's first."""


def select(names: Sequence[str]) -> tuple[Feature, ...]:
    """The features of these names, in this order.

    Raises
    ------
    BadArgument : a name is not in the catalogue; the nearest ones are named.
    """
    unknown = [name for name in names if name not in CATALOG]
    if unknown:
        near = list(dict.fromkeys(known for name in unknown for known in difflib.get_close_matches(name, CATALOG)))
        remedy = f"did you mean {', '.join(near)}?" if near else f"choose among {', '.join(CATALOG)}"
        raise BadArgument(f"unknown feature {', '.join(unknown)}", remedy=remedy)
    return tuple(CATALOG[name] for name in names)


def feature_set_hash(names: Sequence[str]) -> str:
    """12 hexadecimal digits that change with the names, their order or the version of any of them."""
    described = "\n".join(f"{feature.name} {feature.version}" for feature in select(names))
    return hashlib.sha256(described.encode()).hexdigest()[:12]


ALL_FEATURES = feature_set_hash(tuple(CATALOG))
"""The version of the table `features`: what was computed under another one is computed again."""
