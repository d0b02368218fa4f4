"""Entry point: arguments, exit codes, and the one place where an error becomes a sentence. Verbs are in the files beside this."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import typer
from rich.console import Console

from quant_assets.errors import QuantAssetsError

TICKER_ALIASES = ("--ticker", "--symbol", "--symbols")

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
    from quant_assets.cli import backtest, doctor, report, run, universe  # noqa: F401 - importing registers the verbs

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    arguments = [_canonical(argument) for argument in sys.argv[1:]]
    try:
        app(args=arguments, prog_name="quant-assets")
    except QuantAssetsError as error:
        sys.exit(exit_with(error, as_json="--json" in arguments))
    except KeyboardInterrupt:
        aside.print("interrupted: what was finished is stored, run again to go on")
        sys.exit(1)


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
