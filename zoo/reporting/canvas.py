"""Drawing with matplotlib's object interface in one style, whatever the user's settings are."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INK = "#3c4650"
_STYLE = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b4bcc4",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": "#8a949e",
    "ytick.color": "#8a949e",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.hashsalt": "cellzoo",
}
_DPI = 200
# Matplotlib's settings belong to the process: one thread draws at a time.
_DRAWING = threading.Lock()


@contextmanager
def drawing(
    width: float, height: float, place: tuple[float, float, float, float] | None = None
) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, at a fixed place or filling the figure."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with _DRAWING, style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), layout=None if place else "constrained")
        yield figure, figure.add_axes(place) if place else figure.add_subplot()


def svg(figure: Any) -> str:
    """The figure as SVG in a data URI; the same bytes every time."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _data_uri("image/svg+xml", text.getvalue().encode())


def png(figure: Any) -> str:
    """The figure as PNG in a data URI, for many points."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return _data_uri("image/png", content.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
