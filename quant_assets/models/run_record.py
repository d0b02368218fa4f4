"""A run of MLflow as plain data: what is told of it besides its files. `tracking.py` sends it, `kept_runs.py` keeps it meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from quant_assets.errors import ModelError

Value = str | int | float | bool
State = Literal["COMPLETE", "PRUNED", "FAIL"]


@dataclass(frozen=True)
class Trial:
    """One setting that a search tried.

    Parameters
    ----------
    params : what was searched over, by name.
    value : of the objective, None where the trial was stopped before it had one.
    folds : the objective in each fold that was reached, in the order of the folds.
    state : as Optuna names it.
    """

    number: int
    params: Mapping[str, Value]
    value: float | None
    folds: tuple[float, ...]
    state: State


@dataclass(frozen=True)
class Measured:
    """A figure of a run, or of its fold `step`."""

    name: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class RunRecord:
    """What MLflow is told of a run.

    Parameters
    ----------
    started_ms : milliseconds since 1970, UTC.
    identity : the tags by which the same run is found again, whoever logs it.
    tags : what else is said of it, and may change.
    trials : become runs nested in it.
    register_as : name of the registered model whose newest version it becomes, its files below `model`; None: it is not registered. The
        identity then says its `cutoff`, as "2010-10-01".
    dagster_run : id of the run that made it, for whoever looks for its log.
    """

    experiment: str
    name: str
    started_ms: int
    identity: Mapping[str, str]
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[Measured, ...]
    trials: tuple[Trial, ...] = ()
    register_as: str | None = None
    dagster_run: str | None = None

    @property
    def kept_id(self) -> str:
        """What it is called until MLflow has given it an id: 32 hex digits, the same for the same identity."""
        return hashlib.sha256(json.dumps([self.experiment, dict(self.identity)], sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """Raises ModelError where the text is no record, or damaged."""
        try:
            return TypeAdapter(cls).validate_python(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise ModelError(f"no record of a run ({str(error).splitlines()[0]})", remedy="train that cut-off again") from None
