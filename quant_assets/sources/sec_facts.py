"""What US companies reported, as filed with the SEC since 2009: XBRL company facts, one request a company.

Every row is one figure in one filing. A 10-K repeats the figures of earlier years, so a period occurs in several filings, with the same
value or a restated one: `point_in_time.known` picks the version of an instant.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from quant_assets.calendars import TIMEZONE, Window
from quant_assets.errors import BadArgument, NoData, SourceError
from quant_assets.schemas import TABLES, UTC, Dtype
from quant_assets.sources.wire.exchange import Answer, Request
from quant_assets.sources.wire.policy import Complaint, Policy, Rate, Trouble

if TYPE_CHECKING:
    from quant_assets.sources.wire.over_httpx import Client
    from quant_assets.sources.wire.wire import Wire

TICKERS_URL = "https://www.sec.gov/files/company_tickers.json"
FACTS_URL = "https://data.sec.gov/api/xbrl/companyfacts/CIK{cik:010d}.json"
FIRST_XBRL_FILING = dt.date(2009, 1, 1)
RAW_COLUMNS: dict[str, Dtype] = {
    **dict.fromkeys(("ticker", "taxonomy", "concept", "unit", "start", "end"), pl.String),
    "val": pl.Float64,
    "accn": pl.String,
    "form": pl.String,
    "fy": pl.Int64,
    "fp": pl.String,
    "filed": pl.String,
}
OF_A_FACT = tuple(RAW_COLUMNS)[4:]


def _complaint(request: Request, answer: Answer) -> Complaint | None:
    """The SEC refuses with 403 both who asks too fast, which passes, and who does not say who it is, which does not."""
    if answer.status == 403 and b"Undeclared Automated Tool" in answer.body:
        return Complaint(Trouble.UNUSABLE, "refused a request that does not say whom to contact")
    if answer.status == 403 and b"Request Rate Threshold Exceeded" in answer.body:
        return Complaint(Trouble.TRANSIENT, "answered 403 Request Rate Threshold Exceeded")
    if answer.status == 404 and request.endpoint.endswith(".json"):
        return Complaint(Trouble.NO_DATA, "has no such file: the company files no XBRL")
    return None


POLICY = Policy(
    vendor="sec",
    server="https://data.sec.gov",
    rates=(Rate(8, 1.0),),  # 10 are allowed, and clients at 9.9 were blocked
    backoff_seconds=5.0,
    lasts=lambda request: dt.timedelta(hours=12),  # never last night's answer
    complaint=_complaint,
    symbol=lambda request: request.endpoint.rpartition("/")[2].removesuffix(".json") if "/CIK" in request.endpoint else None,
)


class SecFacts:
    """The SEC's company facts.

    Parameters
    ----------
    contact : e-mail address that goes with every request, as the SEC demands; None: nothing can be fetched.
    """

    name = "sec"
    table = "fundamentals"

    def __init__(self, wire: Wire, *, contact: str | None) -> None:
        self.policy = POLICY if contact else replace(POLICY, unset="sources.sec.contact")
        self._wire = wire
        self._contact = contact

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Whatever is asked for: that a name files no XBRL (a fund) shows when it is fetched."""
        return dict.fromkeys(keys or (), Window(FIRST_XBRL_FILING, dt.date.max))

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The facts filed in the window with the SEC's own names and texts; instants have no start.

        Raises
        ------
        BadArgument : no contact is set. NoData : the SEC does not know a ticker, or the company files no XBRL.
        SourceError : the answer is not what was promised; SourceUnavailable as of the wire.
        """
        with self._client() as client:
            companies = _companies(client)
            facts = {key: _json(client, FACTS_URL.format(cik=_cik(companies, key))) for key in keys}
        rows = [row for key, answer in facts.items() for row in _facts(key, answer, window)]
        return pd.DataFrame(rows, columns=list(RAW_COLUMNS), dtype=object)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """Facts told twice are one row.

        A filing dated D was sent in by 17:30 of D and shown at once or, on a busy day, hours later (17 CFR 232.13): it counts as known
        at the end of D in New York, and so from the next session on.
        """
        day = {name: pl.col(name).str.to_date("%Y-%m-%d") for name in ("start", "end", "filed")}
        known_at = (day["filed"].cast(pl.Datetime("us")) + dt.timedelta(days=1)).dt.replace_time_zone(TIMEZONE)
        try:
            facts = pl.DataFrame({name: raw[name].to_list() for name in RAW_COLUMNS}, schema=RAW_COLUMNS)
            rows = facts.unique(maintain_order=True).select(
                "ticker",
                "taxonomy",
                "concept",
                "unit",
                "form",
                day["filed"],
                period_start=day["start"],
                period_end=day["end"],
                value="val",
                accession="accn",
                fiscal_year="fy",
                fiscal_period="fp",
                source=pl.lit(self.name),
                fetched_at=pl.lit(fetched_at, dtype=UTC),
                known_at=known_at.dt.convert_time_zone("UTC"),
            )
        except (TypeError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise SourceError(f"sec: a fact cannot be read ({reason})", remedy="see whether the SEC changed its facts") from None
        return TABLES["fundamentals"].conform(rows)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        from quant_assets.sources.wire.over_httpx import Client  # of the extra `live`

        if self._contact is None:
            raise BadArgument("the SEC answers only who names a contact", remedy="set sources.sec.contact to your e-mail address")
        with closing(Client(self._wire, POLICY, headers={"User-Agent": f"quant-assets {self._contact}"})) as client:
            yield client


def _companies(client: Client) -> dict[str, int]:
    """Ticker to CIK, as of today: who had a ticker before somebody else is not found."""
    listed = _json(client, TICKERS_URL)
    try:
        return {company["ticker"]: int(company["cik_str"]) for company in listed.values()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise SourceError(f"{TICKERS_URL} is not a list of tickers", remedy="see whether the SEC changed it") from None


def _cik(companies: dict[str, int], ticker: str) -> int:
    if ticker not in companies:
        raise NoData(
            f"sec: {ticker} is not among the {len(companies)} tickers of {TICKERS_URL}", remedy="leave it out, or correct its name"
        )
    return companies[ticker]


def _json(client: Client, url: str) -> Any:
    return json.loads(client.get(url).body)


def _facts(ticker: str, answer: Any, window: Window) -> Iterator[tuple[Any, ...]]:
    """The facts filed in the window, in the order of `RAW_COLUMNS`."""
    first, end = window.start.isoformat(), window.end.isoformat()
    try:
        for taxonomy, concepts in answer["facts"].items():
            for concept, figure in concepts.items():
                for unit, facts in figure["units"].items():
                    for fact in facts:
                        if first <= fact["filed"] < end:
                            yield ticker, taxonomy, concept, unit, *map(fact.get, OF_A_FACT)
    except (AttributeError, KeyError, TypeError) as error:
        message = f"sec: the company facts of {ticker} are not built as they were ({error!r})"
        raise SourceError(message, remedy="see whether the SEC changed them") from None
