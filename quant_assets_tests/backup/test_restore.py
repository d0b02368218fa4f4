"""Into an empty home and nowhere else; verified before anything is in place; killed at any step, nothing half done passes for whole."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from quant_assets.backup import restore
from quant_assets.backup.stores import stores
from quant_assets.errors import BadArgument, LakeError, LockHeld
from quant_assets.settings import Settings
from quant_assets_tests.backup.small import UNIVERSE, assert_whole, small_backup, small_home
from quant_assets_tests.backup.test_save import MAIN, WITH_SMALL_FILES
from quant_assets_tests.conftest import CHECKOUT

Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a home that is gone."""
    home = tmp_path_factory.mktemp("saved") / "home"
    kept = home.parent / "backup.tar.gz"
    small_backup(home).file.rename(kept)
    shutil.rmtree(home)
    return kept


def assert_nothing_left(home: Path) -> None:
    assert list(home.rglob("*")) == []


def rewritten(archive: Path, target: Path, change: Callable[[Members], None]) -> Path:
    """The same archive with other members."""
    with tarfile.open(archive) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]
    change(members)
    with tarfile.open(target, "w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def edited_manifest(change: Callable[[dict], None]) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        told = json.loads(members[0][1])
        change(told)
        members[0] = (members[0][0], json.dumps(told).encode())

    return edit


def test_an_empty_folder_becomes_the_saved_home(archive: Path, tmp_path: Path):
    restored = restore(archive, home=tmp_path)
    assert restored.kept == {}
    assert_whole(Settings.load(home=tmp_path))
    assert (tmp_path / "names.csv").read_text() == UNIVERSE


def test_saved_settings_say_where_the_stores_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Unless the home has settings of its own, or the environment says otherwise."""
    saved = small_backup(tmp_path / "home", '[paths]\ndata = "deep/store"\noutputs = "out"\n')
    restore(saved.file, home=tmp_path / "a")
    assert (tmp_path / "a" / "deep" / "store" / "lake").is_dir()
    assert_whole(Settings.load(home=tmp_path / "a"))

    own = tmp_path / "b" / "quant_assets.toml"
    own.parent.mkdir()
    own.write_text(f'universe = "names.csv"\n[paths]\noutputs = "{tmp_path / "reports"}"\n')
    restored = restore(saved.file, home=tmp_path / "b")
    assert restored.kept == {own: tmp_path / "b" / "quant_assets.toml.from-backup"}
    assert "deep/store" in restored.kept[own].read_text()
    assert (tmp_path / "reports" / "signals").is_dir()
    assert_whole(Settings.load(home=tmp_path / "b"))

    monkeypatch.setenv("QUANT_ASSETS__PATHS__DATA", str(tmp_path / "disk"))
    restore(saved.file, home=tmp_path / "c")
    assert (tmp_path / "disk" / "lake").is_dir()
    assert_whole(Settings.load(home=tmp_path / "c"))


def test_a_home_that_was_moved_by_hand_is_put_right(tmp_path: Path):
    """Its database still points at the folder it was made in."""
    small_home(tmp_path / "home")
    (tmp_path / "home").rename(tmp_path / "moved")
    saved = subprocess.run(
        [sys.executable, "-m", "quant_assets.cli.backup", "save"],
        env={**os.environ, "QUANT_ASSETS_HOME": str(tmp_path / "moved")},
        capture_output=True,
        text=True,
        check=True,
    )
    [file] = (tmp_path / "moved" / "backups").glob("*.tar.gz")
    assert f"Backup  {file}" in saved.stdout
    restore(file, home=tmp_path / "restored")
    assert_whole(Settings.load(home=tmp_path / "restored"))


@pytest.mark.parametrize("store", range(6))
def test_a_store_with_anything_in_it_is_refused(archive: Path, tmp_path: Path, store: int):
    restore(archive, home=tmp_path)
    places = stores(Settings.load(home=tmp_path))
    for each in places[:store] + places[store + 1 :]:
        each.place.unlink() if each.left_out is None else shutil.rmtree(each.place)
    for empty in (path for path in sorted(tmp_path.rglob("*"), reverse=True) if path.is_dir() and not any(path.iterdir())):
        empty.rmdir()
    (tmp_path / "data" / "night.lock").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LakeError, match=re.escape(f"there is something in {places[store].place}; restore into an empty home")) as refused:
        restore(archive, home=tmp_path)
    assert refused.value.exit_code == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_empty_folders_and_locks_are_in_nobodys_way(archive: Path, tmp_path: Path):
    (tmp_path / "outputs" / "signals").mkdir(parents=True)
    (tmp_path / "data" / "lake" / ".locks").mkdir(parents=True)
    (tmp_path / "data" / "lake" / ".locks" / "prices-2012.lock").touch()
    (tmp_path / "data" / "logs").mkdir()
    restore(archive, home=tmp_path)
    assert_whole(Settings.load(home=tmp_path))


def test_a_night_at_work_is_not_disturbed(archive: Path, tmp_path: Path):
    (tmp_path / "data").mkdir()
    with FileLock(tmp_path / "data" / "night.lock"), pytest.raises(LockHeld, match="another run is writing this lake"):
        restore(archive, home=tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["data", "data/night.lock"]


def test_what_is_no_backup(archive: Path, tmp_path: Path):
    text = tmp_path / "notes.txt"
    text.write_text("not even a tar")
    foreign = tmp_path / "foreign.tar.gz"
    with tarfile.open(foreign, "w:gz") as tar:
        tar.add(text, "notes.txt")
    other = rewritten(archive, tmp_path / "other.tar.gz", edited_manifest(lambda told: told.pop("format")))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:200])
    told = {file: f"{file} is not a backup (" for file in (text, foreign, other, cut)}
    told |= {file: f"there is no file {file}; name a file that `make backup` wrote" for file in (tmp_path / "absent.tar.gz", tmp_path)}
    for file, words in told.items():
        with pytest.raises(BadArgument, match=re.escape(words)) as refused:
            restore(file, home=tmp_path / "home")
        assert refused.value.exit_code == 2
    assert not (tmp_path / "home").exists()


def test_a_newer_format_is_told_from_a_foreign_file(archive: Path, tmp_path: Path):
    newer = rewritten(archive, tmp_path / "newer.tar.gz", edited_manifest(lambda told: told.update(format=2, members="elsewhere")))
    with pytest.raises(BadArgument, match="has format 2, and this version reads up to 1; restore it with a newer quant_assets"):
        restore(newer, home=tmp_path / "home")


def decompressed(content: bytes) -> bytes | None:
    """None for what gzip itself refuses."""
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error):
        return None


def test_an_archive_cut_short_or_changed_anywhere_puts_nothing_in_place(archive: Path, tmp_path: Path):
    """Cut at every twentieth part of its length, and one byte changed at every twentieth, unless what it decompresses to is the same."""
    whole = archive.read_bytes()
    for twentieth in range(1, 20):
        place = len(whole) * twentieth // 20
        for name, content in (
            (f"cut-{twentieth}", whole[:place]),
            (f"changed-{twentieth}", whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]),
        ):
            if decompressed(content) == gzip.decompress(whole):
                continue
            damaged = tmp_path / f"{name}.tar.gz"
            damaged.write_bytes(content)
            with pytest.raises((LakeError, BadArgument), match=r"is damaged|is not a backup"):
                restore(damaged, home=tmp_path / name)
            assert_nothing_left(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda members: members.pop(), "it lacks 1 file, e.g. dagster/index.db"),
        (lambda members: members.append((tarfile.TarInfo("lake/extra"), b"more")), "its manifest does not name lake/extra"),
        (lambda members: members.append(members[-1]), "its manifest does not name dagster/index.db"),
        (lambda members: members.__setitem__(6, (members[6][0], b"A warehouse")), "warehouse.duckdb is not what was saved"),
        (lambda members: members.__setitem__(1, (members[1][0], members[1][1].upper())), "quant_assets.toml is not what was saved"),
        (lambda members: members[11][0].__setattr__("type", tarfile.SYMTYPE), "does not name outputs/signals/daily_report.csv"),
    ],
)
def test_an_archive_that_is_not_what_its_manifest_says(archive: Path, tmp_path: Path, change: Callable[[Members], None], told: str):
    """Sound as a tar, with another content."""
    file = rewritten(archive, tmp_path / "changed.tar.gz", change)
    with pytest.raises(LakeError, match=f"{file} is damaged: .*{told}.*; use another backup"):
        restore(file, home=tmp_path / "home")
    assert_nothing_left(tmp_path / "home")


@pytest.mark.parametrize("name", ["lake/../../../escaped", "settings/../escaped", "escaped", "/escaped"])
def test_no_member_lands_outside_the_stores(archive: Path, tmp_path: Path, name: str):
    """Even when the manifest vouches for it."""

    def rename(members: Members) -> None:
        members[-1][0].name = name
        edited_manifest(lambda told: told["members"].update({name: told["members"].pop("dagster/index.db")}))(members)

    file = rewritten(archive, tmp_path / "evil.tar.gz", rename)
    with pytest.raises(LakeError, match=r"is damaged|belongs to no store"):
        restore(file, home=tmp_path / "deep" / "home")
    assert_nothing_left(tmp_path / "deep" / "home")
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/escaped").exists()


def test_a_disk_that_is_too_small_is_known_before(archive: Path, tmp_path: Path):
    def grow(told: dict) -> None:
        told["members"]["dagster/index.db"]["size"] = 10**18

    file = rewritten(archive, tmp_path / "large.tar.gz", edited_manifest(grow))
    with pytest.raises(LakeError, match=r"1,000,000,000,000\.\d MB would be unpacked below .*, and its disk has .* MB free; free disk"):
        restore(file, home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path):
    """The system's limit on the size of a file stands for it; through the same door as `make restore`."""
    settings = small_home(tmp_path / "home")
    (settings.reports / "large").write_bytes(bytes(300_000))
    run = {"capture_output": True, "text": True, "check": False}
    command = [sys.executable, "-m", "quant_assets.cli.backup", "save"]
    assert subprocess.run(command, env={**os.environ, "QUANT_ASSETS_HOME": str(settings.home)}, **run).returncode == 0
    [file] = (settings.home / "backups").glob("*.tar.gz")
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-c", WITH_SMALL_FILES + MAIN, "100000", "restore", str(file)]
    done = subprocess.run(command, env={**os.environ, "QUANT_ASSETS_HOME": str(empty)}, **run)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {file} cannot be unpacked into {empty} (")
    assert "Traceback" not in done.stderr
    assert_nothing_left(empty)


def test_no_backup_named_is_told_which_one_there_is(tmp_path: Path):
    saved = small_backup(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-m", "quant_assets.cli.backup", "restore", ""],
        env={**os.environ, "QUANT_ASSETS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: no backup is named; write it as `make restore FROM=backups/{saved.file.name}`."


def test_killed_at_any_step_the_home_is_empty_or_refused(archive: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "quant_assets_tests.backup.killed_process", str(archive), str(tmp_path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    killed = int(done.stdout)
    went_on, refused = 0, []
    for step in range(1, killed + 1):
        home = tmp_path / str(step)
        settings = Settings.load(home=home)
        in_place = [store for store in stores(settings) if store.occupied()]
        if in_place:
            with pytest.raises(LakeError, match=r"; restore into an empty home") as error:
                restore(archive, home=home)
            assert str(in_place[0].place) in error.value.message
            assert in_place[0].name != "lake" or len(in_place) == len(stores(settings))  # the lake comes last
            refused.append("killed halfway" in error.value.message)
            for store in in_place:
                store.place.unlink() if store.left_out is None else shutil.rmtree(store.place)
        else:
            went_on += 1
        restore(archive, home=home)
        assert_whole(Settings.load(home=home))
    assert went_on > 20
    assert any(refused)
    assert_whole(Settings.load(home=tmp_path / str(killed + 1)))
