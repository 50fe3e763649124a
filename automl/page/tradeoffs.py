"""The figure of several objectives: which trials no other one beats in all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from automl.page.landscape import log_ticks
from automl.page.palette import BLUE, GREY, INK, ORANGE, PAPER, axis, layout
from automl.page.progress import sampled
from automl.spec import Objective
from automl.study import Study
from automl.summary import number_text
from automl.trials import Trial

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_FAR = 30.0  # between the ends of an axis of positive numbers: from there on its scale is logarithmic


def front_figure(study: Study, other: Objective, height: int = 420) -> Figure:
    """The complete trials by the first objective and another one; the front is orange, and a line where there are no further objectives."""
    import plotly.graph_objects as go

    first = study.objective
    known = [trial for trial in study.trials if trial.state == "complete" and study.values(trial) is not None]
    on_front = {trial.number for trial in study.front}
    chosen = sampled(study, [trial.number for trial in known]) | on_front
    baseline = study.baseline.number if study.baseline is not None else -1
    groups = {
        "complete": [t for t in known if t.number in chosen and t.number not in on_front and t.number != baseline],
        "Pareto front": sorted(study.front, key=lambda trial: (_value(study, trial, other), _value(study, trial, first))),
        "baseline": [t for t in known if t.number == baseline and t.number not in on_front],
    }
    looks: dict[str, dict[str, Any]] = {
        "complete": {"color": BLUE, "size": 6.5, "opacity": 0.55},
        "Pareto front": {"color": ORANGE, "size": 10, "symbol": "diamond", "line": {"width": 1, "color": PAPER}},
        "baseline": {"color": INK, "size": 10, "symbol": "square"},
    }
    is_line = len(study.objectives) == 2
    figure = go.Figure()
    for name, trials in groups.items():
        if trials:
            figure.add_scatter(
                x=[_value(study, trial, other) for trial in trials],
                y=[_value(study, trial, first) for trial in trials],
                customdata=[[trial.number, *map(number_text, study.reached(trial).values())] for trial in trials],
                mode="lines+markers" if name == "Pareto front" and is_line else "markers",
                marker=looks[name],
                line={
                    "color": ORANGE if name == "Pareto front" else GREY,
                    "width": 1.6,
                    "shape": "hv" if first.maximize != other.maximize else "vh",
                },
                name=name,
                hovertemplate=f"trial %{{customdata[0]}}, {name}<br>{_words(study)}<extra></extra>",
            )
    arrows = {True: "more is better", False: "less is better"}
    x = _axis(f"{other.metric} ({arrows[other.maximize]})", [_value(study, trial, other) for trial in known if trial.number in chosen])
    y = _axis(f"{first.metric} ({arrows[first.maximize]})", [_value(study, trial, first) for trial in known if trial.number in chosen])
    figure.layout = layout(height, x, y)
    return figure


def _words(study: Study) -> str:
    return "<br>".join(f"{objective.metric} %{{customdata[{index}]}}" for index, objective in enumerate(study.objectives, start=1))


def _value(study: Study, trial: Trial, objective: Objective) -> float:
    value = study.reached(trial)[objective.metric]
    return math.nan if value is None else float(value)


def _axis(title: str, values: Sequence[float]) -> dict[str, Any]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return axis(title, type="log", **log_ticks(low, high)) if low > 0 and high / low > _FAR else axis(title)
