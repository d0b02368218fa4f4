"""Torn files, folders that cannot be written, full disks: each ends in an error with a remedy, and harms nothing else."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from filelock import FileLock
from polars.testing import assert_frame_equal

from quant_assets.calendars import year_window
from quant_assets.errors import LakeError, LockHeld
from quant_assets.lake import Lake, store
from quant_assets_tests.lake.frames import TABLE, YEAR_2012, file_of, fingerprint, predictions, weekdays_2012

IN_2012, IN_2013 = predictions(("AAPL", "2012-06-01", 0.5)), predictions(("AAPL", "2013-06-03", 0.6))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.replace(TABLE, IN_2012, keys=None, window=YEAR_2012)
    return lake


def lock_of(lake: Lake, year: int) -> FileLock:
    return FileLock(lake.root / ".locks" / f"{TABLE}-{year}.lock", thread_local=False)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_named_with_its_remedy(lake: Lake, kept: float) -> None:
    torn = file_of(lake.root, 2012)
    whole = torn.read_bytes()
    torn.write_bytes(whole[: int(len(whole) * kept)])
    for use in (
        lambda: lake.scan(TABLE),
        lambda: lake.sql("SELECT 1"),
        lambda: lake.replace(TABLE, IN_2012, keys=None, window=YEAR_2012),
    ):
        with pytest.raises(LakeError) as failure:
            use()
        assert str(torn) in failure.value.message
        assert failure.value.remedy == "delete the file and run again: the run restores it"

    lake.replace(TABLE, IN_2013, keys=None, window=year_window(2013))
    assert_frame_equal(lake.scan(TABLE, window=year_window(2013)).collect(), IN_2013)
    torn.unlink()
    lake.replace(TABLE, IN_2012, keys=None, window=YEAR_2012)
    assert lake.scan(TABLE).collect().height == 2


def test_a_file_torn_after_it_was_read_is_noticed(lake: Lake) -> None:
    lake.scan(TABLE).collect()
    torn = file_of(lake.root, 2012)
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.raises(LakeError, match="not a readable parquet file"):
        lake.scan(TABLE)


@pytest.mark.parametrize("blocked", [".", ".locks", TABLE, f"{TABLE}/year=2012"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, blocked: str) -> None:
    obstacle = tmp_path / "lake" / blocked
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("a file where a folder should be")
    with pytest.raises(
        LakeError, match=r"cannot (write|list|lock|remove) .*; (free disk space or )?make (the folder writable|it a folder)"
    ):
        Lake(tmp_path / "lake").replace(TABLE, IN_2012, keys=None, window=YEAR_2012)


def test_a_full_disk_leaves_the_year_as_it_was(lake: Lake) -> None:
    before = fingerprint(lake.root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(LakeError, match=r"cannot write .*; free disk space"):
            lake.replace(TABLE, weekdays_2012(["AAPL", "IBM"], 0.0), keys=None, window=YEAR_2012)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fingerprint(lake.root) == before
    assert list(file_of(lake.root, 2012).parent.iterdir()) == [file_of(lake.root, 2012)]


def test_a_lock_that_stays_held_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_PATIENCE_SECONDS", 0)
    with lock_of(lake, 2012):
        with pytest.raises(LockHeld, match=f"{TABLE} 2012: another process has held"):
            lake.replace(TABLE, IN_2012.clear(), keys=None, window=YEAR_2012)
        lake.replace(TABLE, IN_2013, keys=None, window=year_window(2013))
    assert lake.scan(TABLE).collect().height == 2


def test_sweep_spares_a_writer_at_work(lake: Lake) -> None:
    unfinished = file_of(lake.root, 2012).with_name("part.parquet.tmp")
    unfinished.write_bytes(b"half a file")
    with lock_of(lake, 2012):
        assert lake.sweep() == []
    assert unfinished.exists()
    assert lake.sweep() == [unfinished]
    assert lake.sweep() == []
    assert_frame_equal(lake.scan(TABLE).collect(), IN_2012)


def test_a_write_clears_leftovers_even_when_it_changes_nothing(lake: Lake) -> None:
    unfinished = file_of(lake.root, 2012).with_name("part.parquet.tmp")
    unfinished.write_bytes(b"half a file")
    before = fingerprint(lake.root)
    lake.replace(TABLE, IN_2012, keys=None, window=YEAR_2012)
    assert not unfinished.exists()
    assert fingerprint(lake.root) == before
