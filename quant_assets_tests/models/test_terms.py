"""The command that trains a model again is one that the command line takes."""

from __future__ import annotations

import datetime as dt

from quant_assets.models.terms import MODEL_NAME, RIDGE, own_model, retrain


def test_a_cut_off_is_trained_again_by_a_window_with_a_session():
    first_of_2012 = "`quant-assets train --start 2012-01-03 --end 2012-01-03"  # a Tuesday after a holiday
    assert retrain(MODEL_NAME, dt.date(2012, 1, 1)) == retrain(RIDGE, dt.date(2012, 1, 1)) == f"{first_of_2012}` trains it"
    assert retrain(own_model("BRK.B"), dt.date(2012, 1, 1)) == f"{first_of_2012} --each --tickers BRK.B` trains it"
