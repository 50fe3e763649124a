"""The figures of a comparison, each with its title, what it says, and the same in words for those who cannot see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from automl.compare.curves import Curve, curves
from automl.compare.results import Result
from automl.compare.statistics import Estimate
from automl.compare.verdict import Judged, Standing
from automl.page.document import Figure
from automl.page.palette import GREY, INK, LINE, QUALITATIVE, axis, layout
from automl.spec import Objective
from automl.summary import number_text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as Plot

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "pentagon", "triangle-down")
_AXES = {
    "trials": ("Best validation value by trials", "trials", "trials that have ended"),
    "epochs": ("By epochs spent", "epochs", "epochs of all trials together"),
    "seconds": ("By device seconds", "device seconds", "seconds of training, without those of asking"),
}


def colour_of(index: int) -> str:
    """The colour of the arm at this place; lines and points also differ in dash and symbol."""
    return QUALITATIVE[index % len(QUALITATIVE)]


def _places(judged_results: Sequence[Result]) -> dict[str, int]:
    """Arms by name: the same colour in every figure, whatever the order of the standings."""
    return {name: place for place, name in enumerate(sorted({result.arm.name for result in judged_results}))}


def _all(judged: Judged) -> list[Result]:
    return [result for standing in judged.standings for result in standing.results]


# -- picks --------------------------------------------------------------------------------------------------------------


def picks(judged: Judged) -> Figure:
    """What the picks reach: a point for each repeat, the repeats joined by lines where they are pairs, the median as a bar."""
    import plotly.graph_objects as go

    metric, places, figure = judged.objective.metric, _places(_all(judged)), go.Figure()
    if judged.is_paired:
        _join_repeats(figure, judged)
    for row, standing in enumerate(judged.standings):
        colour, symbol = colour_of(places[standing.name]), _SYMBOLS[places[standing.name] % len(_SYMBOLS)]
        shown = [result for result in standing.results if result.test is not None]
        figure.add_scatter(
            x=[row + _aside(index, len(shown)) for index in range(len(shown))],
            y=[result.test for result in shown],
            mode="markers",
            marker={"color": colour, "size": 9, "symbol": symbol, "line": {"width": 1, "color": INK}},
            hovertext=[
                f"{r.study}: {metric} {number_text(r.test)}<br>validation {number_text(r.validation)}, trial {r.pick}" for r in shown
            ],
            hoverinfo="text",
            showlegend=False,
        )
        _add_median(figure, row, standing.test)
    names = [standing.name for standing in judged.standings]
    figure.update_layout(
        layout(
            380,
            axis(tickvals=list(range(len(names))), ticktext=names, range=[-0.6, len(names) - 0.4], showgrid=False),
            axis(f"{metric}, {judged.split}"),
        )
    )
    medians = ", ".join(f"{standing.name} {number_text(standing.test.value)}" for standing in judged.standings)
    caption = "A point is the pick of one study; the bar is the median, the box the interval that holds it."
    if judged.is_paired:
        caption += " Grey lines join the picks of the same repeat."
    says = f"The {metric} of each study's pick on {judged.split}, by arm. Medians: {medians}."
    return Figure("picks", "What the picks reach", figure, caption, says, least_width=110 * len(names))


def _aside(index: int, count: int) -> float:
    """Beside the others of its arm, so that equal values can be told apart."""
    return 0.0 if count < 2 else 0.36 * (index / (count - 1) - 0.5)


def _join_repeats(figure: Plot, judged: Judged) -> None:
    count = judged.repeats
    for index in range(count):
        values = [standing.results[index].test for standing in judged.standings]
        xs = [row + _aside(index, count) for row in range(len(values))]
        figure.add_scatter(x=xs, y=values, mode="lines", line={"color": LINE, "width": 1}, hoverinfo="skip", showlegend=False)


def _add_median(figure: Plot, row: int, estimate: Estimate) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        box = {"type": "rect", "x0": row - 0.3, "x1": row + 0.3, "y0": estimate.low, "y1": estimate.high}
        figure.add_shape(**box, fillcolor=GREY, opacity=0.16, line_width=0, layer="below")
    figure.add_shape(type="line", x0=row - 0.3, x1=row + 0.3, y0=estimate.value, y1=estimate.value, line={"color": INK, "width": 2})


# -- pairs --------------------------------------------------------------------------------------------------------------


def probabilities(judged: Judged) -> Figure:
    """P(A beats B) of each pair, with its interval."""
    estimates = [pair.probability for pair in judged.pairs]
    figure = _forest(judged, estimates, 0.5, axis("probability that A beats B", range=[-0.02, 1.02]))
    says = "; ".join(f"{pair.a} beats {pair.b} with {_words(pair.probability)}" for pair in judged.pairs)
    caption = "Half of the time is no difference. Filled where the two are told apart."
    return Figure("probabilities", "How often A beats B", figure, caption, f"{says}.")


def differences(judged: Judged) -> Figure:
    """The median difference of each pair, with its interval."""
    estimates = [pair.difference for pair in judged.pairs]
    ends = [0.0, *(end for each in estimates for end in (each.low, each.value, each.high) if end is not None)]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    x = axis(f"median difference in {judged.objective.metric}, A better to the right", range=[min(ends) - margin, max(ends) + margin])
    figure = _forest(judged, estimates, 0.0, x)
    says = "; ".join(f"{pair.a} against {pair.b}: {_words(pair.difference)}" for pair in judged.pairs)
    return Figure("differences", "By how much", figure, "The line is zero. Filled where the two are told apart.", f"{says}.")


def _words(estimate: Estimate) -> str:
    return f"{number_text(estimate.value)} ({number_text(estimate.low)} to {number_text(estimate.high)})"


def _forest(judged: Judged, estimates: Sequence[Estimate], nothing: float, x: dict[str, Any]) -> Plot:
    import plotly.graph_objects as go

    figure, names = go.Figure(), [f"{pair.a}<br>and {pair.b}" for pair in judged.pairs]
    for row, (pair, estimate) in enumerate(zip(judged.pairs, estimates, strict=True)):
        if estimate.value is None:
            continue
        low = estimate.value if estimate.low is None else estimate.low
        high = estimate.value if estimate.high is None else estimate.high
        colour = QUALITATIVE[0] if pair.call != "cannot tell" else GREY
        figure.add_scatter(
            x=[low, high], y=[row, row], mode="lines", line={"color": colour, "width": 3}, hoverinfo="skip", showlegend=False
        )
        figure.add_scatter(
            x=[estimate.value],
            y=[row],
            mode="markers",
            marker={"color": colour, "size": 12, "symbol": "circle" if pair.call != "cannot tell" else "circle-open", "line": {"width": 2}},
            hovertext=f"{pair.a} and {pair.b}: {_words(estimate)}<br>p {pair.p_adjusted:.3f}, {pair.call}",
            hoverinfo="text",
            showlegend=False,
        )
    figure.add_vline(x=nothing, line={"color": INK, "width": 1, "dash": "dot"})
    y = axis(tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.4, -0.6], showgrid=False)
    figure.update_layout(layout(90 + 52 * len(names), x, y))
    return figure


# -- on the way ---------------------------------------------------------------------------------------------------------


def anytime(results: Sequence[Result], objective: Objective, along: str) -> Figure:
    """The best validation value so far against what it cost."""
    import plotly.graph_objects as go

    figure, found, places = go.Figure(), curves(results, along, objective.maximize), _places(results)
    title, label, words = _AXES[along]
    for name, curve in found.items():
        _add_curve(figure, name, curve, places[name])
    y = axis(f"best validation {objective.metric}")
    shown = _worth_showing(list(found.values()), objective)
    if shown is not None:
        y["range"] = shown
    height = 420 if along == "trials" else 340
    figure.update_layout(layout(height, axis(label, rangemode="tozero"), y, hovermode="x unified"))
    confidence = next((curve.confidence for curve in found.values() if curve.x), 0.0)
    caption = f"Median and the interval that holds it with {100 * confidence:.3g} %, at each point alone; against {words}."
    ends = ", ".join(f"{name} {number_text(curve.median[-1])}" for name, curve in found.items() if curve.median)
    return Figure(f"anytime-{along}", title, figure, caption, f"Median best validation {objective.metric} at the end: {ends}.")


def _add_curve(figure: Plot, name: str, curve: Curve, place: int) -> None:
    colour, dash = colour_of(place), _DASHES[place % len(_DASHES)]
    known = [index for index, value in enumerate(curve.median) if value is not None]
    if not known:
        return
    banded = [index for index in known if curve.low[index] is not None and curve.high[index] is not None]
    xs = [curve.x[index] for index in banded]
    for ends, fill in ((curve.high, None), (curve.low, "tonexty")):
        figure.add_scatter(
            x=xs,
            y=[ends[index] for index in banded],
            mode="lines",
            line={"width": 0, "shape": "hv", "color": colour},
            fill=fill,
            fillcolor=_faint(colour),
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
    figure.add_scatter(
        x=[curve.x[index] for index in known],
        y=[curve.median[index] for index in known],
        mode="lines",
        name=name,
        legendgroup=name,
        line={"color": colour, "width": 2.5, "dash": dash, "shape": "hv"},
        hovertemplate="%{y:.4g}",
    )


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"


def _worth_showing(found: Sequence[Curve], objective: Objective) -> list[float] | None:
    """From the worst end of a band after the first fifth of the way to the best: the first few trials would flatten the rest."""
    values = [
        value
        for curve in found
        for index, ends in enumerate(zip(curve.low, curve.median, curve.high, strict=True))
        for value in ends
        if value is not None and index >= len(curve.x) // 5
    ]
    if not values or max(values) == min(values):
        return None
    margin = 0.06 * (max(values) - min(values))
    low, high = min(values) - margin, max(values) + margin
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None


# -- cost ---------------------------------------------------------------------------------------------------------------


def costs(judged: Judged) -> Figure:
    """What a study cost: device seconds and those of asking, in the mean over repeats."""
    import plotly.graph_objects as go

    names = [standing.name for standing in judged.standings]
    training = [_mean(standing, "seconds") for standing in judged.standings]
    asking = [_mean(standing, "ask_seconds") for standing in judged.standings]
    figure = go.Figure()
    for label, values, colour in (("training", training, QUALITATIVE[0]), ("asking", asking, QUALITATIVE[1])):
        figure.add_bar(
            y=names, x=values, name=label, orientation="h", marker={"color": colour}, hovertemplate=f"{label} %{{x:.3g}} s<extra></extra>"
        )
    figure.update_layout(
        layout(110 + 40 * len(names), axis("seconds a study, mean"), axis(autorange="reversed", showgrid=False), barmode="stack")
    )
    says = "; ".join(
        f"{name} {number_text(t, 3)} s training, {number_text(a, 3)} s asking" for name, t, a in zip(names, training, asking, strict=True)
    )
    return Figure("costs", "What a study cost", figure, alternative=f"{says}.")


def _mean(standing: Standing, what: str) -> float:
    values = [float(getattr(result, what)) for result in standing.results]
    return sum(values) / len(values)
