"""New native files from the drop folder: a complete one is moved beside the others, a bad one aside, and nothing is lost on the way.

What a row of a file means is `sources/native_files.py`'s business, which runs follow `defs/drop.py`'s. `taken.jsonl` in the drop folder is
the record of what was moved, written before the move: whoever is killed in between finds the file still there, and moves it then.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from quant_assets.errors import LakeError, SourceError
from quant_assets.settings import Settings
from quant_assets.sources.native_files import NUMBERS, REPLACED, SUFFIX, NativeFiles, read_native, spelled, ticker_of

REFUSED, RECORD = "refused", "taken.jsonl"
LONGEST_LOOK = 500
"""Files that one look takes; a sensor's look must end within a minute."""
SHOWN = 5
Sizes = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Taken:
    """A file that was moved into the native folder: its bars end with `last`."""

    ticker: str
    file: str
    sha256: str
    rows: int
    first: dt.date
    last: dt.date
    taken_at: dt.datetime


@dataclass(frozen=True)
class Look:
    """What one look at the drop folder did. `told` : a sentence on each file that stays, or was refused. `sizes` : for the next look."""

    taken: tuple[Taken, ...]
    told: tuple[str, ...]
    sizes: Sizes


def drop_folder(settings: Settings) -> Path:
    return settings.path(settings.paths.data) / "drop"


def take_in(
    drop: Path, native: NativeFiles, tickers: Collection[str], *, before: Mapping[str, tuple[int, int]], clock: Callable[[], dt.datetime]
) -> Look:
    """Moves what is complete, sets aside what is bad, leaves what is still being written, or is of no ticker in the universe.

    Parameters
    ----------
    tickers : the names of the universe.
    before : `sizes` of the look before this one: a file whose size or time of change differs is still being written.

    Raises
    ------
    LakeError : a file cannot be moved (no space, no permission); all before it are.
    """
    names = {spelled(ticker): ticker for ticker in tickers}
    native.offers([])  # lists the folder once for all
    by_ticker: dict[str, list[Path]] = {}
    unknown, sizes = [], {}
    for file, size in _files(drop).items():
        ticker = ticker_of(file)
        if ticker and spelled(ticker) in names:
            by_ticker.setdefault(names[spelled(ticker)], []).append(file)
            sizes[file.name] = size
        else:
            unknown.append(file.name)
    restless, later, told = [], [], []
    taken: list[Taken] = []
    for ticker, files in by_ticker.items():
        if any(before.get(file.name) != sizes[file.name] for file in files):
            restless += [file.name for file in files]
        elif len(taken) >= LONGEST_LOOK:
            later += [file.name for file in files]
        else:
            with _disk_errors(files[0]):
                moved, said = _take(ticker, files, drop, native, clock)
            taken += moved
            told += said
    told += _several(restless, "until they have been the same for two looks")
    told += _several(later, "for the next look")
    told += _several(
        unknown, f"for a line of the universe file with their name (TICKER,kaggle,first session; a file is called TICKER{SUFFIX})"
    )
    there = {file.name for file in _files(drop)}
    return Look(tuple(taken), tuple(told), {name: size for name, size in sizes.items() if name in there})


def place(file: Path, ticker: str, native: NativeFiles) -> None:
    """Moves a checked file to where the ticker's file is, or to its own name in the folder; the one it takes the place of is kept."""
    target = native.file_of(ticker) or native.folder / f"{ticker.lower()}{SUFFIX}"
    if target.exists():
        _copied(target, native.folder / REPLACED / f"{target.name}.{_digest(target)[:12]}")
    _moved(file, target)


def record_of(drop: Path) -> list[Taken]:
    """All that was ever taken in, the oldest first; a line that a killed process left half-written does not count."""
    with suppress(FileNotFoundError):
        return [found for line in (drop / RECORD).read_text().splitlines() if (found := _read(line))]
    return []


def _take(
    ticker: str, files: list[Path], drop: Path, native: NativeFiles, clock: Callable[[], dt.datetime]
) -> tuple[list[Taken], list[str]]:
    """The files of one ticker that have come to rest: (what was taken, a sentence on each that was not)."""
    contents = {file: file.read_bytes() for file in files}
    for file, content in contents.items():
        if content and not content.endswith(b"\n"):
            return [], [f"{file.name} waits: its last line does not end"]
    if len(set(contents.values())) > 1:
        names = " and ".join(file.name for file in files)
        return [], [_refuse(file, drop, f"{names} are both of {ticker} and differ; drop the right one alone") for file in files]
    file, old = files[0], native.file_of(ticker)
    try:
        rows = read_native(contents[file], file.name)
        bad = rows.with_row_index("line", offset=2).filter(pl.any_horizontal(pl.col(NUMBERS).is_nan()))
        if bad.height == 1 and bad["line"][0] == rows.height + 1:
            return [], [f"{file.name} waits: its last line is cut"]
        if bad.height:
            told = f"{file.name}: the row of {bad['Date'][0]}, about line {bad['line'][0]}, has not six numbers ({bad.height} such rows)"
            raise SourceError(told, remedy="correct it and drop the file again")
        if old is not None and old.read_bytes() != contents[file]:
            _refuse_less(rows, file.name, old)
    except SourceError as error:
        return [], [_refuse(each, drop, str(error)) for each in files]
    for again in files[1:]:
        again.unlink()
    if old is not None and old.read_bytes() == contents[file]:
        file.unlink()
        return [], [f"{file.name}: {old} has the same content already"]
    first, last = rows.select(pl.col("Date").min(), last=pl.col("Date").max()).row(0)
    entry = Taken(ticker, file.name, hashlib.sha256(contents[file]).hexdigest(), rows.height, first, last, clock())
    _append(drop / RECORD, entry)
    place(file, ticker, native)
    return [entry], []


def _refuse_less(rows: pl.DataFrame, name: str, old: Path) -> None:
    """Raises SourceError when the file has less history than the one in place: it may be cut where a line ends."""
    try:
        had = read_native(old.read_bytes(), old.name)["Date"]
    except SourceError:  # nobody can use the one in place
        return
    mine, theirs = rows["Date"].sort(), had.sort()
    if mine[0] > theirs[0] or mine[-1] < theirs[-1]:
        told = f"{name} holds {mine[0]}..{mine[-1]}, and the file in place {theirs[0]}..{theirs[-1]}"
        raise SourceError(told, remedy=f"remove {old} first if less history is meant")


def _files(drop: Path) -> dict[Path, tuple[int, int]]:
    """The plain files in the drop folder with size and time of change; hidden ones are somebody's unfinished business."""
    found = {}
    with suppress(FileNotFoundError):
        for entry in sorted(os.scandir(drop), key=lambda entry: entry.name):
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".") and entry.name != RECORD:
                with suppress(FileNotFoundError):
                    stat = entry.stat(follow_symlinks=False)
                    found[Path(entry.path)] = (stat.st_size, stat.st_mtime_ns)
    return found


def _refuse(file: Path, drop: Path, why: str) -> str:
    """Moves the file to the refused ones, with the reason beside it; returns the sentence."""
    aside = drop / REFUSED / f"{file.name}.{_digest(file)[:12]}"
    aside.parent.mkdir(exist_ok=True)
    aside.with_name(f"{aside.name}.why").write_text(f"{why}\n")
    _moved(file, aside)
    return f"{file.name} is refused, see {aside}: {why}"


def _several(names: list[str], what_for: str) -> list[str]:
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
    return [f"waiting {what_for}: {shown}"] if names else []


def _append(record: Path, entry: Taken) -> None:
    line = json.dumps({**asdict(entry), "first": str(entry.first), "last": str(entry.last), "taken_at": entry.taken_at.isoformat()})
    before = record.read_bytes() if record.exists() else b""
    with record.open("ab") as opened:
        opened.write(("" if not before or before.endswith(b"\n") else "\n").encode() + line.encode() + b"\n")
        opened.flush()
        os.fsync(opened.fileno())


def _read(line: str) -> Taken | None:
    try:
        told = json.loads(line)
        days = {name: dt.date.fromisoformat(told[name]) for name in ("first", "last")}
        return Taken(**{**told, **days, "taken_at": dt.datetime.fromisoformat(told["taken_at"])})
    except (ValueError, TypeError, KeyError):
        return None


def _moved(file: Path, target: Path) -> None:
    """In one step, also to another disk: the target is never half there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(file, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copied(file, target)
        file.unlink()


def _copied(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    with file.open("rb") as source, beside.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    os.replace(beside, target)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def _disk_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{file} cannot be moved to the native files ({error.strerror})", remedy="free disk space or make the folders writable"
        ) from None
