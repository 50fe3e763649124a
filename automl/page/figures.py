"""All figures of a study, each with its title, what it says, and the same in words for those who cannot see it.

Plain functions of a study: the study page shows them, MLflow keeps them, notebooks display them (``each.figure`` is plotly's own).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl.confirmation import confirmed
from automl.importances import Importances
from automl.importances import importances as importances_of
from automl.page import landscape, progress, tradeoffs
from automl.page.document import Figure
from automl.page.spans import Span, packed, spans_of_study, utilisation
from automl.study import Study
from automl.summary import confirmation_text, epochs_saved, front_sentence, number_text, value_text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

MOST_SLICES = 6


def all_figures(study: Study, spans: Sequence[Span] | None = None, found: Importances | None = None) -> list[Figure]:
    """Every figure that this study has something to show in. ``spans`` are those of the events (``Spans``), else what trials know."""
    found = importances_of(study) if found is None else found
    spans = spans_of_study(study) if spans is None else spans
    return [
        *best_figures(study, spans),
        *confirmation_figures(study),
        *front_figures(study),
        *curve_figures(study),
        *importance_figures(found),
        *parallel_figures(study, found),
        *slice_figures(study, found),
        *contour_figures(study, found),
        *timeline_figures(study, spans),
        *pruning_figures(study),
    ]


def best_figures(study: Study, spans: Sequence[Span]) -> list[Figure]:
    """Best so far against trials, epochs and seconds; none while there is only one."""
    if sum(trial.has_ended and trial.objective is not None for trial in study.trials) < 2:
        return []
    metric, best = study.objective.metric, study.best
    says = f"Validation {metric} of each trial in the order in which they ended, and the best so far as a line."
    if best is not None:
        place = study.ended_order.index(best.number) + 1
        says += f" It ends at {number_text(best.objective)}, reached by trial {best.number} as the {_th(place)} of {study.ended}."
    shown = progress.objective_range(study)
    hidden = sum(
        t.objective is not None and t.has_ended and shown is not None and not shown[0] <= t.objective <= shown[1] for t in study.trials
    )
    lie = "1 trial lies" if hidden == 1 else f"{hidden:,} trials lie"
    caption = f"{lie} outside of what is shown; a double click on the figure shows all." if hidden else ""
    caption = " ".join(filter(None, [caption, _sampled_note(study.ended, progress.MOST_POINTS)]))
    figures = [Figure("best-by-trials", "Best so far", progress.best_so_far(study, progress.by_trials(study)), caption, says)]
    if best is not None:
        for name, along, words in (
            ("epochs", progress.by_epochs(study), "epochs that all trials trained together"),
            ("seconds", progress.by_seconds(study, spans), "time at work, without pauses between runs"),
        ):
            plot = progress.best_so_far(study, along, height=280, with_trials=False)
            figures.append(
                Figure(
                    f"best-by-{name}",
                    f"Best so far by {'time' if name == 'seconds' else name}",
                    plot,
                    alternative=f"The same line against the {words}.",
                )
            )
    return figures


def confirmation_figures(study: Study) -> list[Figure]:
    """The winner and the baseline on fresh seeds, where they were trained again."""
    claim = confirmed(study)
    if claim is None or claim.winner.interval is None:
        return []
    where = "the test split" if claim.split == "test" else f"the {claim.split}"
    caption = f"A circle is the {claim.metric} on {where} of one training on a fresh seed, the bar the 95 % interval of their mean."
    says = f"{caption} {confirmation_text(study)}"
    return [Figure("fresh-seeds", "On fresh seeds", progress.fresh_seeds(study, claim), caption, says)]


def front_figures(study: Study) -> list[Figure]:
    """The Pareto front, by the first objective and each of the others; none of a single objective."""
    figures = []
    for other in study.objectives[1:] if study.front else ():
        pair = f"{study.objective.metric} and {other.metric}"
        says = f"{pair} of the complete trials. {front_sentence(study)}"
        note = _sampled_note(study.counts.get("complete", 0), progress.MOST_POINTS)
        name = f"front-{other.metric.replace('_', '-')}"
        figures.append(Figure(name, f"Pareto front: {pair}", tradeoffs.front_figure(study, other), note, says))
    return figures


def curve_figures(study: Study) -> list[Figure]:
    """The learning curves; none of trials of one epoch."""
    with_curves = sum(bool(trial.reports) for trial in study.trials)
    if study.spec.epochs < 2 or not with_curves:
        return []
    pruned = study.counts.get("pruned", 0)
    says = f"Validation {study.objective.metric} after each epoch of {with_curves} trials; {pruned} of them were pruned on the way."
    if study.winner is not None:
        says += f" The best, trial {study.winner.number}, was at its best in epoch {study.winner.epoch}."
    note = _sampled_note(with_curves, progress.MOST_CURVES)
    return [Figure("learning-curves", "Learning curves", progress.learning_curves(study), note, says)]


def importance_figures(found: Importances) -> list[Figure]:
    """The importances as bars, where there are any."""
    if not found.parameters:
        return []
    listed = ", ".join(f"{each.name} {landscape.share_text(each.share)}" for each in found.parameters)
    caption = (
        f"What sets the {len(found.best)} best of {found.counted} trials apart from all of them (PED-ANOVA; pruned and failed trials "
        "count as not among the best). Grey: shuffled trials gave as much."
    )
    return [Figure("importances", "Which parameters mattered", landscape.importance_bars(found), caption, f"Importances: {listed}.")]


def parallel_figures(study: Study, found: Importances) -> list[Figure]:
    """The parallel coordinates of the complete trials."""
    complete = [trial for trial in study.trials if trial.state == "complete" and trial.in_space]
    names = ordered_names(study, found)
    if len(complete) < 2 or not names:
        return []
    caption = "A line is a complete trial: the stronger its colour, the better it was; the best is orange. The most important stand left."
    if len(names) > landscape.MOST_AXES:
        left = len(names) - landscape.MOST_AXES
        caption += f" {left} parameter{'s are' if left > 1 else ' is'} left out."
    caption = " ".join(filter(None, [caption, _sampled_note(len(complete), landscape.MOST_LINES)]))
    figure = landscape.parallel_coordinates(study, names)
    shown = ", ".join(names[: landscape.MOST_AXES])
    says = f"Parallel coordinates of {len(complete)} complete trials over {shown}. The table has their values."
    width = 72 * (min(len(names), landscape.MOST_AXES) + 1)
    return [Figure("parallel-coordinates", "Parallel coordinates", figure, caption, says, least_width=width)]


def slice_figures(study: Study, found: Importances) -> list[Figure]:
    """The objective against each of the parameters that matter most."""
    if not any(trial.objective is not None for trial in study.trials):
        return []
    figures = []
    for name in ordered_names(study, found)[:MOST_SLICES]:
        parameter = study.space.by_name[name]
        having = sum(trial.objective is not None and name in trial.configuration for trial in study.trials)
        if having < 2:
            continue
        says = f"Validation {study.objective.metric} of {having} trials against {name}."
        if study.winner is not None and name in study.winner.configuration:
            says += f" The best has {value_text(study.winner.configuration[name])}."
        note = " ".join(filter(None, [_when(study, name), _sampled_note(having, landscape.MOST_SLICE)]))
        figures.append(Figure(f"slice-{_slug(study, name)}", name, landscape.slice_of(study, parameter), note, says))
    return figures


def contour_figures(study: Study, found: Importances) -> list[Figure]:
    """The two parameters that matter most, together."""
    names = ordered_names(study, found)[:2]
    if len(names) < 2:
        return []
    a, b = (study.space.by_name[name] for name in names)
    figure = landscape.contour(study, a, b)
    if figure is None:
        return []
    caption = f"Each point's colour is a smooth mean of the complete trials near it; blank is unknown. The star is trial {_best(study)}."
    says = f"Validation {study.objective.metric} over {a.name} and {b.name}, as a smooth mean of the complete trials."
    return [Figure("contour", f"{a.name} and {b.name}", figure, caption, says)]


def timeline_figures(study: Study, spans: Sequence[Span]) -> list[Figure]:
    """Who trained what when."""
    if not spans:
        return []
    rows, share = packed(spans), utilisation(spans)
    workers = len({row.worker for row in rows})
    says = f"{workers} worker{'s' if workers != 1 else ''}, at most {_lanes(rows)} at once each"
    says += f"; something trained for {share:.0%} of the time on all of these rows." if share is not None else "."
    caption = "A row for each trial that a worker trained at the same time (its lanes); gaps are idle. Pauses between runs are left out."
    if len(rows) > progress.MOST_ROWS:
        caption += f" {len(rows) - progress.MOST_ROWS} more rows are left out."
    figure = progress.timeline(study, spans)
    return [Figure("timeline", "Who trained when", figure, f"{says} {caption}", says)]


def pruning_figures(study: Study) -> list[Figure]:
    """What pruning saved."""
    saved, whole = epochs_saved(study)
    if not saved:
        return []
    says = f"Pruning saved {saved:,} of {whole:,} epochs ({saved / whole:.0%})."
    return [Figure("epochs-saved", "Epochs saved by pruning", progress.epochs_saved_figure(study), says, says)]


def titled(figure: Figure) -> PlotlyFigure:
    """The figure with its title in it, for wherever it stands alone."""
    import plotly.graph_objects as go

    alone = go.Figure(figure.figure)
    has_legend = alone.layout.showlegend is not False and len(alone.data) > 1
    room = 60 if has_legend else 34
    alone.update_layout(
        height=(alone.layout.height or 400) + room,
        margin={"t": 8 + room},
        title={"text": figure.title, "x": 0, "xref": "container", "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 10, "l": 12}},
        title_font={"size": 16},
    )
    return alone


def ordered_names(study: Study, found: Importances) -> list[str]:
    """The searched parameters of more than one value: by importance where that is known, else in the order of the space."""
    searched = [parameter.name for parameter in study.space.parameters if parameter.size > 1]
    return [*(name for name in found.names if name in searched), *(name for name in searched if name not in found.names)]


def _sampled_note(count: int, most: int) -> str:
    return f"Of {count:,} trials {most:,} are shown: the best and an even sample of the others." if count > most else ""


def _when(study: Study, name: str) -> str:
    parameter = study.space.by_name[name]
    return f"Only where {' and '.join(map(str, parameter.when))}." if parameter.when else ""


def _slug(study: Study, name: str) -> str:
    """A name for files and anchors: the parameter's where that is plain, else its position in the space."""
    plain = name.replace("_", "-")
    position = [parameter.name for parameter in study.space.parameters].index(name)
    return plain if plain.replace("-", "").isascii() and plain.replace("-", "").isalnum() else f"parameter-{position}"


def _best(study: Study) -> str:
    return str(study.winner.number) if study.winner is not None else "-"


def _lanes(rows: Sequence[object]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        worker = row.worker  # type: ignore[attr-defined]
        counts[worker] = counts.get(worker, 0) + 1
    most = max(counts.values())
    return f"{most} trial{'s' if most != 1 else ''}"


def _th(place: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th") if place % 100 not in (11, 12, 13) else "th"
    return f"{place}{ending}"
