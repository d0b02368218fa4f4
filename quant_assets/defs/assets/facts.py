"""Assets of what is published about the economy and about companies, and of what is quoted: every table that vendors alone fill.

They exist where the profile has vendors to ask; one whose vendors all lack a key says so and does nothing.
"""

import dagster as dg

from quant_assets import gathered
from quant_assets.defs.materialise import Events, check_specs, emit
from quant_assets.defs.partitions import SINGLE_RUN, Grids, asked
from quant_assets.defs.resources import Night
from quant_assets.defs.step_asset import WITHIN_A_LONG_WEEKEND, step_asset
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.sources import configured, lacking
from quant_assets.steps import facts

KINDS = {"pandas", "polars", "parquet"}


def facts_assets(settings: Settings, grids: Grids) -> list[dg.AssetsDefinition]:
    """One for each table that the profile has a vendor of."""
    by_grid = {gathered.ECONOMY: grids.year, gathered.COMPANIES: grids.history, gathered.MARKET: grids.decision}
    return [_asset(table, grid) for tables, grid in by_grid.items() for table in tables if table in gathered.offered(settings)]


def _asset(table: str, grid: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @step_asset(
        table=table,
        name=table,
        description=TABLES[table].meaning,
        partitions_def=grid,
        backfill_policy=SINGLE_RUN,
        group_name="sources",
        kinds=KINDS,
        check_specs=check_specs(table, "suite"),
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def gather(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        work = night.workspace(context)
        vendors = configured(work.settings, table)
        if not vendors:
            context.log.warning(f"{table}: not configured; set {lacking(work.settings, table)}")
            return
        from quant_assets.defs import pictures  # matplotlib: only where something is drawn

        tickers, windows = asked(context, work.universe)
        result = facts.fetch_facts(work, table, tickers, windows, vendors, run_id=context.run_id)
        spec = TABLES[table]
        picture = pictures.presence(result.rows.select(key=spec.entity, day=spec.event_time))
        yield from emit(context, result, table=table, windows=windows, picture=picture)

    return gather
