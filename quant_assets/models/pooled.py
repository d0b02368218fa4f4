"""The pooled signal model: gradient-boosted trees over all names at once, trained anew at each quarterly cut-off.

Where it is tracked and registered is `registry.py`'s business; which rows it may learn from is `validation/purged.py`'s.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.errors import ModelError
from quant_assets.features.catalog import feature_set_hash
from quant_assets.models.sample import refuse_infinite, refuse_other_features, refuse_short, refuse_unknown, values_of
from quant_assets.models.terms import (
    MEMBERS,
    MIN_CHILD_WEIGHT,
    MIN_HISTORY_SESSIONS,
    MIN_TRAINING_SESSIONS,
    SUBSAMPLE,
    VALIDATION_SESSIONS,
    rows_to_split,
)
from quant_assets.validation.purged import learnable, recent_slice

if TYPE_CHECKING:
    import xgboost as xgb

    from quant_assets.models.evidence import Evidence

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
    "min_child_weight": MIN_CHILD_WEIGHT,
    "subsample": SUBSAMPLE,
    "colsample_bytree": 0.8,
    "lambda": 10.0,
    "nthread": 1,
    "seed": SEED,
}


@dataclass(frozen=True)
class TrainedModel:
    """One cut-off's model with all that its row in `model_runs` says, the booster and its bootstrap members.

    Parameters
    ----------
    parameters : as `xgboost.train` names them.
    evidence : None where none was asked for.
    by_fold : `cv_log_loss` (nats) and `cv_auc` of five purged folds (`evidence.by_fold`); empty where no evidence was asked for.
    """

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
    parameters: Mapping[str, Any]
    evidence: Evidence | None = None
    by_fold: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


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
    keys = features.select("ticker", "session").with_row_index("place").filter(pl.col("session") < cutoff)
    known = with_history(keys).join(learnable(labels, cutoff), on=["ticker", "session"]).sort("session", "ticker")
    # The many columns are gathered once: filtered, joined and sorted in turn they take twice as long.
    return pl.concat([features[known["place"]], known.drop("place", "ticker", "session")], how="horizontal")


def train(
    rows: pl.DataFrame,
    cutoff: dt.date,
    *,
    features: Sequence[str],
    with_members: bool = False,
    with_evidence: bool = False,
    parameters: Mapping[str, Any] | None = None,
) -> TrainedModel:
    """Trains the model of one cut-off.

    The number of trees is chosen on the last 252 sessions, purged and embargoed from what comes before them; the model is then
    fitted again on all rows with that number.

    Parameters
    ----------
    rows : from `training_rows`; label (0, 1), label_end, session, ticker and the features, null where unknown.
    with_members : also fit 100 members on circular blocks of 21 sessions, for score intervals.
    with_evidence : also gather what `evidence.py` says of the model; rows then need `ret`.
    parameters : of the trees, as `xgboost.train` names them; None: PARAMETERS.

    Raises
    ------
    ModelError : fewer than 504 sessions; only one class, before the held sessions or in them; fewer rows before them than a tree needs to
        split once; a feature that is infinite, or unknown in every row of more than one name.
    """
    from quant_assets.models.trees import boosted  # with XGBoost and scikit-learn two seconds: only where something is trained

    n_sessions = rows["session"].n_unique()
    if n_sessions < MIN_TRAINING_SESSIONS or rows["label"].n_unique() < 2:
        raise ModelError(
            f"cut-off {cutoff}: {n_sessions} labelled sessions (at least {MIN_TRAINING_SESSIONS} with both outcomes are needed)",
            remedy="materialise more history or choose a later cut-off",
        )
    fit, validation = recent_slice(rows, VALIDATION_SESSIONS)
    parameters = parameters or PARAMETERS
    _refuse_features(rows, features)
    _refuse_outcomes(fit, validation, rows.height, parameters)
    learnt = _matrix(fit, features)
    held = _matrix(validation, features, like=learnt)
    curve: dict[str, Any] | None = {} if with_evidence else None
    scout, best_round = boosted(parameters, learnt, n_rounds=MAX_ROUNDS, held=held, patience_rounds=PATIENCE_ROUNDS, curve=curve)
    booster, _ = boosted(parameters, _matrix(rows, features), n_rounds=best_round)
    members = _members(rows, features, parameters, best_round, seed=cutoff.toordinal()) if with_members else ()
    scores = scout.predict(held, iteration_range=(0, best_round))
    held_log_loss, held_auc = _validation_figures(validation, scores)
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
        parameters=parameters,
        evidence=None if curve is None else _evidence(booster, rows, validation.with_columns(score=pl.Series(scores)), curve),
        by_fold={} if curve is None else _by_fold(rows, features, parameters, best_round),
    )


def predict(booster: xgb.Booster, rows: pl.DataFrame, *, features: Sequence[str]) -> npt.NDArray[np.float64]:
    """P(close[t+3] > close[t]) for each row, (n_rows,); a null feature is what the trees learned to do without.

    Raises
    ------
    ModelError : the booster was trained on other columns, or in another order.
    """
    refuse_other_features(booster.feature_names or [], features)
    return np.asarray(booster.inplace_predict(values_of(rows, features, np.float32)), dtype=np.float64)


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


def _refuse_features(rows: pl.DataFrame, features: Sequence[str]) -> None:
    """A source without highs, lows or volumes leaves a name some features that no row knows: its own trees do without, a pool's may not."""
    values = values_of(rows, features, np.float32)
    refuse_infinite(values, features)
    if rows["ticker"].n_unique() > 1:
        refuse_unknown(values, features)


def _refuse_outcomes(fit: pl.DataFrame, validation: pl.DataFrame, n_rows: int, parameters: Mapping[str, Any]) -> None:
    least = rows_to_split(parameters.get("min_child_weight", 1), parameters.get("subsample", 1))  # XGBoost's own defaults
    refuse_short(fit["label"].to_numpy(), n_rows, held_sessions=VALIDATION_SESSIONS, least=least)
    n_up = int(validation["label"].to_numpy().sum())
    if n_up in (0, validation.height):
        raise ModelError(
            f"{n_up} of the {validation.height} labels in the {VALIDATION_SESSIONS} held sessions are 1 (both outcomes are needed)",
            remedy="choose another cut-off, or labels that do not run one way for a year",
        )


def _matrix(rows: pl.DataFrame, features: Sequence[str], *, like: xgb.DMatrix | None = None) -> xgb.QuantileDMatrix:
    from quant_assets.models.trees import quantile_matrix

    return quantile_matrix(values_of(rows, features, np.float32), rows["label"].to_numpy(), features, like=like)


def _members(
    rows: pl.DataFrame, features: Sequence[str], parameters: Mapping[str, Any], best_round: int, *, seed: int
) -> tuple[xgb.Booster, ...]:
    """Models fitted on resampled blocks of sessions: a session drawn twice weighs twice, one not drawn not at all."""
    from quant_assets.models.trees import boosted

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
        booster, _ = boosted({**parameters, "seed": SEED + 1 + member}, own.matrix, n_rounds=best_round)
        return booster

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(fit, range(MEMBERS)))


def _evidence(booster: xgb.Booster, rows: pl.DataFrame, held: pl.DataFrame, curve: Mapping[str, Any]) -> Evidence:
    from quant_assets.models.evidence import gather

    train, validation = (next(iter(curve[name].values())) for name in ("train", "held"))
    learning = pl.DataFrame({"round": range(1, len(train) + 1), "train": train, "validation": validation})
    return gather(booster, rows, held=held.with_columns(pl.col("score").cast(pl.Float64)), learning_curve=learning)


def _by_fold(
    rows: pl.DataFrame, features: Sequence[str], parameters: Mapping[str, Any], best_round: int
) -> dict[str, tuple[float | None, ...]]:
    from quant_assets.models.evidence import by_fold

    return by_fold(rows, features, parameters, n_rounds=best_round)


def _validation_figures(validation: pl.DataFrame, score: npt.NDArray[np.float32]) -> tuple[float, float]:
    """(log-loss, AUC)."""
    from sklearn.metrics import log_loss, roc_auc_score

    label = validation["label"].to_numpy()
    return float(log_loss(label, score)), float(roc_auc_score(label, score))
