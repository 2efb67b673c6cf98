"""What the labels rest on: the top genes of each label or group, as bars that the page draws.

Gene names come from a file, so no figure holds them: the page writes them beside the bars.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo.reporting.answers import Answers
from zoo.reporting.wording import decimal, is_number, percent, plain
from zoo.top_genes import STATES, GroupGene

GROUPS_LIMIT = 24
GENES_LIMIT = 8


@dataclass(frozen=True)
class GeneBar:
    """One gene: its state, how long its bar is (per cent of the longest), and numbers as text."""

    gene: str
    state: str
    length: float
    attribution: str
    share: str


@dataclass(frozen=True)
class GroupBars:
    """The genes of one group, present ones first."""

    group: str
    bars: tuple[GeneBar, ...]


def group_bars(answers: Answers) -> list[GroupBars]:
    """The bars of each group; the longest bar of a group is full."""
    return [_bars(answers, group) for group in _groups(answers)[:GROUPS_LIMIT]]


def _bars(answers: Answers, group: str) -> GroupBars:
    mine = [line for line in answers.explanation if line.group == group]
    shown: list[GroupGene] = []
    for state in STATES:
        shown += [line for line in mine if line.state == state][:GENES_LIMIT]
    numbers = [line.attribution for line in shown if is_number(line.attribution)]
    longest = max(numbers, default=0) or 1
    bars = [
        GeneBar(
            plain(line.gene, 40),
            line.state,
            min(max(100 * line.attribution / longest, 0), 100),
            decimal(line.attribution),
            percent(line.share, 0),
        )
        for line in shown
        if is_number(line.attribution)
    ]
    return GroupBars(plain(group, 60), tuple(bars))


def explained_sentence(answers: Answers) -> str:
    """How to read the bars."""
    facts = answers.provenance.get("explanation")
    facts = facts if isinstance(facts, dict) else {}
    share, reference = facts.get("absent_share"), facts.get("reference_cell")
    told = "What each gene adds to the log-odds of the label, mean over the cells of a group"
    told += f", against a reference cell ({plain(reference, 200)})." if reference else "."
    if is_number(share):
        told += f" Genes that are absent bring {percent(share, 0)} of what speaks for the labels."
    return f"{told} A gene that the model uses need not be one that makes a cell what it is."


def further_groups(answers: Answers) -> int:
    """Groups that are not shown."""
    return max(len(_groups(answers)) - GROUPS_LIMIT, 0)


def _groups(answers: Answers) -> list[str]:
    return list(dict.fromkeys(line.group for line in answers.explanation))
