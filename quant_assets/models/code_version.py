"""Which code is at work: for people its version, and the commit where it runs from a git work tree; for machines its content."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

DISTRIBUTION = "quant-assets"
PACKAGE = Path(__file__).parents[1]
PATIENCE_SECONDS = 10


@functools.cache
def code_version() -> str:
    """As "0.1.0 4f1c…(40 hex digits)+changes"; the version alone where git does not track the package."""
    return " ".join([version(DISTRIBUTION), *_commit(PACKAGE)])


@functools.cache
def source_hash() -> str:
    """12 hex digits over the package's sources. Unlike `code_version` it tells two uncommitted changes apart, is the same for commits that
    change something else, and knows a package that was installed without git.
    """
    return _content(PACKAGE)


def _content(package: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        source = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:12]


def _commit(package: Path) -> list[str]:
    """The commit of the work tree that tracks this package, marked where its files differ from it; else nothing.

    A package installed into an environment inside somebody's work tree lies in that tree and is not tracked by it.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(package, "rev-parse", "HEAD")
        changes = _git(package, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):  # no git, no work tree, no commit
        return []
    return [f"{commit}+changes" if changes else commit]


def _git(folder: Path, *asked: str) -> str:
    # the status would refresh the index, under a lock that a commit at the same moment wants
    command = ["git", "--no-optional-locks", "-C", str(folder), *asked]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout.strip()
