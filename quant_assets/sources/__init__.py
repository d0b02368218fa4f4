"""The sources of each profile. A new vendor is one file here and one line below."""

from __future__ import annotations

from quant_assets.errors import BadArgument
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets.sources.base import Source
from quant_assets.sources.bokeh_stocks import BokehStocks
from quant_assets.sources.skfolio_prices import SkfolioPrices

OFFLINE: tuple[Source, ...] = (BokehStocks(), SkfolioPrices(), ArchIndices())


def sources(profile: str, table: str) -> list[Source]:
    """The sources that can fill `table`, best first.

    Raises
    ------
    BadArgument : the profile has none.
    """
    found = [source for source in (OFFLINE if profile == "offline" else ()) if source.table == table]
    if not found:
        raise BadArgument(f"profile {profile!r} has no source for {table}", remedy="run with `--profile offline`")
    return found


def source_named(profile: str, table: str, name: str) -> Source:
    known = {source.name: source for source in sources(profile, table)}
    if name not in known:
        raise BadArgument(f"no source {name!r} for {table}", remedy=f"the universe file may name {', '.join(known)}")
    return known[name]
