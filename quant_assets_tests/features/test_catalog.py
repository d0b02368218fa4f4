from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import polars as pl
import pytest

from quant_assets.errors import BadArgument
from quant_assets.features.catalog import CATALOG, FAMILIES, LOOKBACK, OF_BARS, feature_set_hash, select
from quant_assets.features.compute import compute
from quant_assets.features.feature import LEVELS
from quant_assets.schemas import TABLES
from quant_assets_tests.features.panels import N, tables


def test_every_feature_is_described_and_named_once():
    assert list(CATALOG) == [feature.name for family in FAMILIES for feature in family.FEATURES]
    for name, feature in CATALOG.items():
        assert name == feature.name
        assert all((feature.family, feature.unit, feature.formula, feature.meaning, feature.missing, feature.source)), name
        for column in feature.inputs:
            table, _, field = column.partition(":")[0].partition(".")
            assert field in TABLES[table].schema, (name, column)


def test_lookback_is_where_the_first_value_stands():
    out = compute(tables())
    for name, feature in OF_BARS.items():
        present = out[name].is_not_null()
        assert present.arg_max() == feature.lookback, name
        assert present[feature.lookback :].all(), name
    assert max(feature.lookback for feature in CATALOG.values()) == LOOKBACK < N


def test_model_features_do_not_depend_on_the_level_of_price_or_volume():
    """Tolerance: a multiplication by 7 rounds each price once (1e-16), which differences of averages amplify.

    What is filed is scaled alike: 1,000 times the shares, at 7 times the price.
    """
    panel = tables()
    prices, filed = panel["prices"], panel["fundamentals"]
    dearer = prices.with_columns(pl.col("open", "high", "low", "close", "dividend") * 7, pl.col("volume") * 1_000)
    scale = pl.col("unit").replace_strict({"shares": 1_000.0, "USD/shares": 7.0, "USD": 7_000.0}, default=1.0)
    larger = filed.with_columns(pl.col("value") * scale)
    before, after = compute(panel), compute(panel | {"prices": dearer, "fundamentals": larger})
    for name, feature in OF_BARS.items():
        powers = LEVELS.get(feature.unit, (0, 0))
        if powers is None:
            continue
        factor = 7.0 ** powers[0] * 1_000.0 ** powers[1]
        assert after[name].drop_nulls().to_list() == pytest.approx((before[name] * factor).drop_nulls().to_list(), rel=1e-9, abs=1e-12), (
            name
        )


def test_the_hash_names_the_set_its_order_and_its_versions(monkeypatch: pytest.MonkeyPatch):
    short = feature_set_hash(("ret_1", "rsi_14"))
    assert short == "ac26b9f6d4d4"
    assert feature_set_hash(("rsi_14", "ret_1")) != short
    assert feature_set_hash(("ret_1",)) != short
    monkeypatch.setitem(CATALOG, "rsi_14", dataclasses.replace(CATALOG["rsi_14"], version=2))
    assert feature_set_hash(("ret_1", "rsi_14")) != short


def test_an_unknown_name_is_refused_with_the_choice():
    with pytest.raises(BadArgument, match=r"unknown feature rsi_15; did you mean rsi_14"):
        select(("ret_1", "rsi_15"))
    with pytest.raises(BadArgument, match=r"unknown feature zzz; `quant-assets features list` shows every name"):
        select(("zzz",))


def test_every_value_lies_in_its_range():
    out = compute(tables())
    for name, feature in OF_BARS.items():
        values = out[name].drop_nulls()
        assert feature.low is None or values.min() >= feature.low - 1e-9, name
        assert feature.high is None or values.max() <= feature.high + 1e-9, name


def test_no_family_needs_another_one():
    """A family can be deleted with its line in FAMILIES, and its set if it has one: what several are made of is in files of its own."""
    names = {family.__name__ for family in FAMILIES}
    for family in FAMILIES:
        parts = [node for node in ast.walk(ast.parse(Path(str(family.__file__)).read_text())) if isinstance(node, ast.ImportFrom)]
        read = {f"{part.module}.{name.name}" for part in parts for name in part.names} | {str(part.module) for part in parts}
        assert not read & names - {family.__name__}, family.__name__
