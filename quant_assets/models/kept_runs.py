"""Runs that wait for a tracking server that is down: each a folder of plain files, kept until it has been sent.

Who decides that a run must wait, and when all are sent, is `registry.py`. A folder holds no address, so it can be copied and restored.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from quant_assets.errors import ModelError
from quant_assets.models.run_record import RunRecord

RECORD = "run.json"
FILES = "files"
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class KeptRun:
    """A run that waits. Its folder is called after its turn and the id it has meanwhile."""

    folder: Path

    @property
    def kept_id(self) -> str:
        return self.folder.name.rpartition("-")[2]

    @property
    def files(self) -> Path:
        return self.folder / FILES

    def record(self) -> RunRecord:
        """Raises ModelError where it is damaged."""
        try:
            return RunRecord.from_json((self.folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ModelError) as error:
            raise ModelError(
                f"the run that waits in {self.folder} is damaged ({error})", remedy="delete the folder and train again"
            ) from None


class KeptRuns:
    """Those that wait in one folder, to be changed by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def waiting(self) -> list[KeptRun]:
        """In the order in which they came."""
        return [KeptRun(place) for place in sorted(self.folder.glob("[0-9]*-*"))]

    def of(self, kept_id: str) -> list[KeptRun]:
        """Those of one training, the latest first: it may have been logged several times, once with more files than another."""
        return [run for run in reversed(self.waiting()) if run.kept_id == kept_id]

    def keep(self, record: RunRecord, files: Path) -> KeptRun:
        """Copies a run here, whole or not at all.

        Raises
        ------
        ModelError : the folder cannot be written.
        """
        beside = self.folder / UNFINISHED
        turn = max((int(run.folder.name.partition("-")[0]) for run in self.waiting()), default=0) + 1
        kept = KeptRun(self.folder / f"{turn:06d}-{record.kept_id}")
        try:
            self._clear(beside)
            shutil.copytree(files, beside / FILES)
            (beside / RECORD).write_text(record.to_json(), encoding="utf-8")
            beside.rename(kept.folder)
        except OSError as error:
            raise ModelError(f"{self.folder} cannot be written ({error.strerror or error})", remedy="make the folder writable") from None
        return kept

    def drop(self, run: KeptRun) -> None:
        """Removes a run that has been sent; killed meanwhile, half of it is no run that waits."""
        beside = self.folder / UNFINISHED
        self._clear(beside)
        run.folder.rename(beside)
        self._clear(beside)

    def _clear(self, beside: Path) -> None:
        if beside.exists():
            shutil.rmtree(beside)
