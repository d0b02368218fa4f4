"""Numbers and findings in words: how a figure is printed, and the sentence that says what an interval allows us to say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from quant_assets.settings import Signal
from quant_assets.validation.skill import FEWEST_SESSIONS, Skill

MINUS = "−"


def defined(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 3) -> str:
    """0.517, −0.012; "n/a" when not defined."""
    if value is None or not math.isfinite(value):
        return "n/a"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """+0.017, −0.012, 0.000; "n/a" when not defined."""
    text = number(value, digits)
    return text if text == "n/a" or text.startswith(MINUS) or float(text) == 0 else f"+{text}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as per cent: 0.0123 is "1.2 %"."""
    return f"{number(fraction * 100, digits)} %" if fraction is not None and math.isfinite(fraction) else "n/a"


def interval(low: float | None, high: float | None, *, sign: bool = False, digits: int = 3) -> str:
    write = signed if sign else number
    return f"{write(low, digits)} to {write(high, digits)}" if defined(low) and defined(high) else "n/a"


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def sentence(text: str) -> str:
    """Starts with a capital, ends with a full stop."""
    whole = text.strip()
    return f"{whole[:1].upper()}{whole[1:]}{'' if whole.endswith(('.', '!', '?')) else '.'}"


def unavailable(reason: str | None) -> str:
    """`n/a (reason)`, the house's way to write an empty cell."""
    return f"n/a ({(reason or 'not computed').strip().rstrip('.')})"


def skill_findings(skill: Skill) -> list[str]:
    """What the record allows us to say, the AUC first."""
    if skill.auc is None:
        return ["No out-of-sample score has come due yet, so nothing can be said about the model."]
    return [finding for finding in (_auc_finding(skill), _rank_ic_finding(skill), _log_loss_finding(skill)) if finding]


def skill_line(skill: Skill) -> str:
    """AUC, log-loss and rank IC with their 95 % intervals, in a line."""
    if skill.auc is None:
        return "no score has come due"
    auc = f"AUC {number(skill.auc)} ({interval(skill.auc_low, skill.auc_high)}), log-loss {number(skill.log_loss, 5)}"
    ic = f", rank IC {signed(skill.rank_ic)} ({interval(skill.rank_ic_low, skill.rank_ic_high, sign=True)})"
    return auc if skill.rank_ic is None else auc + ic


def _auc_finding(skill: Skill) -> str:
    measured = f"AUC {number(skill.auc)}"
    if skill.auc_low is None or skill.auc_high is None:
        few = f"{count(skill.n_sessions, 'session')} are too few for an interval (limit {FEWEST_SESSIONS})"
        return f"Out of sample: {measured}; {few}, so nothing can be said about the model."
    span = f"95 % interval {interval(skill.auc_low, skill.auc_high, digits=_digits_off(0.5, skill.auc_low, skill.auc_high))}"
    if skill.auc_low > 0.5:
        return f"Out of sample, the scores beat a coin flip: {measured}, and the {span} lies above 0.5."
    if skill.auc_high < 0.5:
        return f"Out of sample, the scores did worse than a coin flip: {measured}, and the {span} lies below 0.5."
    return f"Out of sample, the scores are indistinguishable from a coin flip: {measured}, and the {span} contains 0.5."


def _rank_ic_finding(skill: Skill) -> str:
    if skill.rank_ic is None:
        return "The rank IC needs several names in a session; there is none to show."
    measured = f"mean rank IC {signed(skill.rank_ic)}"
    if skill.rank_ic_low is None or skill.rank_ic_high is None:
        few = f"fewer than {FEWEST_SESSIONS} sessions have one, too few for an interval"
        return f"Within a session: {measured}; {few}, so nothing can be said about the order of the names."
    digits = _digits_off(0.0, skill.rank_ic_low, skill.rank_ic_high)
    span = f"95 % interval {interval(skill.rank_ic_low, skill.rank_ic_high, sign=True, digits=digits)}"
    if skill.rank_ic_low > 0:
        return f"Within a session, higher-ranked names did better on average: {measured}, and the {span} lies above 0."
    if skill.rank_ic_high < 0:
        return f"Within a session, higher-ranked names did worse on average: {measured}, and the {span} lies below 0."
    return f"Within a session, the order of the names is indistinguishable from a random one: {measured}, and the {span} contains 0."


def _digits_off(reference: float, *bounds: float) -> int:
    """Digits, three to six, with which no bound is printed as the reference: 0.000 cannot be said to lie above 0."""
    return next((digits for digits in range(3, 6) if all(round(bound, digits) != reference for bound in bounds)), 6)


def _log_loss_finding(skill: Skill) -> str | None:
    if skill.log_loss is None or skill.base_log_loss is None:
        return None
    gain = skill.base_log_loss - skill.log_loss
    verb = "better" if gain > 0 else "worse"
    return f"As probabilities, the scores are {verb} than always saying the base rate, by {number(abs(gain), 5)} nats of log-loss."


def today_finding(report: pl.DataFrame, bands: Signal) -> str:
    """How many names stand in which band, and what the user's rule does with them."""
    scored = report.filter(pl.col("score").is_not_null())
    if scored.is_empty():
        return "No name has a score today; the table says why."
    neutral = scored.filter(pl.col("signal") == "NEUTRAL").height
    above = scored.filter(pl.col("score") > bands.score_threshold)["ticker"].to_list()
    low, high = scored.select(low=pl.col("score").min(), high=pl.col("score").max()).row(0)
    span = number(low) if scored.height == 1 else interval(low, high)
    sentences = [f"{count(scored.height, 'name')} scored: {span}."]
    if neutral:
        share = "NEUTRAL" if scored.height == 1 else "All NEUTRAL" if neutral == scored.height else f"{neutral} NEUTRAL"
        sentences.append(f"{share} (between {bands.bear:g} and {bands.bull:g}), which is the usual picture.")
    if above:
        sentences.append(f"Above the threshold of {bands.score_threshold:g}: {_listing(above)}.")
    else:
        sentences.append(f"None is above the threshold of {bands.score_threshold:g}, so the threshold rule buys nothing.")
    return " ".join(sentences)


def _listing(tickers: Sequence[str], shown: int = 12) -> str:
    more = len(tickers) - shown
    return ", ".join(tickers[:shown]) + (f" and {more} more" if more > 0 else "")
