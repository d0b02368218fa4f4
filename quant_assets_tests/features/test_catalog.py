from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from quant_assets.errors import BadArgument
from quant_assets.features.catalog import CATALOG, FAMILIES, LOOKBACK, feature_set_hash, select
from quant_assets.features.compute import compute
from quant_assets.features.feature import USD
from quant_assets.schemas import TABLES
from quant_assets_tests.features.panels import bars, index_bars


def test_every_feature_is_described_and_named_once():
    assert len(CATALOG) == sum(len(family.FEATURES) for family in FAMILIES) == 23
    for name, feature in CATALOG.items():
        assert name == feature.name
        assert all((feature.family, feature.inputs, feature.unit, feature.meaning, feature.missing, feature.source)), name
        for column in feature.inputs:
            table, _, field = column.partition(".")
            assert field in TABLES[table].schema, (name, column)


def test_lookback_is_where_the_first_value_stands():
    out = compute(bars("AAA").lazy(), index_bars().lazy())
    for name, feature in CATALOG.items():
        present = out[name].is_not_null()
        assert present.arg_max() == feature.lookback, name
        assert present[feature.lookback :].all(), name
    assert max(feature.lookback for feature in CATALOG.values()) == LOOKBACK == 199


def test_model_features_do_not_depend_on_the_level_of_price_or_volume():
    """Tolerance: a multiplication by 7 rounds each price once (1e-16), which differences of averages amplify."""
    prices, index = bars("AAA"), index_bars().lazy()
    dearer = prices.with_columns(pl.col("open", "high", "low", "close", "dividend") * 7, pl.col("volume") * 1_000)
    before, after = compute(prices.lazy(), index), compute(dearer.lazy(), index)
    for name in CATALOG:
        factor = 7 if CATALOG[name].unit == USD else 1
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
    with pytest.raises(BadArgument, match=r"unknown feature zzz; choose among ret_1, .*beta_60\."):
        select(("zzz",))
