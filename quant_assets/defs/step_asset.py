"""How every asset of a step is declared: its table, its pool, and which failures are tried again. What a step does is in `steps/`."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from quant_assets.defs.materialise import Events, declared
from quant_assets.errors import QuantAssetsError
from quant_assets.schemas import TABLES

RETRIES = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""5, 15 and 35 seconds, give or take: for what passes by itself (`QuantAssetsError.transient`). Anything else fails at once."""


WITHIN_A_LONG_WEEKEND = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(days=6), warn_window=dt.timedelta(days=4))
"""For what every night writes: Friday evening to Tuesday evening is four days."""
WITHIN_A_QUARTER = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(days=100), warn_window=dt.timedelta(days=95))


def step_asset(*, table: str, **options: Any) -> Callable[[Callable[..., Events]], dg.AssetsDefinition]:
    """An asset that writes `table`: one run at a time writes it (the pool of that name), and only what is transient is retried.

    Parameters
    ----------
    options : as for `dagster.asset`.
    """

    def declare(compute: Callable[..., Events]) -> dg.AssetsDefinition:
        decorate = dg.asset(metadata=declared(TABLES[table]), pool=f"lake_{table}", retry_policy=RETRIES, output_required=False, **options)
        asset: dg.AssetsDefinition = decorate(_told_once(compute))
        return asset

    return declare


def _told_once(compute: Callable[..., Events]) -> Callable[..., Events]:
    @functools.wraps(compute)
    def told(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from compute(*args, **kwargs)
        except dg.Failure:
            raise
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as error:  # Dagster would try it again
            raise dg.Failure("interrupted", allow_retries=False) from error
        except QuantAssetsError as error:
            if error.transient:
                raise
            raise dg.Failure(str(error), allow_retries=False) from error
        except Exception as error:
            raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error

    return told
