"""Assets of what is published about the economy and about companies. No phase of the night runs them: their sources want a key or a
contact, which a night without either does not have."""

import dagster as dg

from quant_assets.defs.materialise import Events, emit
from quant_assets.defs.partitions import SINGLE_RUN, Grids, asked
from quant_assets.defs.resources import Night
from quant_assets.defs.step_asset import step_asset
from quant_assets.settings import Vendor
from quant_assets.steps import facts


def facts_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    @step_asset(
        table="macro",
        partitions_def=grids.year,
        backfill_policy=SINGLE_RUN,
        group_name="sources",
        kinds={"pandas", "polars", "parquet"},
    )
    def macro(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Interest rates, VIX, inflation and unemployment from FRED, every version with the moment it became public; needs FRED_API_KEY."""
        from quant_assets.sources.fred import SERIES, FredMacro  # with the wire of the extra `live`
        from quant_assets.sources.wire.wire import opened_wire

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        further = work.settings.sources.get("fred", Vendor()).series
        with opened_wire(work.settings) as wire:
            result = facts.fetch_macro(work, windows, FredMacro(wire, series=list(dict.fromkeys((*SERIES, *further)))))
        yield from emit(context, result, table="macro", windows=windows)

    @step_asset(
        table="fundamentals",
        partitions_def=grids.history,
        backfill_policy=SINGLE_RUN,
        group_name="sources",
        kinds={"polars", "parquet"},
    )
    def fundamentals(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """What companies reported to the SEC, every figure as it was filed; needs an e-mail address in sources.sec.contact."""
        from quant_assets.sources.sec_facts import SecFacts  # with the wire of the extra `live`
        from quant_assets.sources.wire.wire import opened_wire

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        contact = work.settings.sources.get("sec", Vendor()).contact
        with opened_wire(work.settings) as wire:
            result = facts.fetch_fundamentals(work, tickers, windows, SecFacts(wire, contact=contact))
        yield from emit(context, result, table="fundamentals", windows=windows)

    return [macro, fundamentals]
