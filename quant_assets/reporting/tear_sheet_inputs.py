"""What a tear sheet is made of: strategies over the same sessions, what they are compared with, bars to draw their trades on.

Nothing here draws or writes; gathering it from the lake is `steps/tear_sheets.py`'s business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl

from quant_assets.backtest.track import Track
from quant_assets.errors import BadArgument
from quant_assets.schemas import TABLES


@dataclass(frozen=True)
class Strategy:
    """One account on the sheet.

    Parameters
    ----------
    key : short name, without spaces. name : as printed. rule : what it does, in words.
    """

    key: str
    name: str
    rule: str
    track: Track

    @property
    def idle(self) -> bool:
        """Nothing was bought or held: every close is the starting wealth."""
        return int(self.track.entries[-1] - self.track.entries[0]) == 0 and not self.track.exposure.any()


@dataclass(frozen=True)
class Market:
    """What the strategies are compared with; their tracks carry it as their benchmark.

    Parameters
    ----------
    note : what it leaves out, a clause without capital and full stop.
    wealth : session, wealth (any unit).
    """

    name: str
    note: str
    wealth: pl.DataFrame


@dataclass(frozen=True)
class Sweep:
    """The user's rule at other thresholds.

    Parameters
    ----------
    rows : threshold, sharpe, total_return, max_drawdown, n_entries, ascending; figures are null where nothing was bought.
    current : the threshold in the settings. note : whose account and which sessions, a sentence without full stop.
    """

    rows: pl.DataFrame
    current: float
    note: str


@dataclass(frozen=True)
class TearSheet:
    """Everything the page shows.

    Parameters
    ----------
    subject : the title. account : what money this is.
    strategies : at least one, the user's first; all of the same sessions, but for one that was ruined earlier.
    market, no_market : the index, or the sentence that says why there is none.
    prices : table `prices` of the names that were traded, raw bars; perhaps none.
    sweep, no_sweep : other thresholds, or the sentence that says why there are none.
    notes : sentences, shown as given.

    Raises
    ------
    BadArgument : no strategy, two with one key, or strategies of other sessions.
    """

    subject: str
    account: str
    strategies: Sequence[Strategy]
    market: Market | None = None
    no_market: str = "no index was given to compare with"
    prices: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TABLES["prices"].schema))
    sweep: Sweep | None = None
    no_sweep: str = "no other threshold was tried"
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.strategies:
            raise BadArgument("the sheet has 0 strategies (limit: at least 1)", remedy="pass the track of one")
        keys = [strategy.key for strategy in self.strategies]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise BadArgument(f"{keys.count(twice[0])} strategies have the key {twice[0]!r} (limit 1)", remedy="give each a key of its own")
        whole = self.sessions
        for strategy in self.strategies:
            own = strategy.track.sessions
            if own != whole[: len(own)] or (len(own) < len(whole) and not strategy.track.ruined):
                raise BadArgument(
                    f"{strategy.name} has {len(own)} sessions from {own[0]} where another strategy has {len(whole)} from {whole[0]}",
                    remedy="show accounts of the same sessions on one sheet",
                )

    @property
    def sessions(self) -> list[dt.date]:
        return self._longest.sessions

    @cached_property
    def active(self) -> list[Strategy]:
        """Those that bought or held anything."""
        return [strategy for strategy in self.strategies if not strategy.idle]

    @cached_property
    def market_track(self) -> Track | None:
        """Holding the index from the first close on, with the wealth that the strategies start with; it pays no costs."""
        track = self._longest
        if self.market is None or track.benchmark is None:
            return None
        none = np.zeros(len(track.sessions))
        return replace(
            track,
            wealth=track.benchmark * (track.wealth[0] / track.benchmark[0]),
            exposure=none + 1,
            costs=none,
            entries=none.astype(np.int64),
            trades=track.trades.clear(),
            benchmark=None,
        )

    @property
    def _longest(self) -> Track:
        return max((strategy.track for strategy in self.strategies), key=lambda track: len(track.sessions))
