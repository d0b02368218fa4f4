"""The sources of each profile. A new vendor is one file here and one line below."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from quant_assets.errors import BadArgument
from quant_assets.settings import Settings
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets.sources.base import Source
from quant_assets.sources.bokeh_stocks import BokehStocks
from quant_assets.sources.skfolio_prices import SkfolioPrices

OFFLINE: tuple[Source, ...] = (BokehStocks(), SkfolioPrices(), ArchIndices())
LIVE_PACKAGES = ("curl_cffi", "tenacity", "yfinance")


def every_source(settings: Settings) -> tuple[Source, ...]:
    """All sources of the profile; those that are asked over the network share the wire of the data folder.

    Raises
    ------
    BadArgument : what the profile needs is not installed.
    """
    if settings.profile == "offline":
        return OFFLINE
    base_urls = tuple((vendor, at.base_url) for vendor, at in sorted(settings.sources.items()) if at.base_url)
    return _live(settings.path(settings.paths.data), base_urls)


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


def source_named(settings: Settings, table: str, name: str) -> Source:
    known = {source.name: source for source in sources(settings, table)}
    if name not in known:
        raise BadArgument(f"no source {name!r} for {table}", remedy=f"the universe file may name {', '.join(known)}")
    return known[name]


@cache
def _live(data: Path, base_urls: tuple[tuple[str, str], ...]) -> tuple[Source, ...]:
    """Made once a process, so that all its steps ask over one wire."""
    missing = [package for package in LIVE_PACKAGES if find_spec(package) is None]
    if missing:
        told = f"profile 'live' needs packages that are not installed: {', '.join(missing)}"
        raise BadArgument(told, remedy="pip install -e '.[live]', or 'quant-assets[live]'")
    from quant_assets.sources.wire.wire import Wire
    from quant_assets.sources.yahoo import YahooIndices, YahooPrices

    wire = Wire(data, base_urls=dict(base_urls))
    return YahooPrices(wire), YahooIndices(wire)
