"""Where trials are kept: Optuna's study in a database or a journal, refused when it was made for something else. What a trial is worth is
`tune.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from quant_assets.errors import ModelError

optuna.logging.set_verbosity(optuna.logging.WARNING)

Direction = Literal["maximize", "minimize"]
Storage = str | Path | None
IDENTITY = "identity"
STARTUP_TRIALS = 5


def open_study(name: str, storage: Storage, direction: Direction, identity: Mapping[str, Any]) -> optuna.Study:
    """The study of this name, made if it is not there; a trial that was interrupted has failed.

    Parameters
    ----------
    storage : URL (`sqlite:///...`), path of a journal file, or None: in memory.
    identity : what the study is made for, as JSON has it.

    Raises
    ------
    ModelError : it was made for something else, or cannot be read; nothing is changed.
    """
    try:
        study = _found_or_made(name, _storage(storage), direction)
        kept, trials = study.user_attrs.get(IDENTITY), study.get_trials(deepcopy=False)
    except (SQLAlchemyError, OSError, ValueError, AssertionError) as error:  # the last: a journal that is none
        why = str(error).splitlines()[0]
        raise ModelError(f"studies at {storage} cannot be read ({why})", remedy="restore the file or name another one") from None
    if kept is None and not trials:
        study.set_user_attr(IDENTITY, dict(identity))
    elif kept != identity:
        raise ModelError(f"study {name!r} {_difference(kept or {}, identity)}", remedy="give this one another name or storage")
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    return study


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were completed or pruned, in order."""
    trials: list[FrozenTrial] = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return trials


def _found_or_made(name: str, storage: optuna.storages.BaseStorage | str | None, direction: Direction) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1)
    if storage is not None:
        with suppress(KeyError):  # asked first, since a journal notes even a study that is not made because it is there
            return optuna.load_study(study_name=name, storage=storage, pruner=pruner)
    return optuna.create_study(storage=storage, study_name=name, direction=direction, pruner=pruner)


def _storage(where: Storage) -> optuna.storages.BaseStorage | str | None:
    if where is None or "://" in str(where):
        return None if where is None else str(where)
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(str(where)))


def _difference(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return "has " + "; ".join(f"{name} {kept.get(name)} and not {now[name]}" for name in now if kept.get(name) != now[name])
