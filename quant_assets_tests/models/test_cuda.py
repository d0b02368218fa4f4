"""XGBoost on a GPU, where there is one: what it learns, where it is asked afterwards, and that the same rows give the same model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from quant_assets.models import trees
from quant_assets.models.trees import XGBoost
from quant_assets_tests.models.planted import FEATURES, best_auc, planted

pytestmark = pytest.mark.skipif(not trees._cuda(), reason="no CUDA device")
KNOWN, LATER = planted(600, 20), planted(400, 20, seed=2)
X, SPAN = KNOWN.select(FEATURES), KNOWN.select("label_start", "label_end")


@pytest.mark.parametrize(("task", "target"), [("classification", "label"), ("regression", "ret"), ("ranking", "grade")])
def test_a_gpu_finds_what_a_processor_finds(task: str, target: str):
    learned = [XGBoost(task=task, device=device, min_child_weight=10.0) for device in ("cuda", "cpu")]
    scores = [learner.fit(X, KNOWN[target], label_span=SPAN).scores(LATER.select(FEATURES)) for learner in learned]
    found = [np.corrcoef(score, LATER["ret"])[0, 1] for score in scores]
    assert min(found) > 0.2  # at most 0.3
    assert abs(found[0] - found[1]) < 0.02


def test_the_planted_auc_is_recovered_by_default():
    learned = XGBoost().fit(X, KNOWN["label"], label_span=SPAN)
    assert learned.parameters()["device"] == "cuda"
    found = roc_auc_score(LATER["label"], learned.scores(LATER.select(FEATURES)))
    assert best_auc(0.3) - 0.025 < found < best_auc(0.3) + 0.013


def test_the_same_rows_give_the_same_model_and_a_stored_one_the_same_scores():
    grown = [XGBoost(device="cuda").fit(X, KNOWN["label"], label_span=SPAN) for _ in range(3)]
    assert all((one.scores(X) == other.scores(X)).all() for one, other in pairwise(grown))
    again = XGBoost.from_bytes(grown[0].to_bytes())
    assert (again.scores(X) == grown[0].scores(X)).all()
