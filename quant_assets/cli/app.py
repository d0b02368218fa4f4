"""Entry point: arguments, exit codes, and the one place where an error becomes a sentence. Verbs are in the files beside this."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import typer
import typer.exceptions
from rich.console import Console

from quant_assets.errors import BadArgument, QuantAssetsError

TICKER_ALIASES = ("--ticker", "--symbol", "--symbols")
INTERRUPTED = 130  # what typer returns after a Ctrl-C

app = typer.Typer(
    name="quant-assets",
    help="Last night's ranked names, with an honest out-of-sample record behind each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
screen = Console(highlight=False, soft_wrap=False)
aside = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """The one JSON document of a `--json` call."""
    sys.stdout.write(json.dumps(document, default=str, allow_nan=False, indent=2) + "\n")


def main() -> None:
    """Runs the command line; every QuantAssetsError ends as one sentence (or one JSON document) and its exit code."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    arguments = [_canonical(argument) for argument in sys.argv[1:]]
    as_json = "--json" in arguments
    try:
        # inside, since a package with features of its own may be wrong
        from quant_assets.cli import (  # noqa: F401 - importing registers the verbs
            backfill,
            backtest,
            data,
            doctor,
            features,
            leakcheck,
            model,
            predict,
            quarantine,
            report,
            run,
            train,
            universe,
        )

        code = app(args=arguments, prog_name="quant-assets", standalone_mode=False)
    except QuantAssetsError as error:
        sys.exit(exit_with(error, as_json=as_json))
    except typer.exceptions.TyperException as error:
        told = error.format_message()
        if told.startswith("Usage:"):  # a group without a verb shows its help
            aside.print(told, markup=False)
            sys.exit(error.exit_code)
        wrong = BadArgument(told.removesuffix("."), remedy="--help after any verb shows what it takes")
        sys.exit(exit_with(wrong, as_json=as_json))
    if code == INTERRUPTED:
        stopped = QuantAssetsError("interrupted", remedy="what was finished is stored: run again to go on")
        code = exit_with(stopped, as_json=as_json)
    sys.exit(code or 0)


def exit_with(error: QuantAssetsError, *, as_json: bool) -> int:
    """Says what went wrong and returns the exit code."""
    if as_json:
        print_json({"error": {"code": error.code, "message": error.message, "remedy": error.remedy}})
    else:
        aside.print(f"error: {error}", markup=False)
    return error.exit_code


def _canonical(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"--tickers{equals}{value}" if name in TICKER_ALIASES else argument
