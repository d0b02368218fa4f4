"""One night's context: settings, universe, lake, and the instant up to which anything may be known."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from quant_assets.calendars import (
    Window,
    is_session,
    last_settled_session,
    quarter_window,
    session_on_or_after,
    session_on_or_before,
    year_window,
)
from quant_assets.errors import BadArgument
from quant_assets.features.catalog import ALL_FEATURES
from quant_assets.features.sets import feature_set
from quant_assets.lake import Lake, coverage
from quant_assets.membership import Membership, within_span
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets.universe import Universe

# The last session of the market data inside the PyPI packages: profile offline knows nothing after it.
OFFLINE_LAST_SESSION = dt.date(2013, 3, 1)


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Workspace:
    """What every step receives. `as_of` is a session: nothing known after its close may be read."""

    settings: Settings
    universe: Universe
    lake: Lake
    as_of: dt.date
    clock: Callable[[], dt.datetime] = field(default=utc_now, compare=False)
    membership: Membership | None = None

    @classmethod
    def open(cls, settings: Settings, *, as_of: dt.date | None = None, clock: Callable[[], dt.datetime] = utc_now) -> Workspace:
        """The workspace of the night `as_of`; of the last known session when None.

        Raises
        ------
        BadArgument : the profile's packages are not installed, or it lacks the source of a name; `as_of` is no session, or lies outside
            the decision grid or the data; the universe or the membership file is malformed; there is no such feature set.
        """
        known = [source.name for source in sources(settings, "prices")]
        last = last_known_session(settings, clock())
        if settings.grids.first_decision > last:
            raise BadArgument(
                f"setting grids.first_decision = {settings.grids.first_decision} is after the last known session {last}",
                remedy="set an earlier day",
            )
        as_of = as_of or last
        check_as_of(as_of, first=settings.grids.first_decision, last=last)
        universe = Universe.read(settings.universe_file)
        for name in universe.listings:
            for unknown in set(name.sources) - set(known):
                raise BadArgument(
                    f"universe file {universe.file}: {name.ticker} has the unknown source {unknown!r}",
                    remedy=f"profile {settings.profile!r} has {', '.join(known)}",
                )
        file = settings.membership_file
        work = cls(settings, universe, Lake(settings.lake_root), as_of, clock, Membership.read(file, universe) if file else None)
        work.model_features  # noqa: B018 - refuses a wrong set before anything runs
        return work

    @cached_property
    def model_features(self) -> tuple[str, ...]:
        """What the model reads, in its order."""
        return feature_set(self.settings.features.model, self.settings.features.sets)

    @cached_property
    def across_version(self) -> str:
        """The version of features across names: those of the features and of who is ranked among whom."""
        names = self.eligible().sort("key", "start").write_csv()
        return hashlib.sha256(f"{ALL_FEATURES}\n{names}".encode()).hexdigest()[:12]

    @property
    def history(self) -> Window:
        """Everything from the start of the history grid up to and including `as_of`."""
        return Window(self.settings.grids.history_start, self.after_as_of)

    @property
    def out_of_sample(self) -> Window:
        """From the first training cut-off up to and including `as_of`."""
        return Window(self.settings.grids.first_cutoff, self.after_as_of)

    @property
    def after_as_of(self) -> dt.date:
        return self.as_of + dt.timedelta(days=1)

    @property
    def cutoff(self) -> dt.date:
        """Training cut-off of the model that decides at `as_of`."""
        return quarter_window(self.as_of).start

    def known(self, window: Window) -> Window:
        """The part of a window that may be known at `as_of`."""
        return window.clipped(self.after_as_of)

    def eligible(self, tickers: Sequence[str] | None = None) -> pl.DataFrame:
        """key, start, end (null: none in sight) of the days on which each name may be decided on: listed, and a member if there are any."""
        lives = coverage.listings(self.universe, tickers)
        return self.membership.within(lives) if self.membership else lives

    def decidable(self, tickers: Sequence[str]) -> list[str]:
        """Those of the names that may be decided on at the close of `as_of`."""
        tonight = pl.lit(self.as_of).alias("session")
        names = set(self.eligible(tickers).with_columns(tonight).filter(within_span())["key"])
        return [ticker for ticker in tickers if ticker in names]

    def year_windows(self) -> dict[str, Window]:
        """Date keys of the history grid up to `as_of`."""
        return {str(year): year_window(year) for year in self.history.years}

    def quarter_windows(self) -> dict[str, Window]:
        """Date keys of the training grid up to `as_of`."""
        windows: dict[str, Window] = {}
        quarter = quarter_window(self.settings.grids.first_cutoff)
        while quarter.start <= self.as_of:
            windows[quarter.start.strftime("%Y-%m")] = quarter
            quarter = quarter_window(quarter.end)
        return windows


def last_known_session(settings: Settings, now: dt.datetime) -> dt.date:
    """The latest session whose bars are final by `now` and that the profile has data of."""
    last = last_settled_session(now)
    return min(last, OFFLINE_LAST_SESSION) if settings.profile == "offline" else last


def check_as_of(as_of: dt.date, *, first: dt.date, last: dt.date) -> None:
    """Raises BadArgument naming the sessions around an impossible date."""
    if as_of > last:
        raise BadArgument(f"--as-of {as_of} is after the last known session {last}", remedy=f"use {last} or an earlier session")
    if as_of < first:
        first_session = session_on_or_after(first)
        raise BadArgument(f"--as-of {as_of} is before the first decision {first_session}", remedy=f"use {first_session} or a later session")
    if not is_session(as_of):
        before, after = session_on_or_before(as_of), session_on_or_after(as_of)
        raise BadArgument(f"--as-of {as_of} is not a session of the exchange", remedy=f"use {before} or {after}")
