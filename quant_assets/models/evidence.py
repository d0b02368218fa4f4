"""What speaks for or against one trained model, as numbers: how it learned, how its held-out scores did, what its trees use.

How that is drawn is `model_pictures.py`'s business; skill out of sample, which no choice has touched, is `validation/skill.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from quant_assets.errors import require_columns
from quant_assets.models.pooled import importances
from quant_assets.models.sample import values_of
from quant_assets.validation.k_fold import PurgedKFold
from quant_assets.validation.signal_quality import rank_ic

if TYPE_CHECKING:
    import xgboost as xgb

SAMPLE_ROWS = 1000
"""Contributions of more rows change no picture, and take as many times longer."""
SEED = 7
DECILES = 10


@dataclass(frozen=True)
class Evidence:
    """What is known of one model besides its figures.

    Parameters
    ----------
    learning_curve : round (from 1), train, validation: log-loss in nats.
    held : session, ticker, score, label (0, 1), ret (fraction) of the rows that chose the number of rounds.
    gains : feature, share of the total gain, largest first; features that no tree splits on are missing.
    values : (n_sample, n_features) what the sampled rows hold, null = unknown.
    contributions : the same rows and columns: SHAP values in log-odds (Lundberg et al. 2018, path dependent).
    """

    learning_curve: pl.DataFrame
    held: pl.DataFrame
    gains: pl.DataFrame
    values: pl.DataFrame
    contributions: pl.DataFrame

    def mean_contributions(self) -> pl.DataFrame:
        """feature, mean_abs (log-odds over the sampled rows), largest first."""
        absolute = self.contributions.select(pl.all().abs().mean())
        rows = {"feature": self.contributions.columns, "mean_abs": absolute.row(0)}
        return pl.DataFrame(rows, schema={"feature": pl.String, "mean_abs": pl.Float64}).sort(
            "mean_abs", "feature", descending=[True, False]
        )

    def calibration(self) -> pl.DataFrame:
        """What was said and what happened, by decile of the held scores.

        Returns
        -------
        decile (1: lowest scores), n, mean_score, share (of label 1), low, high: 95 % of the share (Wilson 1927) as if rows were
        independent. Rows of one score are not parted: where few scores differ, deciles are unequal, and one without rows is missing.
        """
        place = (pl.col("score").rank("average") - 0.5) / pl.len()
        rows = self.held.drop_nulls(["score", "label"]).with_columns(decile=(place * DECILES).floor().cast(pl.Int64) + 1)
        counts = rows.group_by("decile").agg(
            n=pl.len().cast(pl.Int64), mean_score=pl.col("score").mean(), share=pl.col("label").cast(pl.Float64).mean()
        )
        limits = [_wilson(round(share * n), n) for n, share in counts.select("n", "share").iter_rows()]
        low, high = (pl.Series(name, [pair[place] for pair in limits], dtype=pl.Float64) for place, name in enumerate(("low", "high")))
        return counts.with_columns(low, high).sort("decile")

    def cumulative_rank_ic(self) -> pl.DataFrame:
        """session, rank_ic, cumulative (their sum so far), of the held sessions in which a rank IC is defined."""
        days = self.held.group_by("session").agg(rank_ic=rank_ic("score", "ret")).drop_nulls().sort("session")
        return days.with_columns(cumulative=pl.col("rank_ic").cum_sum())

    def tables(self) -> dict[str, pl.DataFrame]:
        """By name, what the pictures show."""
        return {
            "learning_curve": self.learning_curve,
            "gains": self.gains,
            "mean_contributions": self.mean_contributions(),
            "calibration": self.calibration(),
            "cumulative_rank_ic": self.cumulative_rank_ic(),
        }


def gather(booster: xgb.Booster, rows: pl.DataFrame, *, held: pl.DataFrame, learning_curve: pl.DataFrame) -> Evidence:
    """The evidence of a booster, its contributions those of 1000 rows drawn with a seed.

    Parameters
    ----------
    rows : with the booster's features, null = unknown: what it was fitted on.
    held, learning_curve : as `Evidence` says.

    Raises
    ------
    BadArgument : a table lacks a column.
    """
    import xgboost as xgb

    features = list(booster.feature_names or [])
    require_columns(rows.columns, *features)
    require_columns(held.columns, "session", "ticker", "score", "label", "ret")
    require_columns(learning_curve.columns, "round", "train", "validation")
    drawn = np.random.default_rng(SEED).choice(rows.height, min(SAMPLE_ROWS, rows.height), replace=False)
    values = rows[np.sort(drawn)].select(pl.col(features).cast(pl.Float64))
    matrix = xgb.DMatrix(values.cast(pl.Float32).to_numpy(), feature_names=features, nthread=1)
    contributions = booster.predict(matrix, pred_contribs=True)[:, :-1]  # the last column is the bias
    return Evidence(
        learning_curve=learning_curve.select("round", "train", "validation"),
        held=held.select("session", "ticker", "score", "label", "ret"),
        gains=pl.DataFrame(importances(booster), schema={"feature": pl.String, "share": pl.Float64}, orient="row"),
        values=values,
        contributions=pl.DataFrame(contributions.astype(np.float64), schema=features),
    )


def by_fold(
    rows: pl.DataFrame, features: Sequence[str], parameters: Mapping[str, Any], *, n_rounds: int
) -> dict[str, tuple[float | None, ...]]:
    """`cv_log_loss` (nats) and `cv_auc` of five purged and embargoed folds, in order of time, of models grown as the one in question.

    They tell how evenly its parameters do over the years. A fold also learns from what came later, and the last sessions chose the number
    of rounds: skill out of sample they are not.

    Parameters
    ----------
    rows : session, label (0, 1), label_end and the features, null = unknown.
    n_rounds : trees of each model.

    Returns
    -------
    Of a fold whose rows have one outcome no AUC is defined: None.
    """
    from sklearn.metrics import log_loss, roc_auc_score

    from quant_assets.models.trees import boosted, quantile_matrix

    values, label = values_of(rows, features, np.float32), rows["label"].to_numpy()
    losses: list[float | None] = []
    aucs: list[float | None] = []
    for train, test in PurgedKFold(label_span=rows.select("label_end", label_start="session")).split(rows):
        booster, _ = boosted(parameters, quantile_matrix(values[train], label[train], features), n_rounds=n_rounds)
        score = booster.inplace_predict(values[test])
        losses.append(float(log_loss(label[test], score, labels=[0, 1])))
        aucs.append(float(roc_auc_score(label[test], score)) if np.unique(label[test]).size == 2 else None)
    return {"cv_log_loss": tuple(losses), "cv_auc": tuple(aucs)}


def _wilson(successes: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    limits = binomtest(successes, n).proportion_ci(method="wilson")
    return float(limits.low), float(limits.high)
