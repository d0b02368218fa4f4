"""`quant-assets report`: writes the report of a session again from the lake and opens it."""

from __future__ import annotations

import webbrowser

from quant_assets.calendars import Window
from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.options import AsOf, Json, ProfileName, date_from, settings_for
from quant_assets.errors import LakeError
from quant_assets.workspace import Workspace


@app.command()
def report(as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Write the last report (or that of --as-of) and open it in the browser."""
    from quant_assets.steps.reports import write_report

    settings = settings_for(profile)
    work = Workspace.open(settings, as_of=date_from(as_of, "--as-of"))
    if as_of is None:
        decided = work.lake.scan("daily_report", window=Window(work.settings.grids.first_decision, work.after_as_of))
        last = decided.select("session").max().collect().item()
        if last is None:
            raise LakeError("there is no report yet", remedy="run `quant-assets run` first")
        work = Workspace.open(settings, as_of=last)
    csv, html = write_report(work)
    if as_json:
        print_json({"as_of": work.as_of, "report": {"csv": csv, "html": html}})
        return
    opened = webbrowser.open(html.as_uri())
    screen.print(f"Report  {html}\nTable   {csv}", soft_wrap=True)
    if not opened:
        screen.print("No browser could be opened here: open the file yourself.")
