"""Data files that ship inside other packages, read without importing those: arch and skfolio take seconds to import."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from quant_assets.errors import SourceError


def packaged_file(package: str, *parts: str) -> Path:
    """The file `parts` below the folder of an installed top-level package, which is not imported.

    Raises
    ------
    SourceError : no such package, or it no longer has the file.
    """
    found = find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (file := Path(folder, *parts)).is_file():
            return file
    remedy = "install the versions of constraints.txt again"
    raise SourceError(f"{package} has no file {'/'.join(parts)}", remedy=remedy)
