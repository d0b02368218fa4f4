"""The warehouse: `dbt_features` built over the lake into one DuckDB file, which readers open read-only.

Here: where it lies, which years of it no longer show the lake, and how a new file takes the place of the old one while readers keep
theirs. What its tables hold is said in `dbt_features/`; dbt itself is started in `defs/dbt.py`.
"""

from __future__ import annotations

import datetime as dt
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from quant_assets.calendars import Window, session_table, year_window
from quant_assets.errors import LakeError, LockHeld
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

PROJECT = Path(__file__).resolve().parent.parent / "dbt_features"
STAGED = tuple(name for name in TABLES if name not in ("coverage", "rulings"))
"""The tables dbt reads. `coverage` is the bookkeeping of steps; `Lake.sql` shows it."""
COPIED = ("prices", "index_prices")
"""Tables whose rows end up in tables of the warehouse; the others are shown by views, which need no rebuilding to be up to date."""
BUILT_FROM = "built_from"
PATIENCE_SECONDS = 600
NOT_OF_THE_PROJECT = ("target", "logs", ".gitignore")


def open_warehouse(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A read-only connection; instants are shown in UTC. A build that ends meanwhile changes nothing for it: open again to see it.

    Raises
    ------
    LakeError : there is no warehouse yet, or the file is no DuckDB database.
    """
    file = settings.warehouse_file
    if not file.is_file():
        raise LakeError(f"{file} does not exist", remedy="`quant-assets run` builds it")
    try:
        return _read(file)
    except duckdb.Error as refusal:
        raise LakeError(f"{file} cannot be opened ({refusal})", remedy="delete the file and build it again") from refusal


def stale_years(work: Workspace) -> list[str]:
    """The years (as partition keys) that must be built for the warehouse to show the lake, adjacent or not; none: it does.

    A change in the project, the lake's place or the first session makes every year stale; a year file of `prices` or `index_prices`
    its year; anything else the newest one, because a build of any year renews all views and runs all tests.
    """
    if not is_built(work.settings):
        return []
    span = _span(work)
    years = [str(year) for year in span.years]
    stored, found = _built_from(work.settings.warehouse_file), _inputs(work, span)
    if stored is None or _whole(stored) != _whole(found):
        return years
    changed = {name for name in stored.keys() | found.keys() if stored.get(name) != found.get(name)}
    if not changed:
        return []
    return [year for year in years if any(_named(table, year) in changed for table in COPIED)] or years[-1:]


def is_current(work: Workspace) -> bool:
    """Whether the warehouse shows the lake as it is."""
    return not stale_years(work)


def is_built(settings: Settings) -> bool:
    """Whether this home has a warehouse: it is on in the settings, and the code stands in a checkout, with the dbt project beside it."""
    return settings.warehouse and (PROJECT / "dbt_project.yml").is_file()


def project_fingerprint() -> str:
    """Hash of the dbt project's files."""
    digest = hashlib.sha256()
    for path in sorted(PROJECT.rglob("*")):
        inside = path.relative_to(PROJECT)
        if inside.parts[0] not in NOT_OF_THE_PROJECT and path.is_file():
            digest.update(inside.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Building:
    """A warehouse in the making.

    Parameters
    ----------
    folder : its own folder beside the warehouse, removed at the end whatever happened.
    window : dates to rebuild; all of history when there is no older file to begin from.
    from_scratch : whether the database does not exist yet; otherwise it is a copy of the old one.
    """

    folder: Path
    target: Path
    window: Window
    from_scratch: bool
    lake: Path
    inputs: Mapping[str, str]

    @property
    def database(self) -> Path:
        """Named as the finished file: the name is the catalogue's, and a view's text may hold it."""
        return self.folder / self.target.name

    @property
    def variables(self) -> dict[str, str]:
        """What `dbt_features` asks for."""
        return {
            "lake": glob.escape(str(self.lake.absolute())),
            "sessions": str(self.folder / "sessions.parquet"),
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
        }

    def rows(self, query: str, *, limit: int) -> pl.DataFrame:
        """The first rows of a query on the database as it is now."""
        with duckdb.connect(self.database, read_only=True) as connection:
            found: pl.DataFrame = connection.sql(query).limit(limit).pl()
            return found

    def swap(self) -> dict[str, int]:
        """Puts the built database in the place of the old one, at once and durably; returns the rows of each of its tables.

        Raises
        ------
        LakeError : the folder cannot be written; the old warehouse stays.
        """
        with duckdb.connect(self.database) as connection:
            self._sign(connection)
            names = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall()
            rows = {name: connection.table(name).count("*").fetchall()[0][0] for (name,) in names}
            connection.execute("CHECKPOINT")
        with _disk_errors(self.target.parent):
            _sync(self.database)
            self.database.replace(self.target)
            _sync(self.target.parent)
        return rows

    def _sign(self, connection: duckdb.DuckDBPyConnection) -> None:
        signed = pl.DataFrame(list(self.inputs.items()), schema={"input": pl.String, "version": pl.String}, orient="row").sort("input")
        connection.register("signed", signed)
        connection.execute(f"CREATE OR REPLACE TABLE {BUILT_FROM} AS FROM signed")
        connection.unregister("signed")
        meanings = {
            f"TABLE {BUILT_FROM}": "What the warehouse was built from; it is out of date when that differs.",
            f"COLUMN {BUILT_FROM}.input": "a year file of the lake, or what every row depends on",
            f"COLUMN {BUILT_FROM}.version": "size [bytes] and modification time [ns] of a file; otherwise the value itself",
        }
        for what, meaning in meanings.items():
            connection.execute(f"COMMENT ON {what} IS '{meaning}'")


@contextmanager
def building(work: Workspace, windows: Sequence[Window]) -> Iterator[Building]:
    """A place to build these years in, with the calendar spine beside it; `swap()` makes the result the warehouse.

    One build at a time; what killed ones left behind is removed first. Without an older warehouse of this project, lake and history
    every year is built.

    Raises
    ------
    LockHeld : another build has been running for ten minutes.
    LakeError : the folder cannot be written.
    """
    target = work.settings.warehouse_file
    with _one_builder(target):
        with _disk_errors(target.parent):
            _sweep(target)
            folder = Path(tempfile.mkdtemp(prefix=f"{target.stem}.", suffix=".building", dir=target.parent))
        try:
            with _disk_errors(target.parent):
                made = _begin(work, windows, folder)
            yield made
        finally:
            _sweep(target)


def _sweep(target: Path) -> None:
    """Removes what builds left behind: at both ends of one, because a dbt that outlived its killed parent writes on for some seconds."""
    for leftover in target.parent.glob(f"{target.stem}.*.building"):
        shutil.rmtree(leftover, ignore_errors=True)


def _begin(work: Workspace, windows: Sequence[Window], folder: Path) -> Building:
    target, span = work.settings.warehouse_file, _span(work)
    stored, found = _built_from(target), _inputs(work, span)
    from_scratch = stored is None or _whole(stored) != _whole(found)
    window = span if from_scratch else Window(min(each.start for each in windows), max(each.end for each in windows))
    # A year that is not rebuilt keeps the versions its rows came from, so that it stays stale if they have changed.
    kept = {_named(table, str(year)) for table in COPIED for year in span.years if year not in window.years} if stored else set()
    inputs = {name: version for name, version in found.items() if name not in kept}
    inputs |= {name: version for name, version in (stored or {}).items() if name in kept}
    made = Building(folder, target, window, from_scratch, work.lake.root, inputs)
    session_table(span).write_parquet(made.variables["sessions"])
    if not from_scratch:
        shutil.copyfile(target, made.database)
    return made


def _span(work: Workspace) -> Window:
    """From the start of history to the night, or to the newest bar when that is later: an earlier night does not shorten the warehouse."""
    newest: dt.date | None = None
    if years := [int(year) for table, year in _files(work) if table == "prices"]:
        rows = work.lake.scan("prices", window=year_window(max(years)))
        newest = rows.select(pl.col("session").max()).collect().item()
    return Window(work.history.start, max(work.after_as_of, (newest or work.as_of) + dt.timedelta(days=1)))


def _inputs(work: Workspace, span: Window) -> dict[str, str]:
    """What a build reads, by name, with its version."""
    whole = {"project": project_fingerprint(), "lake": str(work.lake.root.absolute()), "first day": str(span.start)}
    return {**whole, "last day": str(span.last_day), **{_named(*file): version for file, version in _files(work).items()}}


def _files(work: Workspace) -> dict[tuple[str, str], str]:
    """The version of every (table, year) file that dbt reads."""
    found = {}
    for table in STAGED:
        for file in work.lake.root.glob(f"{table}/year=[0-9][0-9][0-9][0-9]/part.parquet"):
            with suppress(FileNotFoundError):  # emptied by a writer since it was listed
                stat = file.stat()
                found[table, file.parent.name.removeprefix("year=")] = f"{stat.st_size} {stat.st_mtime_ns}"
    return found


def _named(table: str, year: str) -> str:
    return f"{table} {year}"


def _whole(inputs: Mapping[str, str]) -> list[str | None]:
    """What every row depends on."""
    return [inputs.get(name) for name in ("project", "lake", "first day")]


def _built_from(file: Path) -> dict[str, str] | None:
    """What the warehouse says it was built from; None when there is none that can say so."""
    if not file.is_file():
        return None
    try:
        with _read(file) as connection:
            return dict(connection.execute(f"SELECT input, version FROM {BUILT_FROM}").fetchall())
    except duckdb.Error:
        return None


def _read(file: Path) -> duckdb.DuckDBPyConnection:
    """Attached, not connected to: within one process DuckDB would hand out a file that was replaced since as long as anyone holds it."""
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False, "TimeZone": "UTC"})
    try:
        connection.execute(f"ATTACH '{_text(file)}' AS warehouse (READ_ONLY); USE warehouse")
    except BaseException:
        connection.close()
        raise
    return connection


def _text(file: Path) -> str:
    return str(file.absolute()).replace("'", "''")


@contextmanager
def _one_builder(target: Path) -> Iterator[None]:
    lock = FileLock(target.with_suffix(".lock"), timeout=PATIENCE_SECONDS, fallback_to_soft=False)
    with _disk_errors(target.parent):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise LockHeld(f"another build of {target} has been running for {PATIENCE_SECONDS} s", remedy="wait for it or end it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        remedy = "free disk space or make the folder writable, then run again"
        raise LakeError(f"{folder} cannot be written ({failure.strerror})", remedy=remedy) from failure


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
