"""Assets that learn and are judged: the pooled model, its out-of-sample scores, the accounts that trade them, the scores as a signal.

Steps are imported where they run: the model libraries take seconds, and neither a schedule nor another step should wait for them.
"""

import dataclasses
from typing import Any

import dagster as dg
import polars as pl

from quant_assets.defs.materialise import Events, emit
from quant_assets.defs.partitions import ACROSS_TICKERS, ALL_EARLIER, EVERYTHING, MULTI_RUN, SINGLE_RUN, Grids, asked, same_ticker
from quant_assets.defs.resources import Night
from quant_assets.defs.step_asset import WITHIN_A_LONG_WEEKEND, WITHIN_A_QUARTER, step_asset


def _links(run_id: str, page: str | None, version: str | None = None) -> dict[str, dg.MetadataValue[Any]]:
    """A run in MLflow, with its page and the version that it is registered as where there are."""
    links: dict[str, dg.MetadataValue[Any]] = {"mlflow_run": dg.MetadataValue.text(run_id)}
    links |= {"mlflow": dg.MetadataValue.url(page)} if page else {}
    return links | ({"registered_version": dg.MetadataValue.text(version)} if version else {})


def model_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    @step_asset(
        table="model_runs",
        partitions_def=grids.quarter,
        backfill_policy=SINGLE_RUN,
        deps=[dg.AssetDep("features", partition_mapping=EVERYTHING), dg.AssetDep("labels", partition_mapping=EVERYTHING)],
        group_name="models",
        kinds={"xgboost", "mlflow"},
        freshness_policy=WITHIN_A_QUARTER,
    )
    def pooled_model(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Gradient-boosted trees over all names, trained at each quarter's first day on labels that had ended before it."""
        from quant_assets.models.model_pictures import importance
        from quant_assets.steps import models

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = models.train_pooled_models(work, windows, run_id=context.run_id)
        figures = dict(result.figures)
        picture = importance(pl.DataFrame(figures.pop("gains"), schema={"feature": pl.String, "share": pl.Float64}, orient="row"))
        links = {partition: _links(*run) for partition, run in figures.pop("runs").items()}
        result = dataclasses.replace(result, figures=figures)
        yield from emit(context, result, table="model_runs", windows=windows, picture=picture, by_partition=links)

    @step_asset(
        table="model_runs",
        partitions_def=grids.training,
        backfill_policy=SINGLE_RUN,
        deps=[
            dg.AssetDep("features", partition_mapping=same_ticker(start_offset=ALL_EARLIER)),
            dg.AssetDep("labels", partition_mapping=same_ticker(start_offset=ALL_EARLIER)),
        ],
        group_name="models",
        kinds={"xgboost", "mlflow"},
    )
    def xgboost_model(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """The pooled model's recipe on one name alone, at each quarter's first day. On request: no decision reads it."""
        from quant_assets.steps import own_models

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = own_models.train_own_models(work, tickers, windows, run_id=context.run_id)
        figures = dict(result.figures)
        links = {partition: _links(*run) for partition, run in figures.pop("runs").items()}
        result = dataclasses.replace(result, figures=figures)
        yield from emit(context, result, table="model_runs", windows=windows, by_partition=links)

    @step_asset(
        table="oos_predictions",
        partitions_def=grids.training,
        backfill_policy=MULTI_RUN,
        deps=[
            dg.AssetDep(xgboost_model, partition_mapping=same_ticker()),
            dg.AssetDep("features", partition_mapping=same_ticker()),
        ],
        group_name="models",
        kinds={"xgboost", "parquet"},
    )
    def own_predictions(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Scores of each name's quarters by its own model, which was trained before them: beside the pooled model's, not instead."""
        from quant_assets.defs import pictures
        from quant_assets.steps import own_models

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = own_models.score_own(work, tickers, windows)
        picture = pictures.scores(result.rows)
        yield from emit(context, result, table="oos_predictions", windows=windows, picture=picture)

    @step_asset(
        table="oos_predictions",
        partitions_def=grids.training,
        backfill_policy=MULTI_RUN,
        deps=[
            dg.AssetDep(pooled_model, partition_mapping=ACROSS_TICKERS),
            dg.AssetDep("features", partition_mapping=same_ticker()),
        ],
        group_name="models",
        kinds={"xgboost", "parquet"},
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def oos_predictions(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Scores of each quarter by the model that was trained before it: the honest record that backtests and reports read."""
        from quant_assets.defs import pictures
        from quant_assets.steps import models

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = models.score_quarters(work, tickers, windows, run_id=context.run_id)
        picture = pictures.scores(result.rows)
        yield from emit(context, result, table="oos_predictions", windows=windows, picture=picture)

    @step_asset(
        table="equity",
        partitions_def=grids.training,
        backfill_policy=SINGLE_RUN,
        deps=[
            dg.AssetDep(oos_predictions, partition_mapping=same_ticker(start_offset=ALL_EARLIER)),
            dg.AssetDep("prices", partition_mapping=same_ticker()),
        ],
        group_name="backtests",
        kinds={"polars", "parquet"},
    )
    def backtest(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """$10,000 for each name, traded on its out-of-sample scores by the user's rule, beside buy-and-hold. Costs included."""
        from quant_assets.defs import pictures
        from quant_assets.steps import backtests

        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = backtests.backtest_names(work, tickers, windows, run_id=context.run_id)
        picture = pictures.equity(result.rows)
        yield from emit(context, result, table="equity", windows=windows, picture=picture)

    @step_asset(
        table="equity",
        partitions_def=grids.quarter,
        backfill_policy=SINGLE_RUN,
        deps=[dg.AssetDep(oos_predictions, partition_mapping=ACROSS_TICKERS), dg.AssetDep("prices", partition_mapping=EVERYTHING)],
        group_name="backtests",
        kinds={"polars", "parquet"},
    )
    def portfolio_backtest(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """One $10,000 over all names by the user's rule, a fixed untuned rule (each session's top fifth) and buy-and-hold."""
        from quant_assets.defs import pictures
        from quant_assets.steps import account_records, backtests
        from quant_assets.steps.models import registry

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = backtests.backtest_together(work, windows)
        picture = pictures.equity(result.rows)
        links = {}
        if ended := account_records.ended_quarter(work, windows):
            run = account_records.log_quarter(work, ended, windows[ended], picture=picture, dagster_run=context.run_id)
            links = _links(run, registry(work).page(run)) if run else {}
        yield from emit(context, result, table="equity", windows=windows, picture=picture, links=links)

    @step_asset(
        table="signal_quality",
        partitions_def=grids.quarter,
        backfill_policy=SINGLE_RUN,
        deps=[dg.AssetDep(oos_predictions, partition_mapping=ACROSS_TICKERS), dg.AssetDep("prices", partition_mapping=EVERYTHING)],
        group_name="backtests",
        kinds={"polars", "parquet"},
    )
    def signal_quality(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """How each session's scores ranked the returns after it: information coefficients, quintiles and turnover over 1 to 20 sessions."""
        from quant_assets.defs import pictures
        from quant_assets.steps import signals

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = signals.judge_scores(work, windows)
        figures = dict(result.figures)
        picture = pictures.rank_ic_by_year(figures.pop("by_year"))
        result = dataclasses.replace(result, figures=figures)
        yield from emit(context, result, table="signal_quality", windows=windows, picture=picture)

    @step_asset(
        table="threshold_sweep",
        partitions_def=grids.quarter,
        backfill_policy=SINGLE_RUN,
        deps=[dg.AssetDep(oos_predictions, partition_mapping=ACROSS_TICKERS), dg.AssetDep("prices", partition_mapping=EVERYTHING)],
        group_name="backtests",
        kinds={"polars", "parquet"},
    )
    def threshold_sweep(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """The portfolio account of the user's rule at other thresholds: how much of its record is the choice of one number."""
        from quant_assets.defs import pictures
        from quant_assets.steps import signals

        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = signals.sweep_thresholds(work, windows)
        picture = pictures.sharpe_by_threshold(result.rows, untuned=result.figures["sharpe_of_top_fifth"])
        yield from emit(context, result, table="threshold_sweep", windows=windows, picture=picture)

    return [pooled_model, xgboost_model, own_predictions, oos_predictions, backtest, portfolio_backtest, signal_quality, threshold_sweep]
