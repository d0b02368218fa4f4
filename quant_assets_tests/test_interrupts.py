"""Ctrl-C waits for the end of what must not be broken off, and is not lost."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from quant_assets.interrupts import held_back

pytestmark = pytest.mark.usefixtures("as_in_a_terminal")


def test_it_takes_effect_at_the_end():
    done = []

    def interrupted() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_without_one_nothing_happens():
    with held_back():
        pass


def test_in_another_thread_it_is_left_to_the_main_one():
    def work() -> str:
        with held_back():
            return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "done"
