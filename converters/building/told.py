"""What of the measured rows a card tells: claims with their numbers, and the main rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.card import Numbers
from converters.plan import ScopePlan
from zoo.card import Claim, Row
from zoo.errors import InvalidPlan


@dataclass(frozen=True)
class Told:
    """What of the measured rows stands on the card itself."""

    works_well: list[Claim]
    works_poorly: list[Claim]
    evaluation: list[Row]
    robustness: list[Row]

    @classmethod
    def of(cls, scope: ScopePlan, rows: Sequence[Row], origin: str) -> Told:
        """Claims with their numbers, the rows that back them, and the main rows.

        Raises
        ------
        InvalidPlan
            If a claim names a row that was not measured.

        """
        numbers = Numbers.of(rows)
        works_well = [_claim(numbers, text, origin) for text in scope.works_well]
        works_poorly = [_claim(numbers, text, origin) for text in scope.works_poorly]
        claimed = {row for claim in (*works_well, *works_poorly) for row in claim.rows}
        kept = [row for row in rows if on_card(row) or row.id in claimed]
        return cls(
            works_well,
            works_poorly,
            [row for row in kept if row.role != "robustness"],
            [row for row in kept if row.role == "robustness"],
        )


def _claim(numbers: Numbers, text: str, origin: str) -> Claim:
    try:
        return numbers.claim(text)
    except KeyError as error:
        detail = f"a claim names {error.args[0]!r}, and no such row was measured"
        raise InvalidPlan(origin, detail) from error


def on_card(row: Row) -> bool:
    """Whether a row is on the card itself; all rows are in `measurements.json`.

    Left out are single types and single groups, and what baselines do in the robustness grid: a
    large card is slow to parse.
    """
    if ":" in row.metric or ":" in row.id:
        return False
    return row.role != "robustness" or row.method == "model" or row.metric == "accuracy"
