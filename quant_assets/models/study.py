"""Where trials are kept: Optuna's study in a database or a journal, refused when it was made for something else. What a trial is worth is
`tune.py`'s business.

One process and one thread at a time work on a study, and whoever comes second waits: a trial that is found running can then only be one
that was interrupted. Locks lie in a folder beside the file; a database on a server has none, and there one must see to it oneself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.exceptions import OptunaError
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from quant_assets.errors import ModelError

optuna.logging.set_verbosity(optuna.logging.WARNING)

Direction = Literal["maximize", "minimize"]
Storage = str | Path | None
IDENTITY = "identity"
HASHED = {"data": "made from other rows", "folds": "made with other folds"}
"""What an identity holds as a hash, which tells a reader nothing."""
STARTUP_TRIALS = 5
OPENING = "opening"


@contextmanager
def work_on(name: str, storage: Storage, direction: Direction, identity: Mapping[str, Any]) -> Iterator[optuna.Study]:
    """The study of this name, made if it is not there, held until the end; a trial that was interrupted has failed.

    Parameters
    ----------
    storage : URL (`sqlite:///...`), path of a journal file, or None: in memory.
    identity : what the study is made for, as JSON has it.

    Raises
    ------
    ModelError : it was made for something else, or cannot be read (nothing is changed); trials cannot be written to it.
    """
    with _alone(storage, hashlib.sha256(name.encode()).hexdigest()[:16]):
        with _alone(storage, OPENING):  # two that make the tables of one database at once fail
            study = _opened(name, storage, direction, identity)
        try:
            yield study
        except (OptunaError, SQLAlchemyError, OSError) as error:
            raise _unavailable(storage, error) from error


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were completed or pruned, in order."""
    trials: list[FrozenTrial] = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return trials


def _opened(name: str, storage: Storage, direction: Direction, identity: Mapping[str, Any]) -> optuna.Study:
    try:
        study = _found_or_made(name, _storage(storage), direction)
        kept, trials = study.user_attrs.get(IDENTITY), study.get_trials(deepcopy=False)
    except (OptunaError, OperationalError, PermissionError) as error:
        raise _unavailable(storage, error) from error
    except (SQLAlchemyError, OSError, ValueError) as error:
        what = f"studies at {storage} cannot be read ({_first_line(error)})"
        raise ModelError(what, remedy="restore the file or name another one") from None
    if kept is None and not trials:
        study.set_user_attr(IDENTITY, dict(identity))
    elif kept != identity:
        raise ModelError(f"study {name!r} {_difference(kept or {}, identity)}", remedy="give this one another name or storage")
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    return study


def _found_or_made(name: str, storage: optuna.storages.BaseStorage, direction: Direction) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1)
    with suppress(KeyError):  # asked first, since a journal notes even a study that is not made because it is there
        return optuna.load_study(study_name=name, storage=storage, pruner=pruner)
    return optuna.create_study(storage=storage, study_name=name, direction=direction, pruner=pruner)


def _storage(where: Storage) -> optuna.storages.BaseStorage:
    if where is None or "://" in str(where):
        return optuna.storages.get_storage(None if where is None else str(where))
    file = Path(where)
    if file.exists():
        _refuse_no_journal(file)
    return optuna.storages.JournalStorage(JournalFileBackend(str(file)))


def _refuse_no_journal(file: Path) -> None:
    """Raises ValueError at the first line that is no entry: Optuna would append to it."""
    for number, line in enumerate(file.read_bytes().splitlines(keepends=True), start=1):
        if not (line.startswith(b"{") and line.endswith(b"\n") and "op_code" in json.loads(line)):
            raise ValueError(f"line {number} is no entry of a journal")


@contextmanager
def _alone(storage: Storage, what: str) -> Iterator[None]:
    file = _file(storage)
    if file is None:
        yield
        return
    lock = FileLock(file.with_name(f"{file.name}.locks") / f"{what}.lock", fallback_to_soft=False)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _unavailable(storage, error) from error
    try:
        yield
    finally:
        lock.release()


def _file(storage: Storage) -> Path | None:
    """Of a journal or of SQLite; None where there is none."""
    if storage is None or "://" not in str(storage):
        return None if storage is None else Path(storage)
    url = make_url(str(storage))
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _unavailable(storage: Storage, error: Exception) -> ModelError:
    remedy = "see that it may be written, has room and is held by no other program, then run again: finished trials are kept"
    return ModelError(f"studies at {storage} cannot be used now ({_first_line(error)})", remedy=remedy)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _difference(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    other = [name for name in now if kept.get(name) != now[name]]
    shown = [HASHED.get(name) or f"made for {name} {kept.get(name)} and not {now[name]}" for name in other]
    return "was " + "; ".join(shown)
