"""Copies of models that a server holds: the same back, nothing damaged back, and no more of them than fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quant_assets.models import sent_models
from quant_assets.models.model_files import OF_MODEL, write
from quant_assets.models.sent_models import SentModels
from quant_assets_tests.models.trained import trained


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model with members and something beside it."""
    folder = tmp_path_factory.mktemp("files")
    write(trained(with_members=True), folder, files={"ridge": b"\0\1"})
    return folder


@pytest.fixture
def sent(tmp_path: Path) -> SentModels:
    return SentModels(tmp_path / "sent")


def test_what_was_kept_is_the_same_back_and_keeps_what_a_later_copy_lacks(sent: SentModels, files: Path, tmp_path: Path):
    assert sent.load("r") is None
    sent.keep("r", tmp_path)  # a run without a model
    assert not sent.folder.exists()
    sent.keep("r", files)
    again = tmp_path / "again"
    again.mkdir()
    (again / OF_MODEL[0]).write_bytes((files / OF_MODEL[0]).read_bytes())
    sent.keep("r", again)
    stored = sent.load("r")
    assert stored
    assert stored.booster.save_raw() == trained().booster.save_raw()
    assert (len(stored.members), stored.files, stored.run_id) == (3, {"ridge": b"\0\1"}, "r")
    assert [path.name for path in sent.folder.iterdir()] == ["r.zip"]


def test_a_damaged_copy_is_dropped_and_told_wherever_the_damage_is(sent: SentModels, files: Path, caplog: pytest.LogCaptureFixture):
    sent.keep("r", files)
    archive = sent.folder / "r.zip"
    whole = archive.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        stored = sent.load("r")
        assert stored is None or (stored.booster.save_raw(), len(stored.members)) == (trained().booster.save_raw(), 3)
    for n_bytes in (0, 100, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:n_bytes])
        assert sent.load("r") is None
        assert not archive.exists()
        assert f"{archive} is damaged and was dropped (" in caplog.text
    sent.keep("r", files)
    assert sent.load("r")


def test_those_read_longest_ago_make_room(sent: SentModels, files: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sent_models, "KEPT_MODELS", 2)
    for age, run_id in ((3000, "a"), (2000, "b")):
        sent.keep(run_id, files)
        os.utime(sent.folder / f"{run_id}.zip", (age, age))
    assert sent.load("a")
    sent.keep("c", files)
    assert sorted(path.stem for path in sent.folder.iterdir()) == ["a", "c"]


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "sent").write_text("a file")
    SentModels(tmp_path / "sent").keep("r", files)
    assert f"{tmp_path / 'sent'} cannot be written (File exists): run r cannot be loaded while its server is down" in caplog.text
