"""Every feature by name, and the hash that names a list of them. The mathematics lives in the family files, named lists in `sets.py`.

To add a feature: one function and one entry in a family file; a new family is one more line in FAMILIES. A package of your own adds a
family without touching this file: an entry point of the group ENTRY_POINTS that names a module with FEATURES, and BESIDE if it reads
other tables.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from types import ModuleType

from quant_assets.errors import BadArgument
from quant_assets.features import (
    alpha158,
    bands,
    candlesticks,
    cross_section,
    events,
    fundamentals,
    garch,
    liquidity,
    macro,
    market,
    momentum,
    patterns,
    sentiment,
    stationary,
    trend,
    volatility,
    volume,
)
from quant_assets.features.feature import Beside, Feature
from quant_assets.features.registration import refuse_unreadable, refuse_untold

ENTRY_POINTS = "quant_assets.features"


FAMILIES: tuple[ModuleType, ...] = (
    trend,
    momentum,
    volatility,
    bands,
    garch,
    volume,
    liquidity,
    patterns,
    candlesticks,
    stationary,
    events,
    macro,
    fundamentals,
    sentiment,
    market,
    alpha158,
    cross_section,
)


def installed() -> list[ModuleType]:
    """The families of other packages, in the order of their names.

    Raises
    ------
    BadArgument : one cannot be imported or has no FEATURES.
    """
    found: list[ModuleType] = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        try:
            family = entry.load()
            if not all(isinstance(feature, Feature) for feature in family.FEATURES):
                raise TypeError("FEATURES holds something else than features")
        except Exception as error:
            why = f"features of entry point {entry.name!r} ({entry.value}) cannot be read: {type(error).__name__}: {error}"
            raise BadArgument(why, remedy="mend or uninstall that package") from error
        found.append(family)
    return found


def by_name(families: Iterable[ModuleType]) -> dict[str, Feature]:
    """Every feature of the families.

    Raises
    ------
    BadArgument : two have one name, or the name of a column of the row itself; one is not told, or reads a column that is not there.
    """
    found: dict[str, tuple[Feature, str]] = {}
    modules = tuple(families)
    for family in modules:
        for feature in family.FEATURES:
            refuse_untold(feature, family.__name__)
            if feature.name in found:
                both = f"{found[feature.name][1]} and {family.__name__}"
                raise BadArgument(f"two features are called {feature.name}, in {both}", remedy="rename one of them")
            if feature.name in ("ticker", "session"):
                raise BadArgument(f"a feature of {family.__name__} is called {feature.name}, as a key column", remedy="rename it")
            found[feature.name] = feature, family.__name__
    refuse_unreadable(found, (column for family in modules for beside in getattr(family, "BESIDE", ()) for column in beside.columns))
    return {name: feature for name, (feature, _) in found.items()}


ALL_FAMILIES = (*FAMILIES, *installed())
CATALOG: dict[str, Feature] = by_name(ALL_FAMILIES)
OF_BARS = {name: feature for name, feature in CATALOG.items() if not feature.across}
ACROSS = {name: feature for name, feature in CATALOG.items() if feature.across}
BESIDE: tuple[Beside, ...] = tuple(beside for family in ALL_FAMILIES for beside in getattr(family, "BESIDE", ()))

LOOKBACK = max(feature.lookback for feature in CATALOG.values())
"""Sessions before t that the longest look-back needs; recursive features also read every bar since the ticker's first."""


def package_of(feature: Feature) -> str:
    """The module that a feature is from; its family where none of them lists it."""
    return next((family.__name__ for family in ALL_FAMILIES if feature in family.FEATURES), f"family {feature.family}")


def select(names: Sequence[str]) -> tuple[Feature, ...]:
    """The features of these names, in this order.

    Raises
    ------
    BadArgument : a name is not in the catalogue (the nearest ones are named), or is there twice.
    """
    unknown = [name for name in names if name not in CATALOG]
    if unknown:
        near = list(dict.fromkeys(known for name in unknown for known in difflib.get_close_matches(name, CATALOG)))
        remedy = f"did you mean {', '.join(near)}?" if near else "`quant-assets features list` shows every name"
        raise BadArgument(f"unknown feature {', '.join(unknown)}", remedy=remedy)
    if repeated := sorted({name for name in names if list(names).count(name) > 1}):
        raise BadArgument(f"feature {', '.join(repeated)} is asked for twice", remedy="name each once")
    return tuple(CATALOG[name] for name in names)


def feature_set_hash(names: Sequence[str]) -> str:
    """12 hexadecimal digits that change with the names, their order or the version of any of them."""
    described = "\n".join(f"{feature.name} {feature.version}" for feature in select(names))
    return hashlib.sha256(described.encode()).hexdigest()[:12]


ALL_FEATURES = feature_set_hash(tuple(CATALOG))
"""The version of the table `features`: what was computed under another one is computed again."""
