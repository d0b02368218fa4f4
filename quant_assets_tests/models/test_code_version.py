"""Which code a run was trained by, told from real git work trees."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from quant_assets.models.code_version import _commit, _content


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed package, with none of the settings and hooks of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / ".gitignore").write_text("environment\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "first")
    return tmp_path / "package"


def git(folder: Path, *asked: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *asked], check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_is_marked_where_the_package_differs_from_it(package: Path):
    commit = git(package, "rev-parse", "HEAD")
    assert len(commit) == 40
    assert _commit(package) == [commit]
    (package.parent / "notes.txt").write_text("not the package's")
    assert _commit(package) == [commit]
    (package / "new.py").write_text("")
    assert _commit(package) == [f"{commit}+changes"]


def test_a_package_that_git_does_not_track_has_no_commit(package: Path, tmp_path_factory: pytest.TempPathFactory):
    installed = package.parent / "environment" / "package"
    outside = tmp_path_factory.mktemp("outside")
    for folder in (installed, outside):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text("")
        assert _commit(folder) == []


def test_the_content_tells_changes_apart_that_a_commit_does_not(tmp_path: Path):
    def content(**files: str) -> str:
        package = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, source in files.items():
            (package / name).mkdir(parents=True)
            (package / name / "code.py").write_text(source)
            (package / name / "notes.md").write_text(str(package))
        return _content(package)

    assert content(a="x = 1", b="") == content(a="x = 1", b="")
    others = content(a="x = 2", b=""), content(a="x = 1"), content(c="x = 1", b=""), content(a="", b="x = 1")
    assert len({content(a="x = 1", b=""), *others}) == 5
