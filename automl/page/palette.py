"""The colours of figures: told apart by colour-blind people, readable on light and on dark, and never the only sign of anything.

Figures are made in the light colours. ``DARK`` gives each its counterpart, which the page puts in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PAPER = "#ffffff"
INK = "#1c2430"
MUTED = "#566270"
GRID = "#e3e8ee"
LINE = "#b9c2cc"

# Okabe and Ito's colours, a little darker where they stand on white.
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#00836b"
PURPLE = "#a64d82"
GOLD = "#b07d00"
SKY = "#2f9fd9"
GREY = "#8c96a1"
QUALITATIVE = (BLUE, ORANGE, GREEN, PURPLE, GOLD, SKY)

SCALE = ("#d5dde6", "#a3c6e2", "#5fa1d0", "#2070b4", "#08306b")  # worse to better

DARK: Mapping[str, str] = {
    PAPER: "#161c24",
    INK: "#e6edf3",
    MUTED: "#9aa7b4",
    GRID: "#29323d",
    LINE: "#4a5664",
    BLUE: "#5cb8f2",
    ORANGE: "#ff9447",
    GREEN: "#3fcfae",
    PURPLE: "#e08fbd",
    GOLD: "#e5b93c",
    SKY: "#8fd3fa",
    GREY: "#76828f",
    **dict(zip(SCALE, ("#2b3542", "#2f5579", "#3d84b5", "#6cbcea", "#d3efff"), strict=True)),
}

STATE_COLOURS: Mapping[str, str] = {
    "complete": BLUE,
    "pruned": GREY,
    "running": GREEN,
    "diverged": GOLD,
    "failed": PURPLE,
    "out_of_memory": PURPLE,
    "timeout": PURPLE,
    "lost": PURPLE,
}
STATE_SYMBOLS: Mapping[str, str] = {
    "complete": "circle",
    "pruned": "line-ew-open",
    "running": "circle-open",
    "diverged": "triangle-up",
    "failed": "x",
    "out_of_memory": "x",
    "timeout": "x",
    "lost": "x",
}

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif'


def colorscale(is_more_better: bool = True) -> list[list[Any]]:
    """Plotly's form of ``SCALE``, the strong end at the better one."""
    colours = SCALE if is_more_better else SCALE[::-1]
    return [[index / (len(colours) - 1), colour] for index, colour in enumerate(colours)]


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """How every axis looks."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": MUTED}},
        "gridcolor": GRID,
        "linecolor": LINE,
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": LINE,
        "tickfont": {"size": 12, "color": MUTED},
        "automargin": True,
        **more,
    }


def layout(height: int, x: Mapping[str, Any] | None = None, y: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """How every figure looks. Titles stand beside it, on the page."""
    return {
        "template": {},  # none of plotly's
        "height": height,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hoverlabel": {"font": {"family": FONT, "size": 12.5, "color": INK}, "bgcolor": PAPER, "bordercolor": LINE, "align": "left"},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12.5}},
        "hovermode": "closest",
        "xaxis": axis() if x is None else dict(x),
        "yaxis": axis() if y is None else dict(y),
        **more,
    }
