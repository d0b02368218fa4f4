"""`quant-assets data leakcheck`: the proof of the night, tried now, with as many sessions as one likes. Nothing is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from quant_assets.cli.app import print_json, screen
from quant_assets.cli.data import group
from quant_assets.cli.options import AsOf, Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.steps.proof import Proof

Cuts = Annotated[int, typer.Option("--cuts", min=1, metavar="N", help="Sessions at random, and of each kind that has something to show.")]
SHOWN = {
    "features": "features, computed again",
    "labels": "labels, computed again",
    "scores": "scores, by the stored models",
    "stored": "rows as stored",
    "inputs": "input rows, public in time",
}


@group.command()
def leakcheck(tickers: Tickers = None, as_of: AsOf = None, cuts: Cuts = 2, profile: ProfileName = None, as_json: Json = False) -> None:
    """Look-ahead: features, labels and scores computed again with the future withheld and corrupted; 1 when a value moves."""
    from quant_assets.steps.proof import prove_night

    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    proof = prove_night(work, chosen(work.universe, tickers), n_cuts=cuts)
    if as_json:
        print_json({"items": proof.rows.to_dicts(), "leaks": proof.leaks.to_dicts(), "cuts": [str(cut) for cut in proof.cuts]})
    else:
        _print(work, proof)
    raise typer.Exit(1 if proof.failures else 0)


def _print(work: Workspace, proof: Proof) -> None:
    screen.print(
        f"Up to {work.as_of}, profile {work.settings.profile}: the future withheld, multiplied and shuffled after "
        f"{wording.count(len(proof.cuts), 'session')}, {proof.cuts[0]} to {proof.cuts[-1]}",
        soft_wrap=True,
    )
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown.add_column("Tried")
    for title in ("Compared", "Differ"):
        shown.add_column(title, justify="right")
    totals = proof.rows.group_by("subject", maintain_order=True).agg(pl.col("compared", "differing").sum())
    for subject, compared, differing in totals.iter_rows():
        shown.add_row(SHOWN[subject], f"{compared:,}", f"{differing:,}")
    screen.print(shown)
    for failure in proof.failures:
        screen.print(failure, soft_wrap=True, markup=False)
    wrong = set(proof.rows.filter(pl.col("differing") > 0)["subject"])
    if wrong == {"stored"}:
        screen.print("What is stored is not what its inputs give: fill it again with `quant-assets backfill`.")
    else:
        screen.print("Something looks ahead." if wrong else "Nothing looks ahead.")
