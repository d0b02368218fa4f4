"""What a feature must be to join the catalogue: refused here, by name, before a night meets it. The catalogue itself is `catalog.py`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from quant_assets.errors import BadArgument
from quant_assets.features.feature import COLUMNS, ELIGIBLE, Feature
from quant_assets.features.shared import SHARED, root_names

NAME = re.compile(r"[a-z][a-z0-9_]*")
FACTS = {
    "family": "name the family that it is listed under",
    "unit": "say in what its values are, as fraction or 0..1",
    "formula": "say in a line how it is computed",
    "meaning": "say what it tells a trader",
    "missing": "say when it is null although its look-back is full, or never",
    "source": "say where the definition is from",
}
"""What must be told of each, and what to write there."""


def refuse_untold(feature: Feature, package: str) -> None:
    """Whether a feature has a name, says what it is, and looks back.

    Raises
    ------
    BadArgument : naming the feature and the module it is from.
    """
    if not isinstance(feature.name, str) or not NAME.fullmatch(feature.name):
        near = re.sub(r"[^a-z0-9]+", "_", str(feature.name).lower()).strip("_")
        remedy = f"rename it, as {near}" if NAME.fullmatch(near) else "rename it, as ret_3"
        raise BadArgument(
            f"a feature of {package} is called {feature.name!r}, and a name is of a-z, 0-9 and _, a letter first", remedy=remedy
        )
    who = f"feature {feature.name} of {package}"
    for fact, what in FACTS.items():
        told = getattr(feature, fact)
        if not isinstance(told, str) or not told.strip():
            raise BadArgument(f"{who} has {fact}={told!r}, and a reader must be told", remedy=what)
    if not NAME.fullmatch(feature.family):
        raise BadArgument(f"{who} has family={feature.family!r}, and a family is of a-z, 0-9 and _", remedy="rename the family")
    if not isinstance(feature.expression, pl.Expr):
        raise BadArgument(f"{who}: expression is a {type(feature.expression).__name__}", remedy="give a polars expression")
    if not isinstance(feature.lookback, int) or feature.lookback < 0:
        raise BadArgument(f"{who} has lookback={feature.lookback!r}, and it is a number of sessions, 0 or more", remedy="count them")


def refuse_unreadable(features: Mapping[str, tuple[Feature, str]], beside: Iterable[str]) -> None:
    """Whether each expression reads columns that are there.

    Parameters
    ----------
    features : by name, with the module each is from.
    beside : columns that the families' `Beside` add.

    Raises
    ------
    BadArgument : naming the feature, its module and the column.
    """
    added = {*beside}
    of_bars = {*COLUMNS, *SHARED} | added
    of_names = {name for name, (feature, _) in features.items() if not feature.across} | {"session", ELIGIBLE} | added
    for name, (feature, package) in features.items():
        there = of_names if feature.across else of_bars
        unknown = sorted(root_names([feature.expression]) - there)
        if unknown:
            near = difflib.get_close_matches(unknown[0], sorted(there - SHARED.keys()), n=3)
            has = "features of bars" if feature.across else f"a bar's {', '.join(COLUMNS)}"
            columns = f"did you mean {', '.join(near)}?" if near else f"it may read {has}, and the columns of a Beside"
            raise BadArgument(f"feature {name} of {package} reads {unknown[0]}, and there is no such column", remedy=columns)


def refuse_unknown_inputs(features: Iterable[tuple[Feature, str]], schemas: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether `inputs` names stored columns.

    Parameters
    ----------
    features : with the module each is from.
    schemas : the columns of each table.

    Raises
    ------
    BadArgument : naming the feature, its module and the entry.
    """
    for feature, package in features:
        for entry in feature.inputs:
            table, _, column = entry.partition(":")[0].partition(".")
            if table not in schemas or column not in schemas[table]:
                what = f"it has {', '.join(schemas[table])}" if table in schemas else f"the tables are {', '.join(schemas)}"
                raise BadArgument(f"feature {feature.name} of {package} has the input {entry!r}, which is not stored", remedy=what)
