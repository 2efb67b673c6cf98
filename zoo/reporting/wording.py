"""Words and numbers for people.

Every string of a file or a card may be hostile: `plain` takes out what a reader cannot see, and the
template escapes the rest.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.confidence import VERDICTS

LINE = 160
PARAGRAPH = 600
COMMAND = 4000

BADGES = {
    "in": "In scope",
    "borderline": "Borderline",
    "out": "Out of scope",
    "unknown": "Scope not assessed",
}
_SEVERITY = {"green": "in", "yellow": "borderline", "red": "out"}
# Control and format characters (which can turn the direction of text), lone surrogates, separators.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def plain(value: Any, limit: int = LINE) -> str:
    """One line of visible text, shortened with an ellipsis."""
    # Twice the limit is looked at, since white space is joined below.
    text = str(value)[: 2 * limit]
    spaced = "".join(" " if ch.isspace() else ch for ch in text)
    visible = "".join(ch for ch in spaced if unicodedata.category(ch) not in _HIDDEN)
    line = " ".join(visible.split())
    cut = len(line) > limit or len(str(value)) > 2 * limit
    return line[: limit - 1].rstrip() + "…" if cut else line


def percent(share: Any, digits: int = 1) -> str:
    """A share as a percentage; a dash where there is no number."""
    return f"{share:.{digits}%}" if is_number(share) else "–"


def decimal(value: Any, digits: int = 2) -> str:
    """A number with few digits; a dash where there is none."""
    return f"{value:.{digits}f}" if is_number(value) else "–"


def small_p(value: Any) -> str:
    """A p-value: enough digits to compare it with a threshold."""
    return f"{value:.2g}" if is_number(value) else "–"


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def overall_verdict(provenance: Mapping[str, Any], levels: Sequence[str]) -> str:
    """The worst of the scope verdict, the findings and a forced run.

    `unknown` where nothing is wrong, but nothing measured how like the training cells these are.
    """
    said = [_SEVERITY[level] for level in levels if level in _SEVERITY]
    said += [str(provenance["scope_verdict"])] if "scope_verdict" in provenance else []
    said += ["out"] if provenance.get("forced") else []
    known = [VERDICTS.index(verdict) for verdict in said if verdict in VERDICTS]
    worst = max(known, default=0)
    measured = provenance.get("scope_verdict") in VERDICTS
    return VERDICTS[worst] if worst or measured else "unknown"


def scope_sentences(provenance: Mapping[str, Any], levels: Sequence[str]) -> list[str]:
    """What the scope verdict means, in plain words."""
    sentences = [_share_sentence(provenance)]
    if provenance.get("forced"):
        sentences.append(
            "The run was forced (--force) past a refusal of the model: treat every call as a guess."
        )
    if provenance.get("value_kind_declared"):
        sentences.append("The kind of values was declared by the user, not found by evidence.")
    doubtful = sum(level != "green" for level in levels)
    if doubtful:
        sentences.append(
            f"{doubtful} finding{'s' * (doubtful > 1)} about the input below "
            f"ask{'s' * (doubtful == 1)} for attention."
        )
    return sentences


def _share_sentence(provenance: Mapping[str, Any]) -> str:
    share, nominal = provenance.get("scope_share"), provenance.get("scope_nominal")
    low, high = provenance.get("scope_interval_low"), provenance.get("scope_interval_high")
    if not (is_number(share) and is_number(nominal)):
        return "The file records no measure of how much the cells resemble the training cells."
    interval = ""
    if is_number(low) and is_number(high):
        interval = f" (95% interval {percent(low)} to {percent(high)})"
    measured = (
        f"{percent(share)} are unusual by its out-of-distribution test{interval}, where about "
        f"{percent(nominal, 0)} are expected"
    )
    verdict = provenance.get("scope_verdict")
    if verdict == "in":
        return f"The cells look like those the model was trained on: {measured}."
    if verdict == "out":
        return (
            f"Most cells look unlike those the model was trained on: {measured}. Do not rely on "
            "these calls."
        )
    return (
        f"More cells than expected look unlike those the model was trained on: {measured}. Read "
        "the calls of cells marked borderline or out with care."
    )
