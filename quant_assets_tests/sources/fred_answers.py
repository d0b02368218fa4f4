"""FRED's answers in the form its interface gives them (fredapi's recorded ones show it), made of a few observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quant_assets_tests.replay import Answers, Asked, Reply

Observation = tuple[str, str, str]
"""date, realtime_start, value."""

# Two months of the CPI, as revised each February: made up. Two quarters of the GDP: as published (fredapi's documentation).
CPI = [
    ("2014-12-01", "2015-01-16", "234.8"),
    ("2014-12-01", "2016-02-19", "234.9"),
    ("2015-01-01", "2015-02-26", "233.7"),
    ("2015-01-01", "2016-02-19", "234.0"),
    ("2015-02-01", "2015-03-24", "."),
]
GDP = [
    ("2013-10-01", "2014-01-30", "17102.5"),
    ("2013-10-01", "2014-02-28", "17080.7"),
    ("2013-10-01", "2014-03-27", "17089.6"),
    ("2014-01-01", "2014-04-30", "17149.6"),
    ("2014-01-01", "2014-05-29", "17101.3"),
]
# Around Columbus Day, 2014-10-13, on which the exchange opened and the Federal Reserve did not.
DGS10 = [
    ("2014-10-09", "2026-01-02", "2.34"),
    ("2014-10-10", "2026-01-02", "2.31"),
    ("2014-10-13", "2026-01-02", "."),
    ("2014-10-14", "2026-01-02", "2.21"),
]


def observations(rows: Sequence[Observation], *, count: int | None = None, limit: int = 100_000) -> Reply:
    found = "".join(
        f'<observation realtime_start="{start}" realtime_end="9999-12-31" date="{date}" value="{value}"/>\n' for date, start, value in rows
    )
    head = (
        f'realtime_start="1776-07-04" realtime_end="9999-12-31" count="{len(rows) if count is None else count}" offset="0" limit="{limit}"'
    )
    return Reply(f'<?xml version="1.0" encoding="utf-8" ?>\n<observations {head}>\n{found}</observations>', content_type="text/xml")


def error(message: str, *, status: int = 400) -> Reply:
    body = f'<?xml version="1.0" encoding="utf-8" ?>\n<error code="{status}" message="{message}"/>'
    return Reply(body, status=status, content_type="text/xml")


def fred(series: Mapping[str, Sequence[Observation] | Reply]) -> Answers:
    """Answers by series; of an unknown one what FRED says."""

    def answers(asked: Asked) -> Reply:
        found = series.get(asked.params["series_id"])
        if found is None:
            return error("Bad Request.  The series does not exist.")
        return found if isinstance(found, Reply) else observations(found)

    return answers
