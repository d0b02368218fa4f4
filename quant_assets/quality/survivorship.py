"""What a list of names says of its own making: who ended, and how many endings a list that was not picked among survivors would show."""

from __future__ import annotations

from dataclasses import dataclass

from quant_assets.calendars import Window
from quant_assets.universe import Universe

DAYS_A_YEAR = 365.25
UPPER_95 = 3.0
"""Of a count that came out as none, the upper end of its 95 % interval (exp(-3) is 0.05): the rule of three."""


WORTH_SAYING = 0.2
"""A higher rate says nothing of a list: so few lives were seen."""


@dataclass(frozen=True)
class Survivorship:
    """names : of the universe. ended : those that were delisted inside the window. name_years : from each first session to each last."""

    names: int
    ended: int
    name_years: float

    @property
    def highest_rate(self) -> float | None:
        """Endings a name and year, above which a list without any is unlikely (5 %); None when some ended, or nothing was observed."""
        return UPPER_95 / self.name_years if not self.ended and self.name_years else None

    @property
    def sentence(self) -> str:
        if not self.names:
            return "No name was listed in that time."
        lived = f"{self.name_years:,.0f} name-years"
        if self.ended:
            return f"{self.ended} of {self.names} names ended in {lived}: the history has its dead as far as the universe file names them."
        rate = self.highest_rate
        above = f"; more than {100 * rate:.1f} % of endings a year would make that unlikely" if rate and rate < WORTH_SAYING else ""
        return (
            f"By the universe file none of {self.names} names ended in {lived}{above}. A list that was made later has lost whoever ended "
            "before it was made: how many, only a list of all that were listed then can say."
        )


def survivorship(universe: Universe, window: Window) -> Survivorship:
    """Of the names that were listed in the window."""
    lives = [
        (max(known.listed, window.start), min(known.delisted or window.last_day, window.last_day), known.delisted)
        for known in universe.listings
        if known.listed < window.end
    ]
    there = [(first, last, gone) for first, last, gone in lives if first <= last]
    years = sum((last - first).days for first, last, _ in there) / DAYS_A_YEAR
    return Survivorship(len(there), sum(gone is not None and gone < window.end for *_, gone in there), years)
