"""The rules writer: every branch, and no figure that its inputs do not hold."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_assets.decisions.synthesis import TradeSynthesis, write_by_rules
from quant_assets.validation.skill import Skill

PROVEN = Skill(1_000, 250, 6, auc=0.553, auc_low=0.521, auc_high=0.587)
UNPROVEN = Skill(1_000, 250, 6, auc=0.509, auc_low=0.497, auc_high=0.520)
UNMEASURED = Skill(0, 0, 0)


def signal(**values: Any) -> dict[str, Any]:
    usual = {
        "ticker": "IBM",
        "session": dt.date(2013, 3, 1),
        "status": "ok",
        "reason": None,
        "score": 0.551,
        "base_rate": 0.523,
        "signal": "NEUTRAL",
        "ci_low": 0.531,
        "ci_high": 0.571,
        "close": 202.91,
    }
    return usual | values


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"score": 0.6501, "signal": "BULL"}, "BUY"),
        ({"score": 0.65, "signal": "BULL"}, "WATCH"),
        ({}, "WATCH"),
        ({"score": 0.37, "signal": "BEAR"}, "AVOID"),
        ({"score": 0.2, "signal": "STRONG_BEAR"}, "AVOID"),
    ],
)
def test_verdicts(values: dict[str, Any], verdict: str):
    assert write_by_rules(signal(**values), PROVEN, threshold=0.65).verdict == verdict


@pytest.mark.parametrize(
    ("limits", "skill", "confidence"),
    [
        ((0.531, 0.571), PROVEN, "HIGH"),
        ((0.48, 0.51), PROVEN, "HIGH"),
        ((0.531, 0.571), UNPROVEN, "MEDIUM"),
        ((0.531, 0.571), UNMEASURED, "MEDIUM"),
        ((0.51, 0.571), PROVEN, "LOW"),
        ((0.523, 0.571), PROVEN, "LOW"),  # the base rate itself belongs to the interval
        ((0.48, 0.523), PROVEN, "LOW"),
        ((None, None), PROVEN, "LOW"),
    ],
)
def test_confidence(limits: tuple[float | None, float | None], skill: Skill, confidence: str):
    written = write_by_rules(signal(ci_low=limits[0], ci_high=limits[1]), skill, threshold=0.65)
    assert written.confidence == confidence


@pytest.mark.parametrize(("score", "side"), [(0.551, "above"), (0.523, "at"), (0.51, "below")])
def test_the_thesis(score: float, side: str):
    written = write_by_rules(signal(score=score), PROVEN, threshold=0.65)
    assert written.thesis == (
        f"The model gives {score:.3f} (interval 0.531 to 0.571) that the close three sessions from now is higher, {side} the base rate "
        "0.523. That is not above the entry threshold 0.65."
    )


def test_risks():
    proven = write_by_rules(signal(), PROVEN, threshold=0.65)
    assert proven.risks == ()
    all_of_them = write_by_rules(signal(ci_low=0.5, close=None), UNPROVEN, threshold=0.65).risks
    assert [risk.split()[0:3] for risk in all_of_them] == [["The", "model", "is"], ["The", "interval", "of"], ["Only", "an", "adjusted"]]
    assert all_of_them[0] == "The model is unproven: out-of-sample AUC 0.509, interval 0.497 to 0.520 includes 0.5."
    assert "No interval" in write_by_rules(signal(ci_low=None, ci_high=None), PROVEN, threshold=0.65).risks[0]


@pytest.mark.parametrize(
    ("values", "thesis"),
    [
        (
            {"status": "too little history", "reason": "too little history: 196 sessions stored, 252 are needed"},
            "No score for FB: too little history: 196 sessions stored, 252 are needed.",
        ),
        ({"status": "failed"}, "No score for FB: failed."),
    ],
)
def test_no_score_is_no_decision(values: dict[str, Any], thesis: str):
    absent = dict.fromkeys(("score", "base_rate", "signal", "ci_low", "ci_high"))
    written = write_by_rules(signal(ticker="FB", **absent, **values), UNPROVEN, threshold=0.65)
    assert (written.verdict, written.confidence, written.thesis, written.risks) == ("NO_DECISION", "LOW", thesis, ())


probability = st.floats(0, 1)


@given(score=probability, base=probability, limits=st.none() | st.tuples(probability, probability).map(sorted), proven=st.booleans())
def test_every_figure_stands_in_the_inputs(score: float, base: float, limits: list[float] | None, proven: bool):
    low, high = limits or (None, None)
    row = signal(score=score, base_rate=base, ci_low=low, ci_high=high)
    skill = PROVEN if proven else UNPROVEN
    written = write_by_rules(row, skill, threshold=0.65)
    numbers = re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", " ".join((written.thesis, *written.risks)))
    known = [score, base, low, high, skill.auc, skill.auc_low, skill.auc_high]
    allowed = {f"{value:.3f}" for value in known if value is not None} | {"0.65", "0.5"}
    assert set(numbers) <= allowed
    assert write_by_rules(row, skill, threshold=0.65) == written


def test_the_schema_takes_nothing_else():
    with pytest.raises(ValidationError):
        TradeSynthesis(ticker="A", session=dt.date(2013, 3, 1), verdict="HOLD", confidence="LOW", thesis="x", risks=(), writer="rules")
    with pytest.raises(ValidationError):
        TradeSynthesis(ticker="A", session=dt.date(2013, 3, 1), verdict="BUY", confidence="LOW", thesis="", risks=(), writer="rules")
