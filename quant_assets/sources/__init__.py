"""The sources of each profile. A new vendor is one file here and one line below."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from quant_assets.errors import BadArgument
from quant_assets.settings import Settings, Vendor
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets.sources.base import Source
from quant_assets.sources.bokeh_stocks import BokehStocks
from quant_assets.sources.lean_files import LeanFiles
from quant_assets.sources.native_files import NativeFiles, native_folder
from quant_assets.sources.skfolio_prices import SkfolioPrices

OFFLINE: tuple[Source, ...] = (BokehStocks(), SkfolioPrices(), ArchIndices())
LIVE_PACKAGES = ("curl_cffi", "finnhub", "fredapi", "httpx", "massive", "newsapi", "requests", "tenacity", "yfinance")


def every_source(settings: Settings) -> tuple[Source, ...]:
    """All sources of the profile, also those that lack a key; those of the network share the wire of the data folder. LEAN's files last,
    in any profile, where their folder is set.

    Raises
    ------
    BadArgument : what the profile needs is not installed; LEAN's folder is none.
    """
    folder = settings.sources.get("lean", Vendor()).folder
    files = (NativeFiles(native_folder(settings)), *((LeanFiles(settings.path(folder)),) if folder else ()))
    if settings.profile == "offline":
        return *OFFLINE, *files
    return *_live(settings.path(settings.paths.data), tuple(sorted(settings.sources.items()))), *files


def sources(settings: Settings, table: str) -> list[Source]:
    """The sources that can fill `table`, best first.

    Raises
    ------
    BadArgument : the profile has none, or what it needs is not installed.
    """
    found = [source for source in every_source(settings) if source.table == table]
    if not found:
        raise BadArgument(f"profile {settings.profile!r} has no source for {table}", remedy="choose another profile")
    return found


def configured(settings: Settings, table: str) -> list[Source]:
    """Those of the sources of `table` whose vendor can be asked: none where no key is set, or the profile has none."""
    mine = [source for source in every_source(settings) if source.table == table]
    return [source for source in mine if source.policy is None or source.policy.lacks is None]


def lacking(settings: Settings, table: str) -> str:
    """What to do so that somebody can be asked for the table: set one of the variables that its vendors lack, or change the profile."""
    mine = [source.policy for source in every_source(settings) if source.table == table]
    unset = sorted({policy.lacks for policy in mine if policy and policy.lacks})
    return f"set {' or '.join(unset)}" if unset else f"profile {settings.profile!r} has no source for it"


def source_named(settings: Settings, table: str, name: str) -> Source:
    known = {source.name: source for source in sources(settings, table)}
    if name not in known:
        raise BadArgument(f"no source {name!r} for {table}", remedy=f"the universe file may name {', '.join(known)}")
    return known[name]


@cache
def _live(data: Path, told: tuple[tuple[str, Vendor], ...]) -> tuple[Source, ...]:
    """Made once a process, so that all its steps ask over one wire."""
    missing = [package for package in LIVE_PACKAGES if find_spec(package) is None]
    if missing:
        sentence = f"profile 'live' needs packages that are not installed: {', '.join(missing)}"
        raise BadArgument(sentence, remedy="pip install -e '.[live]', or 'quant-assets[live]'")
    from quant_assets.sources.alpha_vantage import AlphaVantageEarnings, AlphaVantageOverview
    from quant_assets.sources.finnhub import FinnhubEarnings, FinnhubInsiders, FinnhubRecommendations
    from quant_assets.sources.finnhub_news import FinnhubNews, FinnhubSentiment
    from quant_assets.sources.fred import SERIES, FredMacro
    from quant_assets.sources.massive_options import MassiveOptions
    from quant_assets.sources.massive_prices import MassivePrices
    from quant_assets.sources.massive_quotes import MassiveQuotes
    from quant_assets.sources.news_api import NewsApi
    from quant_assets.sources.sec_facts import SecFacts
    from quant_assets.sources.wire.wire import Wire
    from quant_assets.sources.yahoo import YahooIndices, YahooPrices
    from quant_assets.sources.yahoo_company import YahooCompanyInfo, YahooHolders
    from quant_assets.sources.yahoo_earnings import YahooEarnings
    from quant_assets.sources.yahoo_options import YahooOptions

    vendors = dict(told)
    wire = Wire(data, base_urls={vendor: at.base_url for vendor, at in told if at.base_url})
    further = vendors.get("fred", Vendor()).series
    return (
        YahooPrices(wire),
        MassivePrices(wire),
        YahooIndices(wire),
        FredMacro(wire, series=list(dict.fromkeys((*SERIES, *further)))),
        SecFacts(wire, contact=vendors.get("sec", Vendor()).contact),
        MassiveOptions(wire),
        YahooOptions(wire),
        MassiveQuotes(wire),
        YahooCompanyInfo(wire),
        YahooEarnings(wire),
        YahooHolders(wire),
        AlphaVantageEarnings(wire),
        AlphaVantageOverview(wire),
        FinnhubEarnings(wire),
        FinnhubInsiders(wire),
        FinnhubNews(wire),
        FinnhubRecommendations(wire),
        FinnhubSentiment(wire),
        NewsApi(wire),
    )
