"""Gradient-boosted trees: XGBoost, LightGBM and CatBoost with one set of parameters, named as the first two name them.

The pooled model, whose bytes are the same at every cut-off's repetition, is `pooled.py`'s business; choosing parameters is `tune.py`'s.
"""

from __future__ import annotations

import ctypes
import importlib
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.errors import BadArgument, ModelError
from quant_assets.models.learner import COUNT, Learner, Limit
from quant_assets.models.sample import Floats, Sample, Task, refuse_short
from quant_assets.models.terms import CURVATURE, MIN_CHILD_WEIGHT, SUBSAMPLE, rows_to_split
from quant_assets.validation.purged import recent_slice
from quant_assets.validation.spans import LabelSpans
from quant_assets.validation.splitter import Places

if TYPE_CHECKING:
    import xgboost as xgb


@dataclass(eq=False, repr=False, kw_only=True)
class BoostedTrees(Learner):
    """Shallow, slow and heavily regularised trees: daily returns hold little signal, and deep trees find what is not there.

    Where sessions are held out, their loss chooses the number of trees, and the model is then fitted again on all rows with that number.

    Parameters
    ----------
    task : a ranking learns grades within the rows of one `label_start`.
    n_rounds : trees at most; exactly so many where nothing is held out.
    held_sessions : the last so many sessions (by `label_start`) are held out, purged and embargoed from what comes before them: a year by
        default, so that every season and some change of regime judges. None holds nothing out.
    patience_rounds : rounds without improvement on the held sessions, after which no more trees are grown: 25 of rate 0.05 outlast the
        noise of that loss.
    max_depth : 4, interactions of four features at most.
    learning_rate : of 0.05, since the best round of daily returns often lies below ten, where a higher rate leaves no choice.
    subsample, colsample_bytree : share of rows and of features that a tree sees, 0.8: names of one session move together, so that many
        rows tell one thing.
    reg_lambda : weight of the squared leaf values, beside the number of a leaf's rows times their curvature.
    seed : of rows, features and whatever else is drawn.

    Attributes
    ----------
    booster_ : the library's own model.
    best_round_ : trees of it.
    held_rows_ : (n_held,) places in X of the rows that were held out; empty where none were.
    held_scores_ : (n_held,) what the model that had not seen them said, as `scores` does.
    """

    TASKS: ClassVar[tuple[Task, ...]] = ("classification", "regression", "ranking")
    PRECISION: ClassVar[type[np.floating[Any]]] = np.float32
    LIMITS: ClassVar[Mapping[str, Limit]] = {
        "n_rounds": COUNT,
        "held_sessions": COUNT,
        "patience_rounds": COUNT,
        "max_depth": Limit(1, 16, whole=True),  # CatBoost knows no deeper tree
        "learning_rate": Limit(0, 1, above=True),
        "subsample": Limit(0, 1, above=True),
        "colsample_bytree": Limit(0, 1, above=True),
        "reg_lambda": Limit(0),
        "seed": Limit(0, whole=True),
    }

    task: Task = "classification"
    n_rounds: int = 300
    held_sessions: int | None = 252
    patience_rounds: int = 25
    max_depth: int = 4
    learning_rate: float = 0.05
    subsample: float = SUBSAMPLE
    colsample_bytree: float = 0.8
    reg_lambda: float = 10.0
    seed: int = 7

    @abstractmethod
    def _grow(self, sample: Sample, n_rounds: int, held: Sample | None) -> tuple[Any, int]:
        """(booster, its best round): stopped early by the held rows, where there are any."""

    def _least_rows(self, n_features: int) -> int:
        return 1 << (self.max_depth + 1)  # two in each leaf

    def _fit(self, sample: Sample) -> None:
        order, ordered = np.arange(len(sample)), sample
        if self.task == "ranking":  # the libraries want the rows of a session side by side
            order = np.argsort(_span(sample).start, kind="stable")
            ordered = sample.take(order)
        self.best_round_, self.held_rows_, self.held_scores_ = self.n_rounds, order[:0], np.empty(0)
        if self.held_sessions is not None:
            fit, held = _recent(_span(ordered), self.held_sessions)
            known, unseen = ordered.take(fit), ordered.take(held)
            refuse_short(known.target, len(sample), held_sessions=self.held_sessions, least=self._least_rows(len(sample.features)))
            self.booster_, self.best_round_ = self._grow(known, self.n_rounds, unseen)
            self.held_rows_, self.held_scores_ = order[held], np.asarray(self._scores(unseen.values), dtype=np.float64)
        self.booster_, _ = self._grow(ordered, self.best_round_, None)


def _span(sample: Sample) -> LabelSpans:
    if sample.span is None:
        raise ModelError("trees stop early by when labels end", remedy="pass label_span, or set held_sessions=None to grow n_rounds trees")
    return sample.span


def _recent(span: LabelSpans, n_sessions: int) -> tuple[Places, Places]:
    """(fit, held): places of the rows before the last sessions, purged and embargoed, and of the rows in those sessions."""
    rows = pl.DataFrame({"session": span.start, "label_end": span.end}).with_row_index("place").with_columns(label=0)
    fit, held = (part["place"].to_numpy().astype(np.int64) for part in recent_slice(rows, n_sessions))
    return fit, held


def _groups(sample: Sample) -> Places:
    """Rows of each session, where the rows of a session lie side by side."""
    return np.unique(_span(sample).start, return_counts=True)[1]


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BadArgument(f"this learner needs {name}, which is not installed", remedy="pip install 'quant-assets[learn]'") from None


@dataclass(eq=False, repr=False, kw_only=True)
class XGBoost(BoostedTrees):
    """Chen and Guestrin (2016), XGBoost: a scalable tree boosting system. A ranking is LambdaMART on NDCG.

    One thread: sums of histograms depend on how rows are dealt to threads, and on a processor the same rows give the same model whatever
    the number of its cores. A model grown on CUDA is another one: with `auto`, the same script gives other scores where there is a GPU than
    where there is none. Set `cpu` where scores must be repeated elsewhere.

    Parameters
    ----------
    min_child_weight : least sum of curvature in a leaf: 100 is 400 rows of a classification, so that no leaf stands on one session.
    device : `auto` is CUDA where this build of XGBoost and this machine have it, else the processor.
    """

    LIMITS: ClassVar[Mapping[str, Limit]] = {**BoostedTrees.LIMITS, "min_child_weight": Limit(0)}

    min_child_weight: float = MIN_CHILD_WEIGHT
    device: Literal["auto", "cpu", "cuda"] = "auto"

    OBJECTIVES: ClassVar[Mapping[Task, tuple[str, str]]] = {
        "classification": ("binary:logistic", "logloss"),
        "regression": ("reg:squarederror", "rmse"),
        "ranking": ("rank:ndcg", "ndcg"),
    }

    def parameters(self) -> dict[str, Any]:
        """As `xgboost.train` names them.

        Raises
        ------
        BadArgument : CUDA is asked for and not there.
        """
        objective, metric = self.OBJECTIVES[self.task]
        return {
            "objective": objective,
            "eval_metric": metric,
            "tree_method": "hist",
            "max_depth": self.max_depth,
            "eta": self.learning_rate,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample_bytree,
            "lambda": self.reg_lambda,
            "nthread": 1,
            "seed": self.seed,
            "device": _device(self.device),
        }

    def _least_rows(self, n_features: int) -> int:
        return rows_to_split(self.min_child_weight, curvature=CURVATURE if self.task == "classification" else 1)

    def _grow(self, sample: Sample, n_rounds: int, held: Sample | None) -> tuple[xgb.Booster, int]:
        parameters, learnt = self.parameters(), self._matrix(sample)
        seen = None if held is None else self._matrix(held, like=learnt)
        patience_rounds = None if held is None else self.patience_rounds
        booster, best_round = boosted(parameters, learnt, n_rounds=n_rounds, held=seen, patience_rounds=patience_rounds)
        if parameters["device"] == "cuda":
            booster.set_param({"device": "cpu"})  # rows to score lie in the processor's memory
        return booster, best_round

    def _matrix(self, sample: Sample, *, like: xgb.DMatrix | None = None) -> xgb.QuantileDMatrix:
        group, weight = None, sample.weight
        if self.task == "ranking":
            group = _groups(sample)
            weight = None if weight is None else weight[np.cumsum(group) - 1]  # XGBoost weighs sessions, not rows
        return quantile_matrix(sample.values, sample.target, sample.features, weight=weight, group=group, like=like)

    def _scores(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(self.booster_.inplace_predict(values, iteration_range=(0, self.best_round_)))

    def _stored(self) -> tuple[dict[str, Any], bytes]:
        return {"best_round": self.best_round_}, bytes(self.booster_.save_raw("ubj"))

    def _restore(self, facts: dict[str, Any], model: bytes) -> None:
        import xgboost as xgb

        self.best_round_, self.booster_ = facts["best_round"], xgb.Booster(model_file=bytearray(model))


def quantile_matrix(
    values: npt.NDArray[np.float32],
    label: npt.NDArray[Any],
    features: Sequence[str],
    *,
    weight: Floats | None = None,
    group: npt.NDArray[np.int64] | None = None,
    like: xgb.DMatrix | None = None,
) -> xgb.QuantileDMatrix:
    """What XGBoost learns from, (n_rows, n_features) values binned on one thread.

    Parameters
    ----------
    group : rows of each session, in order, of a ranking; `weight` is then (n_sessions,).
    like : the matrix whose bins to take.
    """
    import xgboost as xgb  # with scikit-learn two seconds: only where something is trained

    return xgb.QuantileDMatrix(values, label=label, weight=weight, group=group, feature_names=list(features), nthread=1, ref=like)


def boosted(
    parameters: Mapping[str, Any],
    learnt: xgb.DMatrix,
    *,
    n_rounds: int,
    held: xgb.DMatrix | None = None,
    patience_rounds: int | None = None,
    curve: dict[str, Any] | None = None,
) -> tuple[xgb.Booster, int]:
    """XGBoost's model and its best number of trees: by the loss on held rows, else all `n_rounds`.

    Parameters
    ----------
    curve : filled with the loss of each round, under `train` and `held`, which takes about as long again as growing the trees.
    """
    import xgboost as xgb

    booster = xgb.train(
        dict(parameters),
        learnt,
        num_boost_round=n_rounds,
        evals=[*([] if curve is None else [(learnt, "train")]), *([] if held is None else [(held, "held")])],
        evals_result=curve,
        early_stopping_rounds=patience_rounds,
        verbose_eval=False,
    )
    return booster, n_rounds if held is None else booster.best_iteration + 1


@dataclass(eq=False, repr=False, kw_only=True)
class LightGBM(BoostedTrees):
    """Ke and others (2017), LightGBM: a highly efficient gradient boosting decision tree. A ranking is LambdaMART on NDCG.

    Parameters
    ----------
    min_child_weight : least sum of curvature in a leaf, as XGBoost's.
    n_jobs : threads; they change no bit of the model.
    """

    LIMITS: ClassVar[Mapping[str, Limit]] = {**BoostedTrees.LIMITS, "min_child_weight": Limit(0), "n_jobs": COUNT}

    min_child_weight: float = MIN_CHILD_WEIGHT
    n_jobs: int = 1

    OBJECTIVES: ClassVar[Mapping[Task, tuple[str, str]]] = {
        "classification": ("binary", "binary_logloss"),
        "regression": ("regression", "l2"),
        "ranking": ("lambdarank", "ndcg"),
    }
    WHOLE_SESSION: ClassVar[int] = 10_000

    def parameters(self) -> dict[str, Any]:
        """As `lightgbm.train` names them."""
        objective, metric = self.OBJECTIVES[self.task]
        return {
            "objective": objective,
            "metric": metric,
            "eval_at": self.WHOLE_SESSION,  # else the first five names of each session decide when to stop
            "max_depth": self.max_depth,
            "num_leaves": 2**self.max_depth,
            "learning_rate": self.learning_rate,
            "min_sum_hessian_in_leaf": self.min_child_weight,
            "min_data_in_leaf": 1,  # the weight above decides
            "bagging_fraction": self.subsample,
            "bagging_freq": 1,
            "feature_fraction": self.colsample_bytree,
            "lambda_l2": self.reg_lambda,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,  # else the faster layout is chosen by the clock, and sums differ
            "num_threads": self.n_jobs,
            "verbosity": -1,
        }

    def _least_rows(self, n_features: int) -> int:
        return rows_to_split(self.min_child_weight, curvature=CURVATURE if self.task == "classification" else 1)

    def _grow(self, sample: Sample, n_rounds: int, held: Sample | None) -> tuple[Any, int]:
        lgb = _library("lightgbm")
        learnt = self._dataset(sample)
        if held is None:
            return lgb.train(self.parameters(), learnt, num_boost_round=n_rounds), n_rounds
        stop = lgb.early_stopping(self.patience_rounds, verbose=False)
        seen = self._dataset(held, like=learnt)
        booster = lgb.train(self.parameters(), learnt, num_boost_round=n_rounds, valid_sets=[seen], callbacks=[stop])
        return booster, booster.best_iteration

    def _dataset(self, sample: Sample, *, like: Any = None) -> Any:
        group = _groups(sample) if self.task == "ranking" else None
        return _library("lightgbm").Dataset(
            sample.values,
            label=sample.target,
            weight=sample.weight,
            group=group,
            feature_name=list(sample.features),
            params=self.parameters(),
            reference=like,
        )

    def _scores(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(self.booster_.predict(values, num_iteration=self.best_round_, num_threads=self.n_jobs))

    def _stored(self) -> tuple[dict[str, Any], bytes]:
        return {"best_round": self.best_round_}, self.booster_.model_to_string().encode()

    def _restore(self, facts: dict[str, Any], model: bytes) -> None:
        self.best_round_, self.booster_ = facts["best_round"], _library("lightgbm").Booster(model_str=model.decode())


@dataclass(eq=False, repr=False, kw_only=True)
class CatBoost(BoostedTrees):
    """Prokhorenkova and others (2018), CatBoost: unbiased boosting with categorical features. A ranking is YetiRank.

    Its trees are symmetric: one split a level, which regularises by itself, and no least weight of a leaf.

    Parameters
    ----------
    n_jobs : threads; they change no bit of the model.
    """

    LIMITS: ClassVar[Mapping[str, Limit]] = {**BoostedTrees.LIMITS, "n_jobs": COUNT}

    n_jobs: int = 1

    OBJECTIVES: ClassVar[Mapping[Task, tuple[str, str]]] = {
        "classification": ("Logloss", "Logloss"),
        "regression": ("RMSE", "RMSE"),
        "ranking": ("YetiRank", "NDCG"),
    }

    def parameters(self) -> dict[str, Any]:
        """As the constructor `catboost.CatBoost` names them."""
        objective, metric = self.OBJECTIVES[self.task]
        return {
            "loss_function": objective,
            "eval_metric": metric,
            "depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "bootstrap_type": "Bernoulli",
            "subsample": self.subsample,
            "rsm": self.colsample_bytree,
            "l2_leaf_reg": self.reg_lambda,
            "random_seed": self.seed,
            "thread_count": self.n_jobs,
            "allow_writing_files": False,
            "verbose": False,
        }

    def _grow(self, sample: Sample, n_rounds: int, held: Sample | None) -> tuple[Any, int]:
        booster = _library("catboost").CatBoost(self.parameters() | {"iterations": n_rounds})
        if held is None:
            return booster.fit(self._pool(sample)), n_rounds
        booster.fit(self._pool(sample), eval_set=self._pool(held), early_stopping_rounds=self.patience_rounds)
        return booster, booster.get_best_iteration() + 1

    def _pool(self, sample: Sample) -> Any:
        ranked = self.task == "ranking"
        return _library("catboost").Pool(
            sample.values,
            label=sample.target,
            weight=None if ranked else sample.weight,
            group_id=np.repeat(np.arange(len(_groups(sample))), _groups(sample)) if ranked else None,
            group_weight=sample.weight if ranked else None,
            feature_names=list(sample.features),
            thread_count=self.n_jobs,
        )

    def _scores(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        kind = "Probability" if self.task == "classification" else "RawFormulaVal"
        scores = np.asarray(self.booster_.predict(values, prediction_type=kind, thread_count=self.n_jobs))
        return scores[:, 1] if self.task == "classification" else scores

    def _stored(self) -> tuple[dict[str, Any], bytes]:
        with tempfile.TemporaryDirectory() as folder:
            self.booster_.save_model(str(Path(folder) / "booster.cbm"))
            return {"best_round": self.best_round_}, (Path(folder) / "booster.cbm").read_bytes()

    def _restore(self, facts: dict[str, Any], model: bytes) -> None:
        self.best_round_, self.booster_ = facts["best_round"], _library("catboost").CatBoost()
        self.booster_.load_model(blob=model)


def _device(wanted: str) -> str:
    """`cpu` or `cuda`. Raises BadArgument when CUDA is wanted and not there, or no such device is known."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise BadArgument(f"device of this XGBoost is {wanted!r}", remedy="set device to auto, cpu or cuda")
    if wanted == "cpu":
        return wanted
    there = _cuda()
    if wanted == "cuda" and not there:
        raise BadArgument("this machine, or this build of XGBoost, has no CUDA", remedy='set device="cpu" or "auto"')
    return "cuda" if there else "cpu"


def _cuda() -> bool:
    """Whether XGBoost was built for CUDA and the driver counts a device."""
    import xgboost as xgb

    if not xgb.build_info().get("USE_CUDA"):
        return False
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    n_devices = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(n_devices)) == 0 and n_devices.value > 0
