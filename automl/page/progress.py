"""Figures of how a study went: best so far, learning curves, what pruning saved, who worked when."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.confirmation import Confirmed, claimed_values
from automl.draws import seed_at
from automl.page.palette import BLUE, GREEN, GREY, INK, MUTED, ORANGE, SKY, STATE_COLOURS, STATE_SYMBOLS, axis, layout
from automl.page.spans import Span, idle_free, packed
from automl.study import Study
from automl.summary import number_text
from automl.trials import Trial

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_POINTS = 2_000  # trials in a figure; of more, the best and an even sample of the others
MOST_CURVES = 250
_FEW = 60  # curves that may be strong
_MOST_EPOCHS = 80  # points of a curve
_MOST_BARS = 3_000
MOST_ROWS = 64  # of the timeline

_FAILED = ("failed", "out_of_memory", "timeout", "lost")


@dataclass(frozen=True, slots=True)
class Axis:
    """What the progress of a study is measured by: a name for the axis, and where on it each ended trial lies, in the order of ends."""

    title: str
    places: Sequence[float]


def by_trials(study: Study) -> Axis:
    """Progress by the number of trials that have ended."""
    return Axis("trials ended", range(1, study.ended + 1))


def by_epochs(study: Study) -> Axis:
    """Progress by the epochs that were trained, in all trials together."""
    return Axis("epochs trained", list(accumulate(study.trials[number].epochs_trained for number in study.ended_order)))


def by_seconds(study: Study, spans: Sequence[Span]) -> Axis:
    """Progress by the time since the first trial began, without the pauses in which nothing trained."""
    clock = idle_free(spans)
    ends = [clock(study.trials[number].ended or 0.0) for number in study.ended_order]
    unit, length = time_unit(max(ends, default=0.0))
    return Axis(f"{unit} at work", [end / length for end in ends])


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which so much time is read best, and its seconds."""
    return ("hours", 3600.0) if seconds >= 3 * 3600 else ("minutes", 60.0) if seconds >= 180 else ("seconds", 1.0)


def best_so_far(study: Study, along: Axis, height: int = 380, with_trials: bool = True) -> Figure:
    """The best objective of the trials that were complete by then, and each trial's own where ``with_trials``."""
    import plotly.graph_objects as go

    figure = go.Figure()
    ended = [study.trials[number] for number in study.ended_order]
    if with_trials:
        _add_points(figure, study, ended, along)
    xs: list[float] = []
    ys: list[float] = []
    for trial, place in zip(ended, along.places, strict=True):
        if trial.state != "complete" or trial.objective is None:
            continue
        if not ys or study.objective.better(trial.objective, ys[-1]):
            xs.append(place)
            ys.append(trial.objective)
    if xs:
        xs.append(along.places[-1])
        ys.append(ys[-1])
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines" if with_trials else "lines+markers",
            line={"color": ORANGE, "width": 2.5, "shape": "hv"},
            marker={"color": ORANGE, "size": 6},
            name="best so far",
            hovertemplate="best so far %{y:.5g}<extra></extra>",
        )
    _add_baseline(figure, study)
    figure.layout = layout(
        height,
        count_axis(along.title, along.places[-1] if along.places else 1),
        axis(f"validation {study.objective.metric}", range=objective_range(study)),
        showlegend=with_trials,
    )
    return figure


def count_axis(title: str, last: float, first: float = 0.0) -> dict[str, Any]:
    """An axis of things that are counted, or of time, from ``first`` to a little after ``last``."""
    whole = {"dtick": 1} if last <= 12 and not title.endswith("at work") else {"nticks": 10}
    return axis(title, range=[first - 0.02 * last if first else 0, last * 1.02], tickformat=",", **whole)


def _add_points(figure: Figure, study: Study, ended: Sequence[Trial], along: Axis) -> None:
    chosen = sampled(study, [trial.number for trial in ended])
    groups = {"complete": ("complete",), "pruned": ("pruned",), "diverged": ("diverged",), "failed": _FAILED}
    for name, states in groups.items():
        points = [
            (place, trial)
            for trial, place in zip(ended, along.places, strict=True)
            if trial.state in states and trial.objective is not None and trial.number in chosen
        ]
        if points:
            figure.add_scatter(
                x=[place for place, _ in points],
                y=np.array([trial.objective for _, trial in points]),
                customdata=[trial.number for _, trial in points],
                mode="markers",
                marker=marker(name),
                name=name,
                hovertemplate=f"trial %{{customdata}}, {name}<br>{study.objective.metric} %{{y:.5g}}<extra></extra>",
            )


def marker(state: str, size: float = 6.5) -> dict[str, Any]:
    """How a trial in this state is drawn."""
    faded = state == "pruned"
    return {
        "color": STATE_COLOURS[state],
        "symbol": STATE_SYMBOLS[state],
        "size": size,
        "opacity": 0.75 if faded else 0.8,
        "line": {"width": 1.6 if faded else 0, "color": STATE_COLOURS[state]},
    }


def _add_baseline(figure: Figure, study: Study) -> None:
    baseline = study.baseline
    if baseline is None or baseline.objective is None:
        return
    figure.add_hline(
        y=baseline.objective,
        line={"color": MUTED, "width": 1.4, "dash": "dash"},
        annotation={
            "text": f"baseline {number_text(baseline.objective)}",
            "font": {"size": 12, "color": MUTED},
            "xanchor": "right",
            "yanchor": "top" if study.objective.maximize else "bottom",
            "x": 1,
            "showarrow": False,
        },
    )


def objective_range(study: Study) -> list[float] | None:
    """The range in which nearly all complete trials lie, the best and the baseline in any case; None where all fit."""
    values = sorted(trial.objective for trial in study.trials if trial.objective is not None and trial.state in ("complete", "pruned"))
    if len(values) < 5 or study.best is None or study.best.objective is None:
        return None
    best = study.best.objective
    complete = sorted(
        (t.objective for t in study.trials if t.objective is not None and t.state == "complete"), reverse=study.objective.maximize
    )
    shown = [complete[min(len(complete) - 1, int(0.75 * len(complete)))], values[len(values) // 2]]
    if study.baseline is not None and study.baseline.objective is not None:
        shown.append(study.baseline.objective)
    worst = min(shown) if study.objective.maximize else max(shown)
    most = values[0] if study.objective.maximize else values[-1]
    width = abs(best - worst) or abs(best - most)
    if not width or abs(best - most) <= 2.5 * width:
        return None
    low, high = best - 2.0 * width, best + 0.12 * width
    return [low, high] if study.objective.maximize else [best - 0.12 * width, best + 2.0 * width]


def sampled(study: Study, numbers: Sequence[int], most: int = MOST_POINTS) -> frozenset[int]:
    """At most so many of the trials: the best 100 complete ones and the baseline always, an even sample of the others."""
    if len(numbers) <= most:
        return frozenset(numbers)
    there = set(numbers)
    kept = {trial.number for trial in study.ranked()[: min(100, most // 2)] if trial.number in there}
    if study.baseline is not None and 0 in there:
        kept.add(0)
    others = [number for number in numbers if number not in kept]
    return frozenset(kept.union(random.Random(seed_at(study.seed, "figures")).sample(others, most - len(kept))))


# -- learning curves --------------------------------------------------------------------------------------------------


def learning_curves(study: Study, height: int = 420) -> Figure:
    """The objective after each epoch: pruned trials faded, the best and the baseline on top."""
    import plotly.graph_objects as go

    with_curves = [trial.number for trial in study.trials if trial.reports]
    chosen = [study.trials[number] for number in sorted(sampled(study, with_curves, MOST_CURVES))]
    best = study.winner.number if study.winner is not None else -1
    plain = [trial for trial in chosen if trial.number != best and trial.origin != "baseline"]
    figure = go.Figure()
    for name, states, opacity in (
        ("pruned", ("pruned",), 0.45),
        ("failed", ("diverged", *_FAILED), 0.7),
        ("running", ("running", "waiting"), 0.7),
        ("complete", ("complete",), 0.5),
    ):
        _add_curves(figure, study, [t for t in plain if t.state in states], name, STATE_COLOURS[name], 1.2, opacity)
    _add_curves(figure, study, [t for t in chosen if t.origin == "baseline" and t.number != best], "baseline", INK, 2.2, 1.0, "dash")
    _add_curves(figure, study, [t for t in chosen if t.number == best], "best", ORANGE, 3.0, 1.0)
    x = count_axis("epoch", study.spec.epochs, first=1)
    figure.layout = layout(height, x, axis(f"validation {study.objective.metric}", range=objective_range(study)))
    return figure


def _add_curves(
    figure: Figure, study: Study, trials: Sequence[Trial], name: str, colour: str, width: float, opacity: float, dash: str = "solid"
) -> None:
    xs: list[float] = []
    ys: list[float] = []
    numbers: list[int] = []
    for trial in trials:
        reports = [report for report in trial.reports if math.isfinite(report.value)]
        step = max(1, math.ceil(len(reports) / _MOST_EPOCHS))
        kept = [
            report for index, report in enumerate(reports) if index % step == 0 or index == len(reports) - 1 or report.epoch == trial.epoch
        ]
        xs += [*(report.epoch for report in kept), math.nan]
        ys += [*(report.value for report in kept), math.nan]
        numbers += [trial.number] * (len(kept) + 1)
    if xs:
        figure.add_scatter(
            x=np.array(xs, dtype=np.float32),
            y=np.array(ys, dtype=np.float32),
            customdata=np.array(numbers, dtype=np.int32),
            mode="lines+markers" if len(trials) <= _FEW or name != "complete" else "lines",
            line={"color": colour, "width": width, "dash": dash},
            marker={"size": 4.5 if len(trials) == 1 else 3.2, "color": colour},
            opacity=opacity if len(trials) <= _FEW else opacity * 0.6,
            name=name,
            hovertemplate=f"trial %{{customdata}}, {name}<br>epoch %{{x}}: %{{y:.5g}}<extra></extra>",
            connectgaps=False,
        )


# -- pruning ----------------------------------------------------------------------------------------------------------


def epochs_saved_figure(study: Study, height: int = 300) -> Figure:
    """How many of the ended trials were still training after each epoch: what lies above the steps, pruning saved."""
    import plotly.graph_objects as go

    trainings = [training for number in study.ended_order for training in study.trials[number].trainings]
    reached = np.zeros(study.spec.epochs + 2, dtype=np.int64)
    saved = np.zeros(study.spec.epochs + 2, dtype=np.int64)
    for number in study.ended_order:
        trial = study.trials[number]
        for training in trial.trainings:
            reached[1 : training.epochs + 1] += 1
            if trial.state == "pruned":
                saved[training.epochs + 1 : study.spec.epochs + 1] += 1
    epochs = np.arange(1, study.spec.epochs + 1)
    figure = go.Figure()
    figure.add_bar(
        x=epochs,
        y=reached[1:-1],
        name="trained",
        marker={"color": BLUE, "line": {"width": 0}},
        hovertemplate="epoch %{x}: %{y} trained it<extra></extra>",
    )
    figure.add_bar(
        x=epochs,
        y=saved[1:-1],
        name="saved by pruning",
        marker={"color": GREY, "opacity": 0.35, "line": {"width": 0}},
        hovertemplate="epoch %{x}: %{y} were spared it<extra></extra>",
    )
    what = "trials" if study.replicates == 1 else "trainings"
    figure.layout = layout(height, axis("epoch"), count_axis(what, max(1, len(trainings))), barmode="stack", bargap=0.12)
    return figure


# -- fresh seeds ------------------------------------------------------------------------------------------------------


def fresh_seeds(study: Study, claim: Confirmed) -> Figure:
    """What the winner and the baseline reached on each fresh seed, with the 95 % interval of their means."""
    import plotly.graph_objects as go

    assert study.winner is not None
    rows = [(f"trial {study.winner.number}", study.winner.number, claim.winner, ORANGE)]
    if claim.baseline is not None:
        rows.append(("baseline", 0, claim.baseline, BLUE))
    figure = go.Figure()
    for place, (name, number, estimate, colour) in enumerate(rows):
        values = claimed_values(study, number)
        figure.add_scatter(
            x=values,
            y=[place + 0.22] * len(values),
            mode="markers",
            marker={"color": colour, "size": 8, "opacity": 0.65, "symbol": "circle-open", "line": {"width": 1.8}},
            hovertemplate=f"{name}, one seed: %{{x:.5g}}<extra></extra>",
        )
        low, high = estimate.interval or (estimate.value, estimate.value)
        figure.add_scatter(
            x=[estimate.value],
            y=[place],
            mode="markers",
            marker={"color": colour, "size": 12, "symbol": "diamond"},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - estimate.value],
                "arrayminus": [estimate.value - low],
                "color": colour,
                "thickness": 3,
                "width": 8,
            },
            hovertemplate=f"{name}, mean %{{x:.5g}}<extra></extra>",
        )
    y = axis(tickmode="array", tickvals=list(range(len(rows))), ticktext=[name for name, *_ in rows], showgrid=False, ticks="")
    y |= {"range": [len(rows) - 0.5, -0.5], "tickfont": {"size": 12.5, "color": INK}}
    figure.layout = layout(90 + 60 * len(rows), axis(f"{claim.metric} ({claim.split})", nticks=8), y, showlegend=False)
    return figure


# -- who worked when --------------------------------------------------------------------------------------------------


def timeline(study: Study, spans: Sequence[Span], most_rows: int = MOST_ROWS) -> Figure:
    """When each worker trained what: a row for each trial that it had at once. Gaps are idle time."""
    import plotly.graph_objects as go

    rows = packed(spans)
    clock = idle_free(spans)
    shown = rows[:most_rows]
    height = max(140, min(640, 70 + 22 * len(shown)))
    thick = max(3.0, min(15.0, (height - 70) / max(1, len(shown)) * 0.72))
    bars: dict[str, list[tuple[float, float, int, Span]]] = {}
    every = max(1, math.ceil(sum(len(row.spans) for row in shown) / _MOST_BARS))
    best = study.winner.number if study.winner is not None else -1
    for place, row in enumerate(shown):
        for index, span in enumerate(row.spans):
            if index % every == 0 or span.trial == best:
                bars.setdefault(_kind(study, span, best), []).append((clock(span.begin), clock(span.end), place, span))
    unit, length = time_unit(max((clock(span.end) for span in spans), default=0.0))
    figure = go.Figure()
    colours = {
        "complete": BLUE,
        "pruned": GREY,
        "best": ORANGE,
        "confirmation": GREEN,
        "running": SKY,
        "failed": STATE_COLOURS["failed"],
        "put back": MUTED,
    }
    for kind in (kind for kind in colours if kind in bars):
        entries = bars[kind]
        figure.add_bar(
            orientation="h",
            base=[begin / length for begin, *_ in entries],
            x=[max(end - begin, 1e-3) / length for begin, end, *_ in entries],
            y=[place for *_, place, _ in entries],
            customdata=[[span.trial, end - begin] for begin, end, _, span in entries],
            width=thick / ((height - 70) / max(1, len(shown))),
            marker={"color": colours[kind], "line": {"width": 0.6, "color": "#ffffff"}, "opacity": 0.6 if kind == "pruned" else 0.95},
            name=kind,
            hovertemplate=f"trial %{{customdata[0]}}, {kind}<br>%{{customdata[1]:.2f}} s<extra></extra>",
        )
    labels = [row.worker if place == 0 or shown[place - 1].worker != row.worker else "" for place, row in enumerate(shown)]
    figure.layout = layout(
        height,
        axis(f"{unit} at work", rangemode="tozero"),
        axis(tickmode="array", tickvals=list(range(len(shown))), ticktext=labels, autorange="reversed", showgrid=False, ticks=""),
        barmode="overlay",
    )
    return figure


def _kind(study: Study, span: Span, best: int) -> str:
    if span.is_cut:
        return "put back"
    if span.replicate >= study.replicates:
        return "confirmation"
    state = study.trials[span.trial].state
    if span.trial == best:
        return "best"
    return {"complete": "complete", "pruned": "pruned", "running": "running", "waiting": "running"}.get(state, "failed")
