"""Steps that fetch what is published about the economy and about companies: `macro` and `fundamentals`, by the year of publication."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import NoData, SourceError
from quant_assets.schemas import TABLES
from quant_assets.sources.base import Source
from quant_assets.steps.history import Windows, span
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace


def fetch_macro(work: Workspace, windows: Windows, source: Source) -> StepResult:
    """Fetches what was published in the windows of every series and replaces it in the lake.

    Raises SourceError when one series is not delivered; the answers about the others are kept for the next attempt.
    """
    asked = work.known(span(windows))
    series = sorted(source.offers())
    rows = _published(source, series, asked, work)
    work.lake.replace("macro", rows, keys=series, window=asked)
    return StepResult(rows, {"series": len(series), "revisions": rows.height - rows.select("series", "session").n_unique()})


def fetch_fundamentals(work: Workspace, tickers: Sequence[str], windows: Windows, source: Source) -> StepResult:
    """Fetches what each company filed in the windows and replaces it in the lake.

    A name that is not delivered is withheld and keeps what an earlier night stored; one that files nothing (a fund) has no rows.
    """
    asked = work.known(span(windows))
    parts, withheld, without = [pl.DataFrame(schema=TABLES["fundamentals"].schema)], {}, []
    for ticker in tickers:
        try:
            parts.append(_published(source, [ticker], asked, work))
        except NoData:
            without.append(ticker)
        except SourceError as error:
            withheld[ticker] = str(error)
    rows = pl.concat(parts)
    work.lake.replace("fundamentals", rows, keys=[ticker for ticker in tickers if ticker not in withheld], window=asked)
    figures = {"tickers": len(tickers) - len(withheld), "filings": rows["accession"].n_unique(), "without_filings": without}
    return StepResult(rows, figures, withheld={(ticker, key): reason for ticker, reason in withheld.items() for key in windows})


def _published(source: Source, keys: Sequence[str], window: Window, work: Workspace) -> pl.DataFrame:
    rows = source.normalise(source.fetch(keys, window), fetched_at=work.clock())
    table = TABLES[source.table]
    return rows.filter(pl.col(table.event_time).is_between(window.start, window.end, closed="left")).sort(table.sort_order)
