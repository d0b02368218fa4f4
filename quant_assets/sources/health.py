"""How each vendor of the profile stands: whether it can be asked and reached, what it was asked today, what came of it last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from quant_assets.lake import Lake
from quant_assets.settings import Settings
from quant_assets.sources import every_source
from quant_assets.sources.base import Source
from quant_assets.sources.wire.policy import Policy

if TYPE_CHECKING:
    from quant_assets.sources.wire.wire import VendorStatus


@dataclass(frozen=True)
class VendorHealth:
    """One vendor.

    Parameters
    ----------
    policy : its own; `policy.lacks` names the key or setting without which it is not asked.
    unreachable : why its server cannot be reached; None when it can be, or was not tried because something is lacking.
    fetched : the newest `fetched_at` of its rows, by table that it can fill; None where there are none.
    """

    policy: Policy
    status: VendorStatus
    unreachable: str | None
    fetched: dict[str, dt.datetime | None]


def vendors_of(settings: Settings, lake: Lake) -> list[VendorHealth]:
    """The vendors of the network in this profile, each asked for nothing but a sign of life.

    Raises
    ------
    BadArgument : what the profile needs is not installed.
    """
    asked = [source for source in every_source(settings) if source.policy]
    policies = {source.policy.vendor: source.policy for source in asked if source.policy}
    if not policies:
        return []
    from quant_assets.sources.wire.over_httpx import unreachable
    from quant_assets.sources.wire.wire import opened_wire

    with opened_wire(settings) as wire:
        statuses = wire.status(list(policies.values()))
        servers = [wire.base_urls.get(vendor, policy.server) if policy.lacks is None else None for vendor, policy in policies.items()]
    with ThreadPoolExecutor(max_workers=len(policies)) as pool:
        found = list(pool.map(lambda server: unreachable(server) if server else None, servers))
    return [
        VendorHealth(policy, status, problem, _fetched(lake, [source for source in asked if _same(source, policy)]))
        for policy, status, problem in zip(policies.values(), statuses, found, strict=True)
    ]


def _same(source: Source, policy: Policy) -> bool:
    return source.policy is not None and source.policy.vendor == policy.vendor


def _fetched(lake: Lake, sources: Sequence[Source]) -> dict[str, dt.datetime | None]:
    return {
        source.table: lake.scan(source.table, columns=["source", "fetched_at"])
        .filter(pl.col("source").str.starts_with(source.name))
        .select(pl.col("fetched_at").max())
        .collect()
        .item()
        for source in sources
    }
