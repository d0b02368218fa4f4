"""The evidence of a model against naive sums, and what its pictures show of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
from matplotlib.figure import Figure
from scipy.stats import norm, spearmanr

from quant_assets.errors import BadArgument
from quant_assets.models import evidence, model_pictures
from quant_assets.models.evidence import Evidence, gather
from quant_assets.models.model_pictures import pictures
from quant_assets_tests.models.trained import ROWS, evidence_of, trained
from quant_assets_tests.small import FEATURES, labelled

MODEL = trained()
EVIDENCE = evidence_of(MODEL)
WIDE = labelled(80, names=tuple("ABCDEFG"))


def scored(rows: pl.DataFrame, score: pl.Expr) -> Evidence:
    held = rows.select("session", "ticker", "label", "ret", score=score)
    return Evidence(EVIDENCE.learning_curve, held, EVIDENCE.gains, EVIDENCE.values, EVIDENCE.contributions)


def texts(figure: Figure) -> str:
    """All that can be read in it."""
    axes = figure.axes
    ticks = [label.get_text() for each in axes for label in each.get_yticklabels()]
    legends = [text.get_text() for each in axes if (legend := each.get_legend()) for text in legend.get_texts()]
    return "\n".join([*(each.get_title() for each in axes), *(text.get_text() for each in axes for text in each.texts), *ticks, *legends])


def test_contributions_and_the_bias_add_up_to_the_score_in_log_odds():
    values = EVIDENCE.values.cast(pl.Float32).to_numpy()
    margin = MODEL.booster.inplace_predict(values, predict_type="margin")
    bias = MODEL.booster.predict(xgb.DMatrix(values, feature_names=list(FEATURES)), pred_contribs=True)[:, -1]
    np.testing.assert_allclose(EVIDENCE.contributions.sum_horizontal().to_numpy() + bias, margin, atol=1e-5)
    assert EVIDENCE.values.null_count().sum_horizontal().item() > 0  # unknown values contribute too
    means = EVIDENCE.mean_contributions()
    assert means["mean_abs"].is_sorted(descending=True)
    for name, mean in means.iter_rows():
        assert mean == pytest.approx(np.mean([abs(each) for each in EVIDENCE.contributions[name]]))


def test_rows_are_sampled_in_their_order_and_the_same_ones_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evidence, "SAMPLE_ROWS", 50)
    rows = ROWS.with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias(FEATURES[0]))
    drawn, again = (gather(MODEL.booster, rows, held=EVIDENCE.held, learning_curve=EVIDENCE.learning_curve).values for _ in range(2))
    assert drawn.height == 50
    assert drawn[FEATURES[0]].is_sorted()
    assert drawn[FEATURES[0]].n_unique() == 50
    assert drawn.equals(again)


@pytest.mark.parametrize("lacking", ["rows", "held", "learning_curve"])
def test_a_table_without_a_column_is_refused(lacking: str):
    tables = {"rows": ROWS, "held": EVIDENCE.held, "learning_curve": EVIDENCE.learning_curve}
    column = {"rows": FEATURES[1], "held": "ret", "learning_curve": "train"}[lacking]
    tables[lacking] = tables[lacking].drop(column)
    with pytest.raises(BadArgument, match=f"the table has no column {column}"):
        gather(MODEL.booster, tables["rows"], held=tables["held"], learning_curve=tables["learning_curve"])


def test_calibration_counts_what_happened_in_each_tenth_of_the_scores():
    by_score = scored(WIDE, pl.int_range(pl.len()) / pl.len())
    deciles = by_score.calibration()
    assert deciles["decile"].to_list() == list(range(1, 11))
    assert deciles["n"].to_list() == [56] * 10
    z = norm.ppf(0.975)
    for decile, n, mean_score, share, low, high in deciles.iter_rows():
        part = by_score.held[(decile - 1) * 56 : decile * 56]
        assert mean_score == pytest.approx(sum(part["score"]) / 56)
        assert share == pytest.approx(sum(part["label"]) / 56)
        middle, reach = (share + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / 4 / n**2)
        assert (low, high) == pytest.approx((middle - reach, middle + reach))  # Wilson 1927, equation of its limits


def test_rows_of_one_score_are_in_one_decile():
    """Few rounds give few scores: which label falls into which decile must not depend on the order of rows."""
    few = scored(WIDE, pl.when(pl.int_range(pl.len()) % 4 == 0).then(0.6).otherwise(0.5))
    deciles = few.calibration()
    assert deciles["mean_score"].to_list() == [0.5, 0.6]
    assert deciles["n"].to_list() == [420, 140]
    shuffled = Evidence(few.learning_curve, few.held.sample(fraction=1, shuffle=True, seed=1), few.gains, few.values, few.contributions)
    assert shuffled.calibration().equals(deciles)


def test_the_rank_ic_adds_up_over_the_sessions_that_have_one():
    half = scored(WIDE, pl.col(FEATURES[0])).held.filter((pl.col("session") != WIDE["session"][0]) | (pl.col("ticker") < "C"))
    days = Evidence(EVIDENCE.learning_curve, half, EVIDENCE.gains, EVIDENCE.values, EVIDENCE.contributions).cumulative_rank_ic()
    assert days.height == 79  # two names have none
    total = 0.0
    for session, ic, cumulative in days.iter_rows():
        part = half.filter(session=session)
        total += spearmanr(part["score"], part["ret"]).statistic
        assert ic == pytest.approx(spearmanr(part["score"], part["ret"]).statistic)
        assert cumulative == pytest.approx(total)


def test_pictures_name_what_they_show(tmp_path: Path):
    seven = Evidence(EVIDENCE.learning_curve, scored(WIDE, pl.col("ret")).held, EVIDENCE.gains, EVIDENCE.values, EVIDENCE.contributions)
    drawn = {name: texts(figure) for name, figure in pictures(seven).items()}
    first, share = EVIDENCE.gains.row(0)
    assert first in drawn["importance"]
    assert f"{share:.1%}" in drawn["importance"]
    assert all(name in drawn["contributions"] for name in FEATURES)
    assert "360 rows" in drawn["contributions"]
    assert "best round 12" in drawn["learning_curve"]
    assert "80, mean +1.0000" in drawn["cumulative_rank_ic"]
    model_pictures.write(EVIDENCE, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.png" for name in drawn}


def test_a_picture_of_nothing_says_why():
    tables = (EVIDENCE.learning_curve, EVIDENCE.held, EVIDENCE.gains, EVIDENCE.values, EVIDENCE.contributions)
    nothing = Evidence(*(table.clear() for table in tables))
    why = {name: figure.axes[0].texts[0].get_text() for name, figure in pictures(nothing).items()}
    assert why == {
        "importance": "no tree splits on any feature",
        "contributions": "no row was sampled",
        "calibration": "no held row has a score and a label",
        "learning_curve": "no round was grown",
        "cumulative_rank_ic": "no held session has 5 names whose scores differ",
    }


def test_of_many_features_the_first_are_shown_and_the_rest_counted():
    names = [f"realised_volatility_{n}_sessions_ranked_across_names_and_neutral_to_sectors_and_to_size" for n in range(60)]
    rng = np.random.default_rng(1)
    gains = pl.DataFrame({"feature": names, "share": np.linspace(2, 0, 60) / 60})
    table = pl.DataFrame(rng.normal(size=(40, 60)) / np.arange(1, 61), schema=names)
    drawn = pictures(Evidence(EVIDENCE.learning_curve, EVIDENCE.held, gains, table, table))
    for name in ("importance", "contributions"):
        assert "25 of 60 features" in texts(drawn[name])
        assert names[0] in texts(drawn[name])
        assert names[59] not in texts(drawn[name])
