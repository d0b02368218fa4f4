"""What an archive holds, taken while others write, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from quant_assets.backup import restore, save
from quant_assets.errors import LakeError, LockHeld
from quant_assets.lake import Lake
from quant_assets.settings import Settings
from quant_assets_tests.backup.small import EVENTS, NOW, assert_whole, events_of, small_backup, small_home
from quant_assets_tests.lake.frames import SORT_ORDER, TABLE, YEAR_2012, weekdays_2012
from quant_assets_tests.lake.test_processes import hear, start
from quant_assets_tests.lake.writer_process import REWRITTEN, VERSIONS

WITH_SMALL_FILES = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2); "
MAIN = "from quant_assets.cli.backup import main; main()"


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_members_are_named_by_what_they_are_and_settings_come_first(tmp_path: Path):
    """Wherever the settings put the stores."""
    elsewhere = tmp_path / "elsewhere"
    saved = small_backup(tmp_path / "home", f'[paths]\ndata = "deep/store"\nmlflow = "{elsewhere}"\noutputs = "out"\n')
    assert saved.file == tmp_path / "home" / "backups" / "quant_assets-20130301T223000Z.tar.gz"
    assert saved.size == saved.file.stat().st_size
    assert names(saved.file) == [
        "manifest.json",
        "settings/quant_assets.toml",
        "settings/dagster.yaml",
        "settings/universe.csv",
        f"lake/{TABLE}/year=2012/part.parquet",
        f"lake/{TABLE}/year=2013/part.parquet",
        "warehouse.duckdb",
        "mlflow/mlflow.db",
        "mlflow/artifacts/pooled_model/run/booster.ubj",
        "mlflow/studies.db",
        "mlflow/waiting/000001-0a1b/run.json",
        "outputs/signals/daily_report.csv",
        "alerts.jsonl",
        "wire.db",
        "dagster/index.db",
    ]
    assert not [path.name for path in saved.file.parent.iterdir() if path not in (saved.file, saved.file.with_name(".lock"))]


def test_the_members_of_an_index_are_among_the_settings(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "index.csv").write_text("ticker,start,end\nAAPL,2000-01-03,\n")
    saved = save(small_home(home, 'membership = "index.csv"\n'), now=NOW)
    with tarfile.open(saved.file) as tar:
        assert tar.extractfile("settings/membership.csv").read() == (home / "index.csv").read_bytes()


def test_the_manifest_says_when_and_by_what_and_nobody_is_named(tmp_path: Path):
    saved = small_backup(tmp_path / "home")
    with tarfile.open(saved.file) as tar:
        told = json.load(tar.extractfile("manifest.json"))
        assert {(info.uname, info.gname, info.uid) for info in tar} == {("", "", 0)}
    assert (told["format"], told["version"], told["created_at"]) == (1, "0.1.0", "2013-03-01T22:30:00Z")
    assert list(told["members"]) == names(saved.file)[1:]


def test_keys_of_vendors_are_in_no_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-not-for-the-archive")
    saved = small_backup(tmp_path / "home")
    with tarfile.open(saved.file) as tar:
        assert not [info.name for info in tar if b"sk-not-for-the-archive" in tar.extractfile(info).read()]


def test_logs_locks_and_unfinished_files_stay_out(tmp_path: Path):
    settings = small_home(tmp_path / "home")
    stays_out = [
        settings.lake_root / TABLE / "year=2012" / "part.parquet.tmp",
        settings.dagster_storage / "run" / "compute_logs" / "step.out",
        settings.dagster_storage / ".telemetry" / "id.yaml",
        settings.reports / ".daily_report.csv.77.new",
        settings.home / "data" / "logs" / "quant_assets.log",
        settings.home / "data" / "night.lock",
        settings.home / ".env",
    ]
    before = names(save(settings, now=NOW).file)
    for path in stays_out:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not for an archive")
    assert names(save(settings, now=NOW).file) == before


def test_a_year_that_is_replaced_all_the_while_is_saved_whole(tmp_path: Path):
    settings = small_home(tmp_path / "home")
    versions = [weekdays_2012(REWRITTEN, first_score) for first_score in VERSIONS]
    Lake(settings.lake_root).replace(TABLE, versions[0], keys=None, window=YEAR_2012)
    seen = set()
    with start("alternate", str(settings.lake_root)) as server:
        assert hear(server) == "ready"
        server.stdin.write(b"\n")
        child = int(hear(server))
        try:
            for number in range(20):
                assert hear(server) == "begin"  # its pipe is never full: it goes on writing while we save
                saved = save(settings, now=NOW + dt.timedelta(seconds=number))
                home = tmp_path / f"restored-{number}"
                restore(saved.file, home=home)
                rows = Lake(home / "data" / "lake").scan(TABLE, window=YEAR_2012).collect().sort(SORT_ORDER)
                [version] = [place for place, version in enumerate(versions) if rows.equals(version)]
                seen.add(version)
                shutil.rmtree(home)
                assert hear(server) == "end"
        finally:
            os.kill(child, 9)
            server.stdin.close()
    assert seen == {0, 1}


def test_a_database_in_use_is_saved_as_it_was_last_committed(tmp_path: Path):
    settings = small_home(tmp_path / "home")
    with closing(sqlite3.connect(settings.dagster_storage / "index.db")) as writer:
        writer.execute("INSERT INTO events VALUES ('committed, and only in the write-ahead log')")
        writer.commit()
        writer.execute("INSERT INTO events VALUES ('not committed')")
        assert settings.dagster_storage.joinpath("index.db-wal").stat().st_size > 0
        saved = save(settings, now=NOW)
        writer.rollback()
    restore(saved.file, home=tmp_path / "restored")
    assert events_of(Settings.load(home=tmp_path / "restored")) == [*EVENTS, "committed, and only in the write-ahead log"]


def test_a_model_database_that_is_only_being_made_stays_out(tmp_path: Path):
    """Its tables are made one by one, outside any transaction; nothing in the lake names a run of it yet."""
    settings = small_home(tmp_path / "home")
    database = settings.home / "mlflow" / "mlflow.db"
    for statement in ("DELETE FROM runs", "DROP TABLE runs"):
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(statement)
        assert "mlflow/mlflow.db" not in names(save(settings, now=NOW).file)


def test_stores_on_another_disk_are_copied(tmp_path: Path):
    """Names of one file cannot lie on two disks."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    data = memory / f"quant_assets-{os.getpid()}"
    try:
        saved = small_backup(tmp_path / "home", f'[paths]\ndata = "{data}"\n')
        shutil.rmtree(data)
        restore(saved.file, home=tmp_path / "home2")
        assert_whole(Settings.load(home=tmp_path / "home2"))
    finally:
        shutil.rmtree(data, ignore_errors=True)


def test_nothing_stored_is_nothing_to_save(tmp_path: Path):
    with pytest.raises(LakeError, match=r"nothing is stored in .* yet; run `quant-assets run` first") as empty:
        save(Settings.load(home=tmp_path), now=NOW)
    assert empty.value.exit_code == 1
    assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize("flipped", [False, True])
def test_a_damaged_lake_is_not_saved_in_silence(tmp_path: Path, flipped: bool):
    """A file cut short, or one whose footer is sound and whose page is not."""
    settings = small_home(tmp_path / "home")
    torn = settings.lake_root / TABLE / "year=2012" / "part.parquet"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:4] + bytes(60) + whole[64:] if flipped else whole[:-20])
    done = subprocess.run(
        [sys.executable, "-m", "quant_assets.cli.backup", "save"],
        env={**os.environ, "QUANT_ASSETS_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no backup was written: {torn} is not a readable parquet file (")
    assert done.stderr.strip().endswith("; delete the file and run again: the run restores it.")
    assert [path.name for path in (settings.home / "backups").iterdir()] == [".lock"]
    torn.unlink()
    assert save(settings, now=NOW).file.exists()


def test_one_backup_at_a_time_and_a_killed_one_leaves_nothing(tmp_path: Path):
    settings = small_home(tmp_path / "home")
    left = settings.home / "backups" / ".unfinished" / "snapshot" / "lake"
    left.mkdir(parents=True)
    (left / "half").write_text("left by a backup that was killed")
    with FileLock(settings.home / "backups" / ".lock"), pytest.raises(LockHeld, match="another backup of this home"):
        save(settings, now=NOW)
    saved = save(settings, now=NOW)
    assert not left.exists()
    assert not [name for name in names(saved.file) if "half" in name]


def test_a_full_disk_leaves_no_archive(tmp_path: Path):
    """The system's limit on the size of a file stands for a disk that is full."""
    settings = small_home(tmp_path / "home")
    (settings.reports / "large").write_bytes(os.urandom(300_000))
    done = subprocess.run(
        [sys.executable, "-c", WITH_SMALL_FILES + MAIN, "100000", "save"],
        env={**os.environ, "QUANT_ASSETS_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (settings.home / "backups").iterdir()] == [".lock"]
