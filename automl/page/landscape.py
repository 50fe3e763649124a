"""Figures of what the parameters do: importances, parallel coordinates, slices, the contour of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.importances import Importances
from automl.page.palette import BLUE, GREY, INK, MUTED, ORANGE, PAPER, axis, colorscale, layout
from automl.page.progress import marker, objective_range, sampled
from automl.space import Categorical, Int, Parameter
from automl.study import Study
from automl.summary import number_text, value_text
from automl.trials import Trial

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_SLICE = 600  # points in a slice
MOST_LINES = 400  # trials in the parallel coordinates
MOST_AXES = 14
_FEW = 60  # of which lines may be strong
_BINS = 12  # shades of the parallel coordinates
_GRID = 36  # points of the contour along each number
_LONGEST_TICK = 16  # letters
_LOOSE = 7  # axes whose names stand in one line
_MOST_CHOICES = 6  # written at an axis of the parallel coordinates

Floats = NDArray[np.float64]


def importance_bars(found: Importances) -> Figure:
    """The share of each parameter; those that chance would give as well are grey."""
    import plotly.graph_objects as go

    shown = found.parameters[:20][::-1]
    figure = go.Figure()
    for is_clear, colour, name in ((True, BLUE, "more than chance"), (False, GREY, "no more than chance")):
        bars = [each for each in shown if each.is_clear == is_clear]
        if bars:
            figure.add_bar(
                orientation="h",
                x=[each.share for each in bars],
                y=[shortened(each.name, 26) for each in bars],
                text=[share_text(each.share) for each in bars],
                textposition="outside",
                cliponaxis=False,
                marker={"color": colour, "opacity": 1.0 if is_clear else 0.55},
                name=name,
                hovertemplate="%{y}: %{x:.1%}<extra></extra>",
            )
    widest = max((each.share for each in shown), default=1.0)
    order = [shortened(each.name, 26) for each in shown]
    x = axis("share of importance", tickformat=".0%", range=[0, widest * 1.14])
    y = axis(categoryorder="array", categoryarray=order, showgrid=False, ticks="", tickfont={"size": 12.5, "color": INK})
    figure.layout = layout(90 + 26 * len(shown), x, y, bargap=0.28, barmode="overlay")
    return figure


def share_text(share: float) -> str:
    """A share in per cent; the smallest not as nothing."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def slice_of(study: Study, parameter: Parameter, height: int = 300) -> Figure:
    """The objective of each trial against one parameter."""
    import plotly.graph_objects as go

    having = [trial for trial in study.trials if _has(trial, parameter)]
    chosen = sampled(study, [trial.number for trial in having], MOST_SLICE)
    best = study.winner.number if study.winner is not None else -1
    figure = go.Figure()
    for name in ("pruned", "complete"):
        _add_trials(figure, study, parameter, [t for t in having if t.state == name and t.number in chosen and t.number != best], name)
    if study.winner is not None and _has(study.winner, parameter):
        _add_trials(figure, study, parameter, [study.winner], "best")
    y = axis(study.objective.metric, range=objective_range(study))
    figure.layout = layout(height, parameter_axis(parameter), y, showlegend=False)
    return figure


def _add_trials(figure: Figure, study: Study, parameter: Parameter, trials: Sequence[Trial], name: str) -> None:
    if not trials:
        return
    is_best = name == "best"
    look = {"color": ORANGE, "symbol": "star", "size": 14, "line": {"width": 1, "color": PAPER}} if is_best else marker(name)
    figure.add_scatter(
        x=places(parameter, trials, jitter=0.0 if is_best else 0.22),
        y=np.array([trial.objective for trial in trials], dtype=np.float64),
        customdata=[[trial.number, value_text(trial.configuration[parameter.name])] for trial in trials],
        mode="markers",
        marker=look,
        name=name,
        hovertemplate=f"trial %{{customdata[0]}}, {name}<br>{parameter.name} %{{customdata[1]}}<br>"
        f"{study.objective.metric} %{{y:.5g}}<extra></extra>",
    )


def _has(trial: Trial, parameter: Parameter) -> bool:
    if trial.objective is None or parameter.name not in trial.configuration:
        return False
    value = trial.configuration[parameter.name]
    return parameter.contains(value) if isinstance(parameter, Categorical) else not parameter.log or float(value or 0.0) > 0


def places(parameter: Parameter, trials: Sequence[Trial], jitter: float = 0.0) -> Floats:
    """Where the trials' values lie on the parameter's axis: numbers as they are, choices at their positions, a little apart."""
    values = [trial.configuration[parameter.name] for trial in trials]
    if isinstance(parameter, Categorical):
        apart = [((trial.number * 0.61803398875) % 1.0 - 0.5) * 2 * jitter for trial in trials]
        return np.array([float(parameter.index(value) or 0) + shift for value, shift in zip(values, apart, strict=True)])
    return np.array(values, dtype=np.float64)


def parameter_axis(parameter: Parameter) -> dict[str, Any]:
    """The axis of a parameter over all of its range."""
    name = shortened(parameter.name, 28)
    if isinstance(parameter, Categorical):
        words = [shortened(value_text(choice), _LONGEST_TICK) for choice in parameter.choices]
        at_choices = {"tickmode": "array", "tickvals": list(range(len(words))), "ticktext": words}
        return axis(name, range=[-0.5, len(words) - 0.5], showgrid=False, **at_choices)
    if parameter.log:
        low, high = math.log10(parameter.low), math.log10(parameter.high)
        edge = 0.03 * (high - low) or 0.1
        return axis(name, type="log", range=[low - edge, high + edge], **log_ticks(float(parameter.low), float(parameter.high)))
    edge = 0.03 * (parameter.high - parameter.low) or 0.5
    whole = {"dtick": 1} if isinstance(parameter, Int) and parameter.high - parameter.low <= 8 else {"nticks": 6}
    return axis(name, range=[parameter.low - edge, parameter.high + edge], **whole)


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Round numbers on a log scale: powers of ten over many decades, 1-2-5 over a few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        shown = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(shown) <= 6:
            break
    at = shown if len(shown) > 1 else [low, high]
    return {"tickmode": "array", "tickvals": at, "ticktext": [value_text(int(tick) if tick >= 1 else tick) for tick in at]}


def shortened(words: str, most: int) -> str:
    """At most so many letters, the end of what is longer left out."""
    return words if len(words) <= most else f"{words[: most - 1]}…"


# -- parallel coordinates ---------------------------------------------------------------------------------------------


def parallel_coordinates(study: Study, names: Sequence[str], height: int = 420) -> Figure:
    """A line for each complete trial through its values, on each parameter's own scale; the darker, the better. The best is on top.

    Drawn with plain lines, so that a small plotly.js can show it and lines may have gaps: a parameter that a trial does not have is at
    the bottom, apart from all values.
    """
    import plotly.graph_objects as go

    parameters = [study.space.by_name[name] for name in names[:MOST_AXES]]
    complete = [trial for trial in study.ranked() if trial.in_space]
    chosen = sampled(study, [trial.number for trial in complete], MOST_LINES)
    best = study.winner.number if study.winner is not None else -1
    lines = [trial for trial in complete if trial.number in chosen][::-1]
    strongest = [trial for trial in lines if trial.number == best]
    figure = go.Figure()
    scale, few = _shades(_BINS), len(lines) <= _FEW
    for index in range(_BINS):
        group = lines[math.ceil(index * len(lines) / _BINS) : math.ceil((index + 1) * len(lines) / _BINS)]
        if group:
            look = {"color": scale[index], "width": (1.1 if few else 0.8) + (1.0 if few else 0.5) * index / _BINS}
            _add_lines(figure, study, parameters, group, look, 0.75 if few else 0.5)
    if strongest:
        _add_lines(figure, study, parameters, strongest, {"color": ORANGE, "width": 3.5}, 1.0)
    figure.layout = layout(
        height,
        axis(visible=False, range=[-0.55, len(parameters) + 0.6], fixedrange=True),
        axis(
            visible=False,
            range=[-0.22 if _any_unused(parameters, lines) else -0.04, 1.21 if len(parameters) > _LOOSE else 1.12],
            fixedrange=True,
        ),
        showlegend=False,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        **_axes(study, parameters, lines),
    )
    return figure


def _shades(count: int) -> list[str]:
    """Colours of the scale, so that each is one that the palette knows."""
    from automl.page.palette import SCALE

    return [SCALE[min(index * len(SCALE) // count, len(SCALE) - 1)] for index in range(count)]


def _add_lines(
    figure: Figure, study: Study, parameters: Sequence[Parameter], trials: Sequence[Trial], look: dict[str, Any], opacity: float
) -> None:
    ys: list[float] = []
    hover: list[str] = []
    span = _objective_span(study)
    for trial in trials:
        ys += [_height(parameter, trial) for parameter in parameters]
        ys += [_share(trial.objective, span), math.nan]
        values = [value_text(trial.configuration[p.name]) if p.name in trial.configuration else "not used" for p in parameters]
        label = f"trial {trial.number}, {study.objective.metric} {number_text(trial.objective)}"
        hover += [f"{label}<br>{p.name} {value}" for p, value in zip(parameters, values, strict=True)]
        hover += [label, ""]
    figure.add_scatter(
        x=np.tile(np.arange(len(parameters) + 2, dtype=np.float32), len(trials)),
        y=np.array(ys, dtype=np.float32),
        text=hover,
        mode="lines",
        line=look,
        opacity=opacity,
        hovertemplate="%{text}<extra></extra>",
        connectgaps=False,
    )


def _height(parameter: Parameter, trial: Trial) -> float:
    value = trial.configuration.get(parameter.name)
    if parameter.name not in trial.configuration:
        return -0.12
    unit = parameter.unit(value)
    if isinstance(parameter, Categorical | Int):  # a little apart, so that lines through the same value are told apart
        unit += ((trial.number * 0.61803398875) % 1.0 - 0.5) * 0.35 / max(4.0, float(parameter.size))
    return min(max(unit, 0.0), 1.0)


def _objective_span(study: Study) -> tuple[float, float]:
    values = [trial.objective for trial in study.ranked() if trial.in_space and trial.objective is not None]
    kept = sorted(values, reverse=not study.objective.maximize)[len(values) // 10 :]
    return (min(kept), max(kept)) if kept else (0.0, 1.0)


def _share(value: float | None, span: tuple[float, float]) -> float:
    low, high = span
    return 0.5 if value is None or high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


def _any_unused(parameters: Sequence[Parameter], trials: Sequence[Trial]) -> bool:
    return any(parameter.name not in trial.configuration for parameter in parameters for trial in trials)


def _axes(study: Study, parameters: Sequence[Parameter], trials: Sequence[Trial]) -> dict[str, Any]:
    """The axes, with their names and the ends or choices of their ranges."""
    low, high = _objective_span(study)
    line = {"color": MUTED, "width": 1.2}
    lines = [{"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line, "layer": "above"} for x in range(len(parameters) + 1)]
    notes, is_tight = [], len(parameters) > _LOOSE
    for x, parameter in enumerate(parameters):
        outermost = {"xanchor": "left", "xshift": -24} if x == 0 else {}
        notes.append({**_name(x, parameter.name, 1.11 if x % 2 or not is_tight else 1.2), **outermost})
        if isinstance(parameter, Categorical):
            if len(parameter.choices) <= _MOST_CHOICES:
                notes += [_tick(x, parameter.unit(choice), shortened(value_text(choice), 10)) for choice in parameter.choices]
        else:
            notes += [_tick(x, 1.0, value_text(parameter.high)), _tick(x, 0.0, value_text(parameter.low))]
        if any(parameter.name not in trial.configuration for trial in trials):
            notes.append({**_name(x, "not used", -0.16), "font": {"size": 11.5, "color": MUTED}, "text": "not used"})
    last = len(parameters)
    notes += [
        {**_name(last, study.objective.metric, 1.11 if last % 2 or not is_tight else 1.2), "xanchor": "right", "xshift": 32},
        _tick(last, 1.0, number_text(high)),
        _tick(last, 0.0, number_text(low)),
    ]
    return {"shapes": lines, "annotations": notes}


def _name(x: int, name: str, y: float) -> dict[str, Any]:
    font = {"size": 12.5, "color": INK}
    return {"x": x, "y": y, "text": f"<b>{shortened(name, 18)}</b>", "showarrow": False, "yanchor": "top", "font": font}


def _tick(x: int, y: float, words: str) -> dict[str, Any]:
    place = {"x": x, "y": y, "xanchor": "left", "yanchor": "middle", "xshift": 5, "showarrow": False}
    return {**place, "text": words, "font": {"size": 11.5, "color": MUTED}, "bgcolor": PAPER, "opacity": 0.92, "borderpad": 1}


# -- contour ----------------------------------------------------------------------------------------------------------


def contour(study: Study, a: Parameter, b: Parameter, height: int = 440) -> Figure | None:
    """The objective over two parameters, as a smooth mean of the complete trials near each point, and the trials themselves.

    A mean with Gaussian weights (Nadaraya and Watson) on the parameters' own scales; points far from every trial stay blank. None where
    fewer than four complete trials have both parameters.
    """
    import plotly.graph_objects as go

    trials = [trial for trial in study.ranked() if _has(trial, a) and _has(trial, b) and trial.in_space]
    if len(trials) < 4:
        return None
    shown = sampled(study, [trial.number for trial in trials], MOST_SLICE)
    low, high = _objective_span(study)
    xs, ys = _grid(a), _grid(b)
    smooth = _smooth(study, trials, a, b, xs, ys)
    numbers = isinstance(a, Categorical) or isinstance(b, Categorical)
    surface: dict[str, Any] = {
        "x": [_axis_value(a, unit) for unit in xs],
        "y": [_axis_value(b, unit) for unit in ys],
        "z": np.array(np.clip(smooth, low, high), dtype=np.float32),
        "colorscale": colorscale(study.objective.maximize),
        "zmin": low,
        "zmax": high if high > low else low + 1,
        "colorbar": {
            "title": {"text": study.objective.metric, "side": "right", "font": {"size": 12, "color": MUTED}},
            "thickness": 12,
            "outlinewidth": 0,
            "tickfont": {"size": 11.5, "color": MUTED},
        },
        "hovertemplate": f"about {study.objective.metric} %{{z:.4g}}<extra></extra>",
    }
    figure = go.Figure()
    if numbers:
        figure.add_heatmap(**surface, xgap=int(isinstance(a, Categorical)), ygap=int(isinstance(b, Categorical)))
    else:
        figure.add_contour(**surface, line={"width": 0.6, "color": PAPER}, ncontours=10, connectgaps=False)
    points = [trial for trial in trials if trial.number in shown]
    best = study.winner.number if study.winner is not None else -1
    for group, look in (
        ([t for t in points if t.number != best], {"color": PAPER, "size": 6, "line": {"width": 1.3, "color": INK}}),
        ([t for t in points if t.number == best], {"color": ORANGE, "symbol": "star", "size": 16, "line": {"width": 1.2, "color": PAPER}}),
    ):
        figure.add_scatter(
            x=places(a, group, jitter=0.2),
            y=places(b, group, jitter=0.2),
            customdata=[[t.number, number_text(t.objective), *(value_text(t.configuration[p.name]) for p in (a, b))] for t in group],
            mode="markers",
            marker=look,
            hovertemplate=f"trial %{{customdata[0]}}<br>{study.objective.metric} %{{customdata[1]}}<br>"
            f"{a.name} %{{customdata[2]}}<br>{b.name} %{{customdata[3]}}<extra></extra>",
        )
    figure.layout = layout(height, parameter_axis(a), parameter_axis(b), showlegend=False)
    return figure


def _grid(parameter: Parameter) -> Floats:
    """The points of the surface along one parameter, on its own scale in [0, 1]."""
    if isinstance(parameter, Categorical):
        return np.array([parameter.unit(choice) for choice in parameter.choices])
    return np.linspace(0.0, 1.0, _GRID)


def _axis_value(parameter: Parameter, unit: float) -> float:
    if isinstance(parameter, Categorical):
        return round(unit * len(parameter.choices) - 0.5)
    low, high = float(parameter.low), float(parameter.high)
    return low * (high / low) ** unit if parameter.log else low + unit * (high - low)


def _unit(parameter: Parameter, trial: Trial) -> float:
    value = trial.configuration[parameter.name]
    if isinstance(parameter, Categorical):
        return parameter.unit(value)
    low, high = float(parameter.low), float(parameter.high)
    if low == high:
        return 0.5
    number = float(value)  # type: ignore[arg-type]
    return math.log(number / low) / math.log(high / low) if parameter.log else (number - low) / (high - low)


def _smooth(study: Study, trials: Sequence[Trial], a: Parameter, b: Parameter, xs: Floats, ys: Floats) -> Floats:
    """Means of the objective at the grid's points, ``[ys, xs]``; NaN where no trial is near."""
    values = np.array([trial.objective for trial in trials], dtype=np.float64)
    width = max(0.05, min(0.14, 0.35 * len(trials) ** (-1 / 6)))
    weights_a, weights_b = (
        _weights(parameter, grid, np.array([_unit(parameter, t) for t in trials]), width) for parameter, grid in ((a, xs), (b, ys))
    )
    total = weights_b @ weights_a.T
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = (weights_b * values) @ weights_a.T / total
    means[total < math.exp(-0.5 * 2.2**2)] = math.nan
    return means


def _weights(parameter: Parameter, grid: Floats, units: Floats, width: float) -> Floats:
    """How much each trial counts at each point of the grid: ``[points, trials]``. Choices know nothing of each other."""
    distance = np.abs(grid[:, None] - units[None, :])
    if isinstance(parameter, Categorical):
        return (distance < 0.25 / len(parameter.choices)).astype(np.float64)
    result: Floats = np.exp(-0.5 * (distance / width) ** 2)
    return result
