"""The tissue: cells at their places, one map a slide, coloured by what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.predictions import Coded
from zoo.reading.elements import whole
from zoo.reporting import figures
from zoo.reporting.answers import Answers
from zoo.reporting.palette import call_colors
from zoo.reporting.panels import LEGEND_LIMIT, POINTS_LIMIT, Key, Panel, shown
from zoo.reporting.projection import sampled_rows
from zoo.reporting.wording import decimal, is_number, plain

SLIDES_LIMIT = 6
_ROWS_LIMIT = 60

# What colours the spots, those that the result has: column, title, what the colours are.
_COLUMNS = (
    ("domain", "Domains", "domain"),
    ("call", "Calls", "call"),
)


@dataclass(frozen=True)
class _Slide:
    """Spots of one slide that are drawn: rows of the result and their places [spots, 2]."""

    title: str
    rows: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float64]
    shown: str


def tissue_panels(answers: Answers) -> Iterator[Panel]:
    """Maps of the first slides, by domain and call where there are any, and by verdict."""
    for place, slide in enumerate(_slides(answers)):
        told = place > 0  # how to read a map is said once
        for name, title, word in _COLUMNS:
            if name in answers.coded:
                yield _colored(slide, answers.coded[name], title, word, told=told)
        if answers.verdict is not None:
            yield Panel(
                f"Verdicts{slide.title}",
                figures.tissue_verdicts(slide.xy, answers.verdict[slide.rows]),
                "Spots at their places on the slide, marked by verdict: in, borderline or out.",
                slide.shown if told else f"{_PATCHES} {slide.shown}",
            )


def further_slides(answers: Answers) -> int:
    """Number of slides that are not drawn."""
    slides = answers.coded.get("slide")
    has_map = answers.coordinates is not None
    return max(0, len(slides.groups()) - SLIDES_LIMIT) if slides and has_map else 0


def slide_rows(answers: Answers) -> list[tuple[str, str, str, str]]:
    """Slide, spots, edges and kernel length of each slide's graph, as the run recorded them."""
    try:
        listed = json.loads(str(answers.provenance.get("slides", "[]")))
    except (ValueError, RecursionError):
        return []
    found = listed if isinstance(listed, list) else []
    return [
        (
            plain(entry["slide"] if entry.get("slide") else "the whole file", 60),
            _whole_number(entry.get("spots")),
            _whole_number(entry.get("edges")),
            decimal(entry.get("length"), 4),
        )
        for entry in found[:_ROWS_LIMIT]
        if isinstance(entry, dict)
    ]


def _whole_number(value: Any) -> str:
    return f"{value:,.0f}" if is_number(value) else "–"


def _slides(answers: Answers) -> Iterator[_Slide]:
    """The slides to draw, in the order of their names."""
    if answers.coordinates is None:
        return
    places = whole(answers.coordinates)[:, :2].astype(np.float64)
    slides = answers.coded.get("slide")
    groups = sorted(slides.groups()) if slides else [("", np.arange(answers.cells))]
    for name, members in groups[:SLIDES_LIMIT]:
        sampled = members[sampled_rows(len(members), POINTS_LIMIT)]
        rows = sampled[np.isfinite(places[sampled]).all(axis=1)]
        if len(rows):
            title = f", slide {plain(name, 60)}" if name else ""
            drawn = shown(len(rows), len(sampled), len(members))
            yield _Slide(title, rows, places[rows], drawn)


def _colored(slide: _Slide, column: Coded, title: str, word: str, *, told: bool) -> Panel:
    groups = [name for name, _ in column.groups()]
    names = sorted(groups, key=_by_number) if word == "domain" else groups
    colors = call_colors(names)
    codes = column.codes[slide.rows]
    here = {column.categories[code] for code in np.unique(codes).tolist()}
    legend = [Key(colors[name], plain(name, 60)) for name in names if name in here]
    if len(legend) > LEGEND_LIMIT:
        rest = len(legend) - LEGEND_LIMIT
        legend = [*legend[:LEGEND_LIMIT], Key("#ffffff", f"and {rest:,} more")]
    return Panel(
        f"{title}{slide.title}",
        figures.tissue_map(slide.xy, [colors[column.categories[code]] for code in codes]),
        f"Spots at their places on the slide, coloured by {len(here)} {word}s.",
        slide.shown if told else f"{_CAPTIONS[word]} {slide.shown}",
        tuple(legend),
    )


_CAPTIONS = {
    "domain": "Groups that the model's embedding puts together, found without labels: numbers have "
    "no meaning of their own, and those of two slides that were divided one by one are not "
    "comparable. The y axis runs downwards, as in an image.",
    "call": "Calls at their places; unknown is grey. The y axis runs downwards, as in an image.",
}
_PATCHES = (
    "A patch of borderline or out is a part of the tissue that the model does not know or that was "
    "damaged; single spots tell less. The y axis runs downwards, as in an image."
)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() and len(name) < 10 else (1 << 30, name)
