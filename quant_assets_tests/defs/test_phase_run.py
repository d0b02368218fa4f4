"""An interrupt that Python drops in a callback is no traceback on the terminal; any other error that it drops still is."""

from __future__ import annotations

import sys
import weakref

import dagster as dg
import pytest

from quant_assets.defs.phase_run import _interrupts


class Collected:
    """Something to be collected."""


@pytest.mark.parametrize(("error", "shown"), [(dg.DagsterExecutionInterruptedError, 0), (ValueError, 1)])
def test_what_is_raised_in_a_callback(monkeypatch: pytest.MonkeyPatch, error: type[BaseException], shown: int):
    def callback(_: object) -> None:
        raise error()

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    with _interrupts():
        something = Collected()
        watched = weakref.ref(something, callback)
        del something
    assert watched() is None
    assert len(seen) == shown
