"""Named lists of features: the packaged one, one's own, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from quant_assets.errors import BadArgument, ModelError
from quant_assets.features.catalog import CATALOG, feature_set_hash
from quant_assets.features.feature import USD
from quant_assets.features.sets import ALPHA158, BASELINE, SETS, feature_set
from quant_assets.models.terms import MODEL_NAME
from quant_assets.settings import Features, Settings
from quant_assets.steps.models import check_feature_set
from quant_assets.workspace import Workspace


def test_the_packaged_sets_are_scale_free_and_of_the_catalogue():
    assert feature_set("baseline", {}) == BASELINE
    for names in SETS.values():
        assert all(CATALOG[name].unit != USD for name in names)
        assert len(set(names)) == len(names)
    assert feature_set_hash(BASELINE) == "6d36fbd71bb1"  # models in use are known by it
    assert feature_set("alpha158", {}) == ALPHA158
    assert len(ALPHA158) == 158
    assert feature_set_hash(ALPHA158) == "fc8e02dab660"


def test_a_set_of_ones_own_keeps_its_order():
    assert feature_set("mine", {"mine": ["rsi_14", "ret_1"]}) == ("rsi_14", "ret_1")
    assert feature_set("baseline", {"mine": ["rsi_14"]}) == BASELINE


@pytest.mark.parametrize(
    ("name", "own", "words"),
    [
        ("mime", {"mine": ["ret_1"]}, "no feature set is called 'mime'; choose among baseline, alpha158, mine, or add it to features.sets"),
        ("mine", {"mine": []}, "features.sets.mine is empty"),
        ("mine", {"mine": ["ret_1", "ret_5", "ret_1"]}, "features.sets.mine names ret_1 twice"),
        (
            "mine",
            {"mine": ["ret_1", "atr_14"]},
            r"has price levels \(atr_14\), and a set may hold none; take scale-free ones instead, as atr_14_pct[^;]*; `quant-assets",
        ),
        ("mine", {"mine": ["ret_1", "rsi_15"]}, "unknown feature rsi_15; did you mean rsi_14"),
        ("baseline", {"baseline": ["ret_1"]}, "features.sets.baseline has the name of a packaged set"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, own: dict[str, list[str]], words: str):
    with pytest.raises(BadArgument, match=words):
        feature_set(name, own)


def test_a_wrong_set_is_refused_before_anything_runs(tmp_path: Path):
    settings = Settings(home=tmp_path, features=Features(model="mine"))
    with pytest.raises(BadArgument, match="no feature set is called 'mine'"):
        Workspace.open(settings)


def test_a_model_of_other_features_is_refused_with_both_lists():
    trained = {"model": MODEL_NAME, "cutoff": dt.date(2012, 1, 1), "feature_set": feature_set_hash(("ret_1", "rsi_14"))}
    check_feature_set(trained, ["ret_1", "rsi_14"], ("ret_1", "rsi_14"))
    for today in (("rsi_14", "ret_1"), ("ret_1",), ("ret_1", "rsi_14", "macd")):
        with pytest.raises(ModelError) as refused:
            check_feature_set(trained, ["ret_1", "rsi_14"], today)
        assert f"learned ret_1, rsi_14 (feature set {trained['feature_set']}), today's set is {', '.join(today)} (" in str(refused.value)
        assert "`quant-assets train --start 2012-01-03 --end 2012-01-03` trains it" in str(refused.value)
