"""The pooled signal model: gradient-boosted trees over all names at once, trained anew at each quarterly cut-off.

Where it is tracked and registered is `registry.py`'s business; which rows it may learn from is `validation/purged.py`'s.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.errors import ModelError
from quant_assets.features.catalog import feature_set_hash
from quant_assets.models.terms import MEMBERS, MIN_HISTORY_SESSIONS
from quant_assets.validation.purged import learnable, recent_slice

if TYPE_CHECKING:
    import xgboost as xgb

VALIDATION_SESSIONS = 252
MIN_TRAINING_SESSIONS = 2 * VALIDATION_SESSIONS
MEMBER_BLOCK_SESSIONS = 21
MAX_ROUNDS = 300
PATIENCE_ROUNDS = 25
SEED = 7

# Shallow, slow and heavily regularised: daily returns hold little signal and deep trees find what is not there. One thread, since
# histogram sums depend on how rows are dealt to threads, and the same cut-off must give the same scores on every machine.
PARAMETERS = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "max_depth": 4,
    "eta": 0.05,
    "min_child_weight": 100,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "lambda": 10.0,
    "nthread": 1,
    "seed": SEED,
}


@dataclass(frozen=True)
class TrainedModel:
    """One cut-off's model with all that its row in `model_runs` says, the booster and its bootstrap members."""

    cutoff: dt.date
    booster: xgb.Booster
    members: tuple[xgb.Booster, ...]
    features: tuple[str, ...]
    feature_set: str
    lake_version: str
    train_start: dt.date
    train_end: dt.date
    n_rows: int
    n_tickers: int
    base_rate: float
    best_round: int
    validation_auc: float
    validation_log_loss: float


def with_history(features: pl.DataFrame) -> pl.DataFrame:
    """The feature rows of names with at least 252 stored sessions up to and including the row.

    Parameters
    ----------
    features : all stored rows of each ticker from its listing on.
    """
    place = pl.int_range(1, pl.len() + 1).over("ticker", order_by="session")
    return features.filter(place >= MIN_HISTORY_SESSIONS)


def training_rows(features: pl.DataFrame, labels: pl.DataFrame, cutoff: dt.date) -> pl.DataFrame:
    """Feature rows with their labels that a model of this cut-off may learn from, sorted by session and ticker."""
    joined = with_history(features.filter(pl.col("session") < cutoff)).join(labels, on=["ticker", "session"])
    return learnable(joined, cutoff).sort("session", "ticker")


def train(rows: pl.DataFrame, cutoff: dt.date, *, with_members: bool, features: Sequence[str]) -> TrainedModel:
    """Trains the model of one cut-off.

    The number of trees is chosen on the last 252 sessions, purged and embargoed from what comes before them; the model is then
    fitted again on all rows with that number.

    Parameters
    ----------
    rows : from `training_rows`; label (0, 1), label_end, session, ticker and the features, null where unknown.
    with_members : also fit 100 members on circular blocks of 21 sessions, for score intervals.

    Raises
    ------
    ModelError : fewer than 504 sessions, or only one class.
    """
    import xgboost as xgb  # with scikit-learn two seconds: only where something is trained

    n_sessions = rows["session"].n_unique()
    if n_sessions < MIN_TRAINING_SESSIONS or rows["label"].n_unique() < 2:
        raise ModelError(
            f"cut-off {cutoff}: {n_sessions} labelled sessions (at least {MIN_TRAINING_SESSIONS} with both outcomes are needed)",
            remedy="materialise more history or choose a later cut-off",
        )
    fit, validation = recent_slice(rows, VALIDATION_SESSIONS)
    learnt = _matrix(fit, features)
    held = _matrix(validation, features, like=learnt)
    scout = xgb.train(
        PARAMETERS,
        learnt,
        num_boost_round=MAX_ROUNDS,
        evals=[(held, "validation")],
        early_stopping_rounds=PATIENCE_ROUNDS,
        verbose_eval=False,
    )
    best_round = scout.best_iteration + 1
    booster = xgb.train(PARAMETERS, _matrix(rows, features), num_boost_round=best_round)
    members = _members(rows, features, best_round, seed=cutoff.toordinal()) if with_members else ()
    held_log_loss, held_auc = _validation_scores(scout, held, validation, best_round)
    return TrainedModel(
        cutoff=cutoff,
        booster=booster,
        members=members,
        features=tuple(features),
        feature_set=feature_set_hash(features),
        lake_version=content_hash(rows.select("ticker", "session", "label", "label_end", *features)),
        train_start=rows["session"][0],
        train_end=rows["session"][-1],
        n_rows=rows.height,
        n_tickers=rows["ticker"].n_unique(),
        base_rate=float(rows["label"].to_numpy().mean()),
        best_round=best_round,
        validation_auc=held_auc,
        validation_log_loss=held_log_loss,
    )


def predict(booster: xgb.Booster, rows: pl.DataFrame, *, features: Sequence[str]) -> npt.NDArray[np.float64]:
    """P(close[t+3] > close[t]) for each row, (n_rows,); a null feature is what the trees learned to do without.

    Raises
    ------
    ModelError : the booster was trained on other columns, or in another order.
    """
    learned = list(booster.feature_names or [])
    if learned != list(features):
        raise ModelError(f"the model learned {learned} and was given {list(features)}", remedy="retrain it or restore its feature set")
    return np.asarray(booster.inplace_predict(_values(rows, features)), dtype=np.float64)


def score_interval(members: Sequence[xgb.Booster], rows: pl.DataFrame, *, features: Sequence[str]) -> npt.NDArray[np.float64]:
    """2.5 and 97.5 percentile of the members' scores for each row, (n_rows, 2)."""
    scores = np.stack([predict(member, rows, features=features) for member in members])
    limits: npt.NDArray[np.float64] = np.percentile(scores, [2.5, 97.5], axis=0)
    return limits.T


def importances(booster: xgb.Booster) -> list[tuple[str, float]]:
    """Share of the total gain of each feature the trees split on, largest first."""
    gains = {str(name): float(gain) for name, gain in booster.get_score(importance_type="total_gain").items()}
    total = sum(gains.values())
    return sorted(((name, gain / total) for name, gain in gains.items()), key=lambda pair: (-pair[1], pair[0]))


def content_hash(frame: pl.DataFrame) -> str:
    """16 hex digits over names, types and every value of the frame in its order, however they lie in memory."""
    digest = hashlib.sha256(str(frame.schema).encode())
    for column in frame:
        # Arrow leaves the bytes under a null undefined: the mask says where nulls are, and what lies there is dropped.
        values = column.drop_nulls()
        digest.update(column.is_null().to_numpy().tobytes())
        digest.update("\0".join(values).encode() if values.dtype == pl.String else values.to_physical().to_numpy().tobytes())
    return digest.hexdigest()[:16]


def _values(rows: pl.DataFrame, features: Sequence[str]) -> npt.NDArray[np.float32]:
    """(n_rows, n_features), NaN where a feature is null."""
    return rows.select(pl.col(list(features)).cast(pl.Float32)).to_numpy()


def _matrix(rows: pl.DataFrame, features: Sequence[str], *, like: xgb.DMatrix | None = None) -> xgb.QuantileDMatrix:
    import xgboost as xgb

    label = rows["label"].to_numpy()
    return xgb.QuantileDMatrix(_values(rows, features), label=label, feature_names=list(features), nthread=1, ref=like)


def _members(rows: pl.DataFrame, features: Sequence[str], best_round: int, *, seed: int) -> tuple[xgb.Booster, ...]:
    """Models fitted on resampled blocks of sessions: a session drawn twice weighs twice, one not drawn not at all."""
    import xgboost as xgb

    session = rows["session"].rank("dense").to_numpy().astype(np.int64) - 1
    n_sessions = int(session.max()) + 1
    n_blocks = -(-n_sessions // MEMBER_BLOCK_SESSIONS)
    starts = np.random.default_rng(seed).integers(0, n_sessions, (MEMBERS, n_blocks))
    own = threading.local()

    def fit(member: int) -> xgb.Booster:
        if not hasattr(own, "matrix"):  # weights are set on the matrix, so threads cannot share one
            own.matrix = _matrix(rows, features)
        drawn = (starts[member][:, None] + np.arange(MEMBER_BLOCK_SESSIONS)).ravel()[:n_sessions] % n_sessions
        own.matrix.set_weight(np.bincount(drawn, minlength=n_sessions)[session].astype(np.float32))
        return xgb.train({**PARAMETERS, "seed": SEED + 1 + member}, own.matrix, num_boost_round=best_round)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(fit, range(MEMBERS)))


def _validation_scores(scout: xgb.Booster, held: xgb.DMatrix, validation: pl.DataFrame, best_round: int) -> tuple[float, float]:
    from sklearn.metrics import log_loss, roc_auc_score

    score, label = scout.predict(held, iteration_range=(0, best_round)), validation["label"].to_numpy()
    return float(log_loss(label, score)), float(roc_auc_score(label, score))
