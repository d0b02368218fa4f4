"""Lines of numbers: what is high is high, a gap stays one, nothing at all is nothing."""

from __future__ import annotations

from quant_assets.reporting.sparkline import blocks, svg_path


def test_a_gap_lifts_the_pen():
    assert svg_path([0.0, 1.0, None, 0.0, 1.0]).count("M") == 2
    assert svg_path([1.0]) == svg_path([None, None]) == ""


def test_columns_rise_with_the_values_and_the_lowest_still_shows():
    assert blocks([0.0, 7.0], width=2, height=1) == ["▁█"]
    assert blocks([0.0, None, 15.0], width=3, height=2) == ["  █", "▁ █"]
    assert blocks([None], width=3, height=2) == []
