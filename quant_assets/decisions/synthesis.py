"""The verdict on a signal: one schema, and the deterministic writer that fills it from the tables alone.

Other writers will fill the same schema; `writer` says which one did.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from quant_assets.validation.skill import Skill

Verdict = Literal["BUY", "WATCH", "AVOID", "NO_DECISION"]
Confidence = Literal["LOW", "MEDIUM", "HIGH"]


class TradeSynthesis(BaseModel):
    """One name, one session: what to make of its signal, and why. Every figure in the text stands in the tables it was written from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ticker: str = Field(min_length=1)
    session: dt.date
    verdict: Verdict
    confidence: Confidence
    thesis: str = Field(min_length=1)
    risks: tuple[str, ...]
    writer: str = Field(min_length=1)


def write_by_rules(signal: Mapping[str, Any], skill: Skill, *, threshold: float) -> TradeSynthesis:
    """The rules writer: same input, same words.

    BUY above the threshold, AVOID in a bear band, else WATCH. Confidence is HIGH when the whole interval of the score lies on one
    side of the base rate and the model is proven, MEDIUM when only the interval does, LOW otherwise.

    Parameters
    ----------
    signal : a row of table `signal`.
    skill : the model's out-of-sample record up to the same session.
    """
    ticker, score = str(signal["ticker"]), signal["score"]
    unproven = skill.unproven
    if score is None:
        verdict: Verdict = "NO_DECISION"
        thesis = f"No score for {ticker}: {signal['reason'] or signal['status']}."
        return TradeSynthesis(
            ticker=ticker, session=signal["session"], verdict=verdict, confidence="LOW", thesis=thesis, risks=(), writer="rules"
        )
    base, low, high = signal["base_rate"], signal["ci_low"], signal["ci_high"]
    one_sided = low is not None and (low > base or high < base)
    confidence: Confidence = "LOW" if not one_sided else "MEDIUM" if unproven else "HIGH"
    verdict = "BUY" if score > threshold else "AVOID" if "BEAR" in signal["signal"] else "WATCH"
    return TradeSynthesis(
        ticker=ticker,
        session=signal["session"],
        verdict=verdict,
        confidence=confidence,
        thesis=_thesis(score, base, low, high, threshold),
        risks=_risks(signal, unproven, one_sided=one_sided),
        writer="rules",
    )


def _thesis(score: float, base: float, low: float | None, high: float | None, threshold: float) -> str:
    side = "above" if score > base else "below" if score < base else "at"
    interval = f" (interval {low:.3f} to {high:.3f})" if low is not None else ""
    entry = f"above the entry threshold {threshold:.2f}" if score > threshold else f"not above the entry threshold {threshold:.2f}"
    return (
        f"The model gives {score:.3f}{interval} that the close three sessions from now is higher, {side} the base rate {base:.3f}. "
        f"That is {entry}."
    )


def _risks(signal: Mapping[str, Any], unproven: str | None, *, one_sided: bool) -> tuple[str, ...]:
    risks = []
    if unproven:
        risks.append(f"The model is {unproven}.")
    if signal["ci_low"] is None:
        risks.append("No interval for this score: bootstrap members are kept for the current cut-off only.")
    elif not one_sided:
        risks.append("The interval of the score includes the base rate: the model does not tell this name from an average one.")
    if signal["close"] is None:
        risks.append("Only an adjusted close is known for this name: it is ranked, not traded.")
    return tuple(risks)
