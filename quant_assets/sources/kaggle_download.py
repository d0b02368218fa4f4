"""Kaggle's set "price-volume data for all US stocks & ETFs" into the folder of native files, once.

kagglehub streams an archive of half a gigabyte to disk and goes on where it was cut; it cannot be given a session, so this is the one
request that does not ride on the wire.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quant_assets.errors import BadArgument, SourceError, SourceUnavailable
from quant_assets.settings import Settings
from quant_assets.sources.native_files import NAME, REPLACED, native_folder, ticker_of

HANDLE = "borismarjanovic/price-volume-data-for-all-us-stocks-etfs"
USER_VARIABLE, KEY_VARIABLE = "KAGGLE_USERNAME", "KAGGLE_KEY"
UNFINISHED, DONE = ".kagglehub", ".kaggle-downloaded"
REFUSALS, TOO_MANY, SERVERS_FAULT = (401, 403), (408, 429), 500


def download(settings: Settings) -> int:
    """Downloads the set unless that was done before; returns how many files are new. A file that is there already stays as it is.

    Raises
    ------
    BadArgument : kagglehub is not installed.
    SourceError : no key is set, or Kaggle refuses it; SourceUnavailable : it does not answer, or what came is damaged.
    """
    folder = native_folder(settings)
    if (folder / DONE).exists():
        return 0
    if find_spec("kagglehub") is None:
        raise BadArgument(
            "the download needs kagglehub, which is not installed", remedy="pip install -e '.[live]', or 'quant-assets[live]'"
        )
    for variable in (USER_VARIABLE, KEY_VARIABLE):
        if not os.environ.get(variable):
            raise SourceError(f"{NAME}: no key in {variable}", remedy="make a token at kaggle.com/settings and set both of its values")
    base_url = settings.sources[NAME].base_url if NAME in settings.sources else None
    folder.mkdir(parents=True, exist_ok=True)
    with _asked_at(base_url), _cached_in(folder / UNFINISHED):
        unpacked = _fetched()
    n_new = sum([_placed(file, folder) for file in sorted(unpacked.rglob("*")) if file.is_file() and ticker_of(file)])
    (folder / DONE).write_text(f"{HANDLE} {unpacked.name}\n")
    shutil.rmtree(folder / UNFINISHED)
    return n_new


def _fetched() -> Path:
    """The folder of the unpacked set."""
    import kagglehub

    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # it would print on standard output
    again = "run it again, it goes on where it was cut"
    # No text of kagglehub's or of what it rides on is repeated: it may hold what was sent.
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except OSError as error:  # also whatever became of a request
        response = getattr(error, "response", None)
        if response is not None:
            raise _answered(_status(response)) from None
        if error.errno:
            told = f"{NAME}: the download cannot be written ({os.strerror(error.errno)})"
            raise SourceError(told, remedy="free disk space, or make the folder writable") from None
        raise SourceUnavailable(f"{NAME}: the download of {HANDLE} broke off ({type(error).__name__})", remedy=again) from None
    except Exception as error:  # kagglehub has no class for its own: a wrong checksum, an archive that is none
        raise SourceUnavailable(f"{NAME}: what came of {HANDLE} cannot be used ({type(error).__name__})", remedy=again) from None


def _status(response: Any) -> int:
    """The status of an answer, also of one that says in its JSON only that it is an error."""
    if response.status_code >= 400:
        return int(response.status_code)
    try:
        return int(response.json()["code"])
    except (ValueError, LookupError, TypeError):
        return int(response.status_code)


def _answered(status: int) -> SourceError:
    if status in REFUSALS:
        return SourceError(f"{NAME}: the key in {KEY_VARIABLE} was refused ({status})", remedy="make a new token at kaggle.com/settings")
    told = f"{NAME}: {HANDLE} was answered {status}"
    if status in TOO_MANY or status >= SERVERS_FAULT:
        return SourceUnavailable(told, remedy="run it again later")
    return SourceError(told, remedy="look whether Kaggle still has the set")


def _placed(file: Path, folder: Path) -> bool:
    """Moves the file to the folder, or, where another one has its name, to the replaced: the set holds some twice."""
    target, content = folder / file.name.lower(), file.read_bytes()
    if not target.exists():
        os.replace(file, target)
        return True
    if target.read_bytes() != content:
        aside = folder / REPLACED / f"{target.name}.{hashlib.sha256(content).hexdigest()[:12]}"
        aside.parent.mkdir(exist_ok=True)
        os.replace(file, aside)
    return False


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """kagglehub keeps what it has so far here instead of in the user's home."""
    before = os.environ.get("KAGGLEHUB_CACHE")
    os.environ["KAGGLEHUB_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("KAGGLEHUB_CACHE")
        if before is not None:
            os.environ["KAGGLEHUB_CACHE"] = before


@contextmanager
def _asked_at(base_url: str | None) -> Iterator[None]:
    """The server of `sources.kaggle.base_url`; the SDK has no setting for one."""
    if base_url is None:
        yield
        return
    from kagglesdk import kaggle_env

    production = kaggle_env.KaggleEnv.PROD
    before = kaggle_env._env_to_endpoint[production]
    kaggle_env._env_to_endpoint[production] = base_url.rstrip("/")
    try:
        yield
    finally:
        kaggle_env._env_to_endpoint[production] = before
