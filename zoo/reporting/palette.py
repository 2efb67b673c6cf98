"""Colours that colour-blind readers can tell apart.

Sources: Okabe & Ito 2008 (https://jfly.uni-koeln.de/color/) and the muted scheme of P. Tol
(https://personal.sron.nl/~pault/). Green, orange and vermilion mean a verdict everywhere, so calls
take the other colours, the most distinct first. More than these no eye tells apart: further calls
take hues around the circle, and the numbers on the map name them.
"""

from __future__ import annotations

import colorsys

UNKNOWN = "#9a9a9a"
VERDICT_COLORS = {"in": "#009e73", "borderline": "#e69f00", "out": "#d55e00"}
PLAIN = "#3b6f8f"

_FIXED = (
    "#0072b2", "#cc79a7", "#117733", "#56b4e9", "#ddcc77", "#332288", "#882255", "#44aa99",
    "#5b3a1e", "#e3d31f", "#aa4499", "#999933", "#cc6677",
)  # fmt: skip
_GOLDEN = 0.618033988749895


def call_colors(calls: list[str]) -> dict[str, str]:
    """A colour for each call, `unknown` in grey; the first calls get the most distinct colours."""
    named = [call for call in calls if call != "unknown"]
    colors = {call: _color(place) for place, call in enumerate(named)}
    return colors | {"unknown": UNKNOWN}


def _color(place: int) -> str:
    if place < len(_FIXED):
        return _FIXED[place]
    further = place - len(_FIXED)
    lightness = (0.38, 0.55, 0.70)[further % 3]
    red, green, blue = colorsys.hls_to_rgb(further * _GOLDEN % 1, lightness, 0.55)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
