"""Assets of one session: the signal, the verdict in words, the ranked report."""

import dagster as dg

from quant_assets.defs.materialise import Events, check_specs, emit
from quant_assets.defs.partitions import ACROSS_TICKERS, EVERYTHING, SINGLE_RUN, Grids, asked, in_time, same_ticker
from quant_assets.defs.resources import Night
from quant_assets.defs.step_asset import step_asset


def decision_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    @step_asset(
        table="leak_proof",
        partitions_def=grids.session,
        backfill_policy=SINGLE_RUN,
        deps=[
            dg.AssetDep(parent, partition_mapping=EVERYTHING)
            for parent in ("prices", "index_prices", "features", "labels", "pooled_model", "oos_predictions")
        ],
        group_name="decisions",
        kinds={"polars", "parquet"},
        check_specs=check_specs("leak_proof", "features", "labels", "scores", "stored", "inputs"),
    )
    def leak_proof(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Proof that nothing a decision reads has seen the future; a night in which it fails takes no decision."""
        from quant_assets.steps import proof

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        yield from emit(context, proof.prove(work, windows), table="leak_proof", windows=windows)

    @step_asset(
        table="signal",
        partitions_def=grids.decision,
        backfill_policy=SINGLE_RUN,
        deps=[
            dg.AssetDep("oos_predictions", partition_mapping=same_ticker()),
            dg.AssetDep("features", partition_mapping=same_ticker()),
            dg.AssetDep("prices", partition_mapping=same_ticker()),
            dg.AssetDep(leak_proof, partition_mapping=ACROSS_TICKERS),
        ],
        group_name="decisions",
        kinds={"polars", "parquet"},
    )
    def signal(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """The decision at one close: score, interval, band, and the versions of the model and features it was read from."""
        from quant_assets.steps import decisions

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = decisions.decide(work, tickers, windows, run_id=context.run_id)
        yield from emit(context, result, table="signal", windows=windows)

    @step_asset(
        table="trade_synthesis",
        partitions_def=grids.decision,
        backfill_policy=SINGLE_RUN,
        deps=[dg.AssetDep(signal, partition_mapping=same_ticker())],
        group_name="decisions",
        kinds={"python", "parquet"},
    )
    def trade_synthesis(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """The verdict on a signal in words, by fixed rules: every figure in the text stands in the tables."""
        from quant_assets.steps import decisions

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = decisions.synthesise(work, tickers, windows, run_id=context.run_id)
        yield from emit(context, result, table="trade_synthesis", windows=windows)

    @step_asset(
        table="quality_scorecard",
        partitions_def=grids.session,
        backfill_policy=SINGLE_RUN,
        deps=[
            dg.AssetDep(parent, partition_mapping=EVERYTHING)
            for parent in ("prices", "index_prices", "features", "labels", "oos_predictions")
        ],
        group_name="quality",
        kinds={"polars", "parquet"},
        check_specs=check_specs("quality_scorecard", "suites", "plausible", "alive"),
    )
    def quality_scorecard(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """At the end of each week: how good the data of each name are, source by source, and whether all that is stored still holds."""
        from quant_assets.steps import quality

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        yield from emit(context, quality.score_quality(work, windows), table="quality_scorecard", windows=windows)

    @step_asset(
        table="daily_report",
        partitions_def=grids.session,
        backfill_policy=SINGLE_RUN,
        deps=[
            dg.AssetDep(trade_synthesis, partition_mapping=ACROSS_TICKERS),
            dg.AssetDep("portfolio_backtest", partition_mapping=in_time()),
            dg.AssetDep("backtest", partition_mapping=EVERYTHING),
        ],
        group_name="decisions",
        kinds={"polars", "html"},
    )
    def daily_report(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """All names of the session ranked by score, with the model's out-of-sample record, as a table, a CSV file and a page."""
        from quant_assets.steps import decisions, reports

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = decisions.rank_session(work, windows)
        files = [reports.write_report(at) for at in decisions.nights(work, windows)]
        links = {name: dg.MetadataValue.path(str(path)) for name, path in zip(("csv", "page"), files[-1], strict=True)}
        yield from emit(context, result, table="daily_report", windows=windows, links=links)

    return [leak_proof, signal, trade_synthesis, quality_scorecard, daily_report]
