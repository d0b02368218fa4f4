"""Fees that a regulator sets and changes: each table carries the days its rates hold from. What an order pays in all is in `costs.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_assets.errors import BadArgument


@dataclass(frozen=True)
class Rate:
    """What holds from a day on.

    Parameters
    ----------
    since : first day. rate : USD per USD sold (SEC) or per share sold (TAF). cap : USD an order at most.
    """

    since: dt.date
    rate: float
    cap: float = float("inf")


@dataclass(frozen=True)
class FeeTable:
    """Rates in order of their days. A day before the first one pays the first: a fee is not left out because its history is not here."""

    name: str
    rates: tuple[Rate, ...]

    def __post_init__(self) -> None:
        days = [rate.since for rate in self.rates]
        if not days or days != sorted(set(days)):
            raise BadArgument(
                f"the rates of {self.name} are not in the order of their days", remedy="give each day once, the earliest first"
            )

    def on(self, session: dt.date) -> Rate:
        """The rate of a day."""
        return self.rates[max(sum(rate.since <= session for rate in self.rates) - 1, 0)]

    def over(self, sessions: Sequence[dt.date]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(rate, cap) of each session, (n_sessions,) each."""
        places = np.searchsorted(
            np.array([rate.since for rate in self.rates[1:]], dtype="M8[D]"), np.array(sessions, dtype="M8[D]"), "right"
        )
        return np.array([rate.rate for rate in self.rates])[places], np.array([rate.cap for rate in self.rates])[places]


NO_FEE = FeeTable("no fee", (Rate(dt.date.min, 0.0),))
SEC_FEE = FeeTable("SEC fee", (Rate(dt.date(2024, 5, 22), 27.80e-6), Rate(dt.date(2025, 5, 14), 0.0)))
"""Section 31 of the Exchange Act, on sales. $27.80 a million was the highest rate since 2007, so charging it before 2024 is pessimistic."""
TAF = FeeTable("TAF", (Rate(dt.date(2024, 1, 1), 0.000166, 8.30),))
"""FINRA's trading activity fee, on shares sold, at most $8.30 an order; earlier rates were lower."""
