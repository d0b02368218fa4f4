"""Copies of models that a tracking server holds, so that nights go on while it is down: one archive a model, called after its run.

A cache: whatever is missing or damaged is downloaded again. Runs that no server holds yet are in `kept_runs.py`.
"""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from quant_assets.models.model_files import BOOSTER, OF_MODEL, UNREADABLE, StoredModel, read
from quant_assets.models.tracking import reason

KEPT_MODELS = 1000
"""Ten years of cut-offs of the pooled model and of two dozen names alone: some 20 MB, and 5 MB for each that has members."""
NO_ARCHIVE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError)
"""What `zipfile` raises of damaged files: the last two where a flag or a length is what was damaged."""

logger = logging.getLogger("quant_assets")


class SentModels:
    """Those in one folder; many processes may read and add at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, run_id: str) -> StoredModel | None:
        """The model of a run; None where it is not here, or its archive was damaged, which is dropped and told."""
        archive = self._archive(run_id)
        if not archive.exists():
            return None
        try:
            with tempfile.TemporaryDirectory() as folder:
                _unpack(archive, Path(folder))
                model = read(run_id, Path(folder))
        except (*UNREADABLE, *NO_ARCHIVE) as error:
            logger.warning("%s is damaged and was dropped (%s)", archive, reason(error))
            with suppress(OSError):
                archive.unlink()
            return None
        with suppress(OSError):  # of a folder that can only be read, nothing is dropped either
            os.utime(archive)
        return model

    def keep(self, run_id: str, files: Path) -> None:
        """Adds the model whose files lie in the folder, if any; what an earlier copy holds besides stays, as it does on the server. Then
        drops those that have not been read for longest, beyond KEPT_MODELS. Where that cannot be written, it is told.
        """
        if not (files / BOOSTER).exists():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as folder:
                place, packed = Path(folder) / "files", Path(folder) / "packed.zip"
                place.mkdir()
                with suppress(FileNotFoundError, *NO_ARCHIVE):
                    _unpack(self._archive(run_id), place)
                with zipfile.ZipFile(packed, "w") as archive:
                    for name in OF_MODEL:
                        source = files / name if (files / name).exists() else place / name
                        if source.exists():
                            archive.write(source, name)
                packed.replace(self._archive(run_id))
            self._drop_oldest()
        except OSError as error:
            what = "%s cannot be written (%s): run %s cannot be loaded while its server is down"
            logger.warning(what, self.folder, error.strerror or error, run_id)

    def _archive(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.zip"

    def _drop_oldest(self) -> None:
        read_last = sorted(self.folder.glob("*.zip"), key=lambda archive: archive.stat().st_mtime_ns, reverse=True)
        for archive in read_last[KEPT_MODELS:]:
            archive.unlink(missing_ok=True)


def _unpack(archive: Path, folder: Path) -> None:
    """Raises FileNotFoundError, or NO_ARCHIVE also where the content is not what was packed: archives hold checksums."""
    with zipfile.ZipFile(archive) as packed:
        for name in set(OF_MODEL) & set(packed.namelist()):
            packed.extract(name, folder)
