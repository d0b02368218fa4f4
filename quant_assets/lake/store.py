"""Reads and writes of the lake's parquet files: `<root>/<table>/year=YYYY/part.parquet`, the year of the table's event time.

Columns and keys are declared in `schemas/`, SQL over the files is `sql.py`, which windows are complete is `coverage.py`.
Nothing here knows where rows come from or which of them anyone may see at a decision.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import operator
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument, LakeError, LockHeld, OutsideWindow
from quant_assets.lake.sql import run_query
from quant_assets.schemas import TABLES, Table

YEAR_FOLDER = "year="
YEAR_FOLDERS = "year=[0-9][0-9][0-9][0-9]"  # a user's "year=2012.bak" is none
DATA_FILE = "part.parquet"
# One fixed name: only the holder of the (table, year) lock writes it, so whatever a lock's new holder finds is a leftover.
UNFINISHED_FILE = "part.parquet.tmp"
# 65 names x 252 sessions: reading one name decodes one group in eight of a 500-name year, and writing stays as fast as with one group.
ROW_GROUP_ROWS = 16_384
# Rewriting a 500-name year takes a fraction of a second, so this outlasts hundreds of queued writers.
LOCK_PATIENCE_SECONDS = 600
# Twice what one night asks.
MOST_REMEMBERED = 64

Version = tuple[int, int, int]
"""Inode, size in bytes and modification time in ns of a file: another one once it was replaced."""
RESTORE = "delete the file and run again: the run restores it"
MAKE_WRITABLE = "free disk space or make the folder writable, then run again"


class Lake:
    """The tables under one root folder.

    Parameters
    ----------
    root : folder of the lake; nothing is created before the first write.
    tables : the declared tables by name.

    `remembered` holds what was asked of this object and what it answered; see `demand.demand`.
    """

    def __init__(self, root: str | os.PathLike[str], tables: Mapping[str, Table] = TABLES) -> None:
        self.root = Path(root)
        self.declared = tables
        self.remembered: dict[Hashable, object] = {}

    def remember(self, asked: Hashable, answer: object) -> None:
        """Keeps an answer in `remembered`, in place of the oldest one once there are too many; whoever takes it checks that it stands."""
        self.remembered[asked] = answer
        for oldest in list(self.remembered)[: max(0, len(self.remembered) - MOST_REMEMBERED)]:
            self.remembered.pop(oldest, None)

    def scan(
        self,
        table: str,
        *,
        keys: Sequence[str] | None = None,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        scope: Mapping[str, str] | None = None,
    ) -> pl.LazyFrame:
        """The stored rows of `table` inside keys x window x scope, lazily; a table never written is an empty frame.

        Rows come year by year, inside a year in `Table.sort_order`. Files are chosen by the window's years; columns and row
        predicates added later still reach the parquet reader. The schema is always the declared one: a nullable column that an
        older file lacks reads as null, a column that is no longer declared is ignored.

        Parameters
        ----------
        keys : tickers (or series) to read; None: all.
        window : half-open dates on the table's event time; None: all.
        columns : columns to return, in this order; None: all.
        scope : equality on further text columns of the key, e.g. ``{"model": "signal-xgboost"}``.

        Raises
        ------
        BadArgument : unknown table or column, keys for a table without tickers or series, scope on something else than the key.
        LakeError : a chosen file is truncated, or was written under a declaration that no longer fits (required column absent,
            other dtype). Footers are checked here, once a file version; flipped bits inside a data page go unseen, because
            parquet pages carry no checksum.
        """
        declared = self._table(table)
        rectangle = _Rectangle(declared, keys, window, scope or {})
        if columns is not None:
            _refuse_unknown(columns, declared.schema, f"column of {table}")
        frame = _plan(declared, _checked(declared, self._files(table, window)))
        if conditions := rectangle.conditions():
            frame = frame.filter(*conditions)
        return frame if columns is None else frame.select(columns)

    def replace(
        self,
        table: str,
        rows: pl.DataFrame,
        *,
        keys: Sequence[str] | None,
        window: Window,
        scope: Mapping[str, str] | None = None,
    ) -> None:
        """Make `rows` the only rows of `table` inside keys x window x scope; everything outside stays as it is.

        Repeating a call changes nothing, not even a file's modification time. Each year file is replaced atomically and durably:
        killed at any instant it holds the rows from before or from after. A rectangle over several years is atomic for each year,
        not as a whole; repeating the call completes it. Writers of one (table, year) wait for each other. A year left without rows
        loses its file, so a reader that planned with it must plan again.

        Parameters
        ----------
        rows : exactly the declared columns, in any order.
        keys : tickers (or series) to replace; None: all.
        window : half-open dates on the table's event time.
        scope : equality on further text columns of the key.

        Raises
        ------
        SchemaMismatch : `rows` do not have the declared columns, types, required values or unique keys. Nothing was written.
        OutsideWindow : a row lies outside the rectangle. Nothing was written.
        BadArgument : as in `scan`.
        LakeError : a stored file is damaged, the folder is not writable, the disk is full. The year concerned is unchanged.
        LockHeld : another process kept the (table, year) lock for ten minutes.
        """
        declared = self._table(table)
        rectangle = _Rectangle(declared, keys, window, scope or {})
        rows = declared.conform(rows)
        rectangle.refuse_rows_outside(rows)
        row_years = rows[declared.event_time].dt.year()
        stored_years = {_year_of(file.parent.name) for file in self._files(table, window)}
        for year in sorted(stored_years | set(row_years.unique())):
            self._replace_year(declared, year, rectangle, rows.filter(row_years == year))

    def sweep(self) -> list[Path]:
        """Remove the unfinished files that killed writers left, except where a writer is at work; returns what was removed."""
        removed = []
        for leftover in sorted(self.root.glob(f"*/{YEAR_FOLDERS}/{UNFINISHED_FILE}")):
            try:
                with (
                    self._locked(leftover.parent.parent.name, _year_of(leftover.parent.name), patience=0),
                    _disk_errors(f"cannot remove {leftover}"),
                ):
                    if leftover.exists():
                        leftover.unlink()
                        removed.append(leftover)
            except LockHeld:
                continue
        return removed

    def check(self, *, pages: bool = False) -> None:
        """Looks at the footer of every file of the lake.

        Parameters
        ----------
        pages : also read every page, which finds most flipped bits and takes as long as reading the lake.

        Raises
        ------
        LakeError : names every file that is damaged or no longer fits its declaration.
        """
        damage = []
        for name, table in self.declared.items():
            for file in self._files(name):
                try:
                    present = _checked(table, [file])
                    if pages:
                        with _read_errors(file):
                            _plan(table, present).collect()
                except LakeError as error:
                    damage.append(error)
        if len(damage) == 1:
            raise damage[0]
        if damage:
            told = "; ".join(error.message for error in damage)
            raise LakeError(f"{len(damage)} files are damaged: {told}", remedy="delete them and run again: the run restores them")

    def versions(self, table: str, window: Window | None = None) -> dict[int, Version]:
        """Year to version of each stored file of the table that the window touches, ascending."""
        self._table(table)
        found = {}
        for file in self._files(table, window):
            with suppress(FileNotFoundError):  # emptied by a writer since it was listed
                found[_year_of(file.parent.name)] = _version(file)
        return found

    def tables(self) -> list[str]:
        """Declared tables with at least one file, in the order of declaration."""
        return [name for name in self.declared if self._files(name)]

    def sql(self, query: str) -> pl.DataFrame:
        """The result of one SELECT in DuckDB's SQL over a view for each declared table; see `sql.run_query`.

        Raises
        ------
        BadArgument : not a single SELECT, or DuckDB refuses it.
        LakeError : a file of the lake is truncated or no longer fits its declaration.
        """
        return run_query([(table, _checked(table, self._files(name))) for name, table in self.declared.items()], query)

    def _table(self, name: str) -> Table:
        _refuse_unknown([name], self.declared, "table")
        return self.declared[name]

    def _files(self, table: str, window: Window | None = None) -> list[Path]:
        """The stored year files that the window touches, ascending."""
        folder = self.root / table
        with _disk_errors(f"cannot list {folder}", remedy="make it a folder that this user may read"):
            try:
                names = sorted(fnmatch.filter(os.listdir(folder), YEAR_FOLDERS))
            except FileNotFoundError:
                return []
            files = [folder / name / DATA_FILE for name in names if window is None or _year_of(name) in window.years]
            return [file for file in files if file.exists()]

    def _replace_year(self, table: Table, year: int, rectangle: _Rectangle, rows: pl.DataFrame) -> None:
        file = year_file(self.root, table.name, year)
        rows = rows.sort(table.sort_order)
        with self._locked(table.name, year, patience=LOCK_PATIENCE_SECONDS):
            with _disk_errors(f"cannot remove {file.with_name(UNFINISHED_FILE)}"):
                file.with_name(UNFINISHED_FILE).unlink(missing_ok=True)
            with _read_errors(file):
                stored = _plan(table, _checked(table, [file])).collect()
            inside = stored.select(rectangle.mask()).to_series()
            # Compared inside the rectangle only: a nightly rewrite checks one session, not the year.
            if stored.filter(inside).equals(rows):
                return
            content = pl.concat([stored.filter(~inside), rows])
            with _disk_errors(f"cannot write {file}"):
                if content.is_empty():
                    file.unlink()
                    _fsync(file.parent)
                else:
                    self._write(content.sort(table.sort_order), file)

    def _write(self, content: pl.DataFrame, file: Path) -> None:
        folder, unfinished, is_new = file.parent, file.with_name(UNFINISHED_FILE), not file.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            content.write_parquet(unfinished, compression="zstd", row_group_size=ROW_GROUP_ROWS)
            _fsync(unfinished)
            unfinished.replace(file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        for changed in (folder, folder.parent, self.root) if is_new else (folder,):
            _fsync(changed)

    @contextmanager
    def _locked(self, table: str, year: int, *, patience: float) -> Iterator[None]:
        # Beside the tables, not in them: tools that read a whole table folder stumble over files that are not parquet.
        path = self.root / ".locks" / f"{table}-{year:04d}.lock"
        lock = FileLock(path, timeout=patience, poll_interval=0.01, fallback_to_soft=False)
        with _disk_errors(f"cannot lock {path}"):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            except Timeout:
                raise LockHeld(
                    f"{table} {year}: another process has held {path} for more than {patience:g} s",
                    remedy="wait for the other run to end, or end it, then run again",
                ) from None
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class _Rectangle:
    """keys x window x scope of one table; a part that is None or empty does not restrict."""

    table: Table
    keys: Sequence[str] | None
    window: Window | None
    scope: Mapping[str, str]

    def __post_init__(self) -> None:
        if isinstance(self.keys, str):
            raise BadArgument(f"keys is the text {self.keys!r}, not a list", remedy=f"pass [{self.keys!r}]")
        if self.keys is not None and self.table.entity is None:
            raise BadArgument(f"{self.table.name} has no tickers or series to select by keys", remedy="leave keys out")
        further = [name for name in self.table.key if name not in (self.table.entity, self.table.event_time)]
        _refuse_unknown(self.scope, further, f"further key column of {self.table.name}")

    def conditions(self) -> list[pl.Expr]:
        when = pl.col(self.table.event_time)
        found = []
        if self.keys is not None and self.table.entity is not None:
            found.append(pl.col(self.table.entity).is_in(list(self.keys)))
        if self.window is not None:
            found += [when >= self.window.start, when < self.window.end]
        return found + [pl.col(name) == value for name, value in self.scope.items()]

    def mask(self) -> pl.Expr:
        return functools.reduce(operator.and_, self.conditions(), pl.lit(True))

    def refuse_rows_outside(self, rows: pl.DataFrame) -> None:
        outside = rows.filter(~self.mask())
        if outside.is_empty():
            return
        example = ", ".join(f"{name}={value}" for name, value in outside.select(self.table.key).row(0, named=True).items())
        raise OutsideWindow(
            f"{self.table.name}: {outside.height} of {rows.height} rows lie outside {self}, e.g. {example}",
            remedy="nothing was written; drop those rows or ask for a wider window, more keys or another scope",
        )

    def __str__(self) -> str:
        keys = "all keys" if self.keys is None else ", ".join(self.keys[:5]) + (f", ... ({len(self.keys)})" if len(self.keys) > 5 else "")
        return " x ".join([f"[{keys}]", str(self.window), *(f"{name}={value}" for name, value in self.scope.items())])


def _plan(table: Table, files: list[Path]) -> pl.LazyFrame:
    if not files:
        return pl.LazyFrame(schema=table.schema)
    # With the schema given, polars reads no footer while planning: a file replaced between plan and execution is read whole, as
    # it then is, instead of by the offsets of its predecessor.
    return pl.scan_parquet(
        files, schema=table.schema, missing_columns="insert", extra_columns="ignore", glob=False, hive_partitioning=False
    )


def _checked(table: Table, files: Iterable[Path]) -> list[Path]:
    """Those of `files` that exist, each with a readable footer and a schema that can be read as the declared one."""
    present = []
    for file in files:
        try:
            version = _version(file)
        except FileNotFoundError:  # never written, or emptied by a writer since it was listed
            continue
        stored = _footer(file, version)
        for column in table.columns:
            found = stored.get(column.name)
            if found is None and not column.nullable:
                raise LakeError(f"{file} lacks the required column {column.name}", remedy=RESTORE)
            if found is not None and found != column.dtype:
                raise LakeError(f"{file} holds {column.name} as {found} where {column.dtype} is declared", remedy=RESTORE)
        present.append(file)
    return present


def year_file(root: Path, table: str, year: int) -> Path:
    return root / table / f"{YEAR_FOLDER}{year:04d}" / DATA_FILE


def _version(file: Path) -> Version:
    """Raises FileNotFoundError."""
    stat = file.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=4096)
def _footer(file: Path, version: Version) -> pl.Schema:
    """The stored schema of this version of the file."""
    with _read_errors(file):
        return pl.scan_parquet(file, glob=False, hive_partitioning=False).collect_schema()


def _refuse_unknown(names: Iterable[str], known: Iterable[str], noun: str) -> None:
    choices = list(known)
    for name in names:
        if name not in choices:
            nearest = difflib.get_close_matches(name, choices, n=1)
            remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(choices) or 'none'}"
            raise BadArgument(f"{name!r} is no {noun}", remedy=remedy)


def _year_of(folder: str) -> int:
    return int(folder.removeprefix(YEAR_FOLDER))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(failure: Exception) -> str:
    return str(failure).splitlines()[0]


@contextmanager
def _read_errors(file: Path) -> Iterator[None]:
    """Damage as LakeError with the advice to delete; a failure to open the file is no damage."""
    try:
        yield
    except OSError as failure:
        raise LakeError(f"cannot open {file} ({_reason(failure)})", remedy="make it readable for this user, then run again") from failure
    except pl.exceptions.PolarsError as failure:
        raise LakeError(f"{file} is not a readable parquet file ({_reason(failure)})", remedy=RESTORE) from failure


@contextmanager
def _disk_errors(what: str, *, remedy: str = MAKE_WRITABLE) -> Iterator[None]:
    """Failures of the operating system, and of polars on its behalf, as LakeError."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as failure:
        raise LakeError(f"{what} ({_reason(failure)})", remedy=remedy) from failure
