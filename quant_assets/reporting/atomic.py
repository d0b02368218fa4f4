"""Write a file whole or not at all: temporary name in the same folder, fsync, replace. The lake has its own, with locks."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from quant_assets.errors import QuantAssetsError


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` (UTF-8, line ends as given), making its folder if needed.

    Raises
    ------
    QuantAssetsError : the folder cannot be written; `path` is then as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise QuantAssetsError(f"{path} cannot be written ({error.strerror})", remedy="set `paths.outputs` to a folder you own") from None
    finally:
        with suppress(OSError):
            beside.unlink()
