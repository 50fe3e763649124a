"""Finished views for MLflow's UI: which charts of a study's runs it shows, and how, made from plain values without MLflow.

MLflow keeps a saved view of an experiment as a tag of it: ``mlflow.sharedViewState.KEY`` holds a name, a time, and the state of the page
as compressed JSON. The format is MLflow's own and internal: it is that of 3.17, ``FIRST`` and later, and whoever writes these tags expects
nothing of them. The UI loads the first hundred runs that a view finds, so that the order of a view decides which trials are drawn.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from automl.metrics import METRICS
from automl.tracking.content import StudyHeader, entity_key, log_metric

FIRST = (3, 17)  # versions of MLflow that read this format ...
BEYOND = (4, 0)  # ... end before this one
TAG = "mlflow.sharedViewState."
MODEL_TRAINING = "workflowType=machine_learning"  # in a link: without it, a new browser sees MLflow's pages for GenAI
STRATEGIES, TRIALS, BY_STRATEGY = "automl-strategies", "automl-trials", "automl-by-strategy"
LONGEST = 20_000  # characters of a tag of an experiment
ENDS = ("trials/complete", "trials/pruned", "trials/failed", "epochs/saved_percent")  # metrics of a study's run
_OWN = "automl-study-"
_MOST_OWN = 12  # views of single studies; the oldest go
_MOST_PLOTS = 12
_FRESH = 7  # seeds of confirmations, of which no chart is drawn
_COMPRESSED = "deflate;"

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a view draws. An axis is ``param NAME`` or ``metric NAME``; ``important``: those of the contour of two numeric parameters."""

    columns: tuple[str, ...] = ()  # axes of the searched parameters that every trial has
    parameters: tuple[str, ...] = ()  # axes of all of them
    metrics: tuple[str, ...] = ()
    important: tuple[str, ...] = ()


def own_key(identity: str) -> str:
    """The key of the view of one study's trials."""
    return f"{_OWN}{identity[:12]}"


def main_key(identity: str, comparison: str) -> str:
    """The key of the view that a study is opened in: those of a comparison are looked at together, and have none of their own."""
    return STRATEGIES if comparison else own_key(identity)


def route(experiment: str, key: str) -> str:
    """Where a view is, after the address of the server."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key}&compareRunsMode=CHART&{MODEL_TRAINING}"


def saved_views(header: StudyHeader, known: Mapping[str, str], important: Sequence[str], now: int) -> dict[str, str | None]:
    """The tags of the experiment that this study changes; None for one that is to go.

    ``known`` are the experiment's tags as they are, ``important`` the study's parameters, the most important first, where that is
    known; ``now`` in milliseconds. The views show what all studies of the experiment search. Nothing changes a second time.
    """
    own = own_key(header.identity)
    ours = _drawn(header, important)
    ours = replace(ours, important=ours.important or _noted(known, own).important)
    drawn = _together(_noted(known, TRIALS), ours)
    best_first = {"orderByKey": "metrics.`objective`", "orderByAsc": not header.maximize}
    mine = f"tags.`automl.study_id` = '{header.identity}' and tags.`automl.kind` = 'trial'"
    states = {
        STRATEGIES: ("Strategies", _strategies(header, drawn)),
        TRIALS: ("Trials", _trials("tags.`automl.kind` = 'trial'", best_first, drawn)),
        BY_STRATEGY: ("By strategy", _by_strategy(header, drawn)),
        **({} if header.comparison else {own: (f"Trials of {header.name}", _trials(mine, best_first, ours))}),
    }
    changed: dict[str, str | None] = {}
    for key, (name, state) in states.items():
        before = _opened(known.get(TAG + key, ""))
        if before is None or before[0] != name or before[2] != state:
            value = _closed(name, now if before is None else before[1], state)
            if len(value) <= LONGEST:
                changed[TAG + key] = value
    if header.comparison:
        return changed
    of_studies = {key: opened[1] for key, value in known.items() if key.startswith(TAG + _OWN) and (opened := _opened(value))}
    others = sorted((created, key) for key, created in of_studies.items() if key != TAG + own)
    return {**changed, **{key: None for _, key in others[: max(0, len(others) + 1 - _MOST_OWN)]}}


# -- what is drawn --------------------------------------------------------------------------------------------------------


def _drawn(header: StudyHeader, important: Sequence[str]) -> Drawn:
    columns = [name for name in header.searched if name not in header.conditional]
    two = [name for name in important if name in header.numeric and name in columns][:2]
    metrics = tuple(dict.fromkeys([entity_key(header.metric), "loss", "train_loss"]))
    return Drawn(_axes(header, columns), _axes(header, header.searched), metrics, _axes(header, two))


def _axes(header: StudyHeader, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_axis(header, name) for name in names)


def _axis(header: StudyHeader, name: str) -> str:
    """What stands for a parameter on an axis: the axes have no logarithmic scale, so there is a metric of the logarithm."""
    return f"metric {log_metric(name)}" if name in header.logarithmic else f"param {entity_key(name)}"


def _together(before: Drawn, ours: Drawn) -> Drawn:
    if before == Drawn():
        return ours
    columns = tuple(axis for axis in before.columns if axis in ours.columns)  # a run without one of them is not drawn
    parameters, metrics = (tuple(dict.fromkeys(names)) for names in (before.parameters + ours.parameters, before.metrics + ours.metrics))
    return Drawn(columns, parameters, metrics, ours.important or before.important)


def _noted(known: Mapping[str, str], key: str) -> Drawn:
    """What the view of this key draws as it is."""
    opened = _opened(known.get(TAG + key, ""))
    try:
        return Drawn(**{name: tuple(map(str, values)) for name, values in opened[2]["automl"].items()}) if opened else Drawn()
    except (AttributeError, KeyError, TypeError):
        return Drawn()


# -- views ----------------------------------------------------------------------------------------------------------------


def _strategies(header: StudyHeader, drawn: Drawn) -> State:
    """One line for each study: what it found, by when, and what became of its trials."""
    best = "best_objective"
    tested = [f"test_{metric}" for metric in drawn.metrics if metric != "train_loss"]
    charts = [
        _line("best", "trials", best),
        _line("best", "epochs", best, xAxisKey="metric", selectedXAxisMetricKey="epochs/trained"),
        _line("best", "seconds", best, xAxisKey="time-relative"),
        *(_bar("ends", name) for name in ENDS),
        _bar("found", best),
        _bar("found", "gain"),
        _bar("found", "confirmed/winner"),
        _bar("found", "confirmed/gain"),
        *(_bar("found", name) for name in tested),
    ]
    sections = [
        _section("best", "Best so far: by trials, epochs, time", 3, 380),
        _section("ends", "What became of the trials", 2, 260),
        _section("found", "What was found", 2, 260),
    ]
    order = {"orderByKey": f"metrics.`{best}`", "orderByAsc": not header.maximize}
    shown = [
        "tags.`automl.strategy`",
        "tags.`automl.pruner`",
        f"metrics.`{best}`",
        "metrics.`gain`",
        *(f"metrics.`{name}`" for name in ENDS),
    ]
    return _page("tags.`automl.kind` = 'study'", order, shown, sections, charts, drawn)


def _trials(which: str, order: State, drawn: Drawn) -> State:
    """The best hundred trials: which values they have, how each parameter goes with the objective, how they learned."""
    columns = [axis.split(" ", 1) for axis in drawn.columns]
    parallel = {
        "selectedParams": [name for kind, name in columns if kind == "param"],
        "selectedMetrics": [*(name for kind, name in columns if kind == "metric"), "objective"],
        "showAllRuns": False,
    }
    plots = [_chart("SCATTER", "plots", axis, xaxis=_along(axis), yaxis=_along("metric objective")) for axis in drawn.parameters]
    contour = []
    if len(drawn.important) == 2:
        x, y = map(_along, drawn.important)
        contour = [_chart("CONTOUR", "plots", "two", xaxis=x, yaxis=y, zaxis=_along("metric objective"))]
    charts = [
        _chart("PARALLEL", "values", "all", **parallel),
        *plots[:_MOST_PLOTS],
        *contour,
        *(_line("curves", metric, metric) for metric in drawn.metrics),
    ]
    sections = [
        _section("values", "Values of the best trials", 1, 420),
        _section("plots", "Parameters against the objective", 3, 320),
        _section("curves", "Learning curves", 2, 380),
    ]
    names = [axis.split(" ", 1)[1].removeprefix("log10/") for axis in drawn.parameters]
    shown = [
        "metrics.`objective`",
        "tags.`automl.rank`",
        "tags.`automl.state`",
        *(f"params.`{name}`" for name in names),
        "tags.`automl.reason`",
    ]
    noted = {name: list(values) for name, values in asdict(drawn).items()}
    return {**_page(which, order, shown, sections, charts, drawn), "automl": noted}


def _by_strategy(header: StudyHeader, drawn: Drawn) -> State:
    """Studies and their ten best trials as one curve for each strategy: the mean, in a band from the least to the greatest."""
    best = "best_objective"
    charts = [
        _line("best", "trials", best),
        _line("best", "epochs", best, xAxisKey="metric", selectedXAxisMetricKey="epochs/trained"),
        *(_line("curves", metric, metric) for metric in drawn.metrics if metric != "train_loss"),
        *(_bar("ends", name) for name in ENDS),
    ]
    sections = [
        _section("best", "Best so far: mean and range of the studies", 2, 380),
        _section("curves", "Learning curves of each study's ten best", 2, 380),
        _section("ends", "What became of the trials, on average", 2, 260),
    ]
    group = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "automl.strategy"}]}
    order = {"orderByKey": f"metrics.`{best}`", "orderByAsc": not header.maximize}
    shown = [f"metrics.`{best}`", "metrics.`objective`"]
    return {**_page("tags.`automl.view` = 'by strategy'", order, shown, sections, charts, drawn), "groupBy": group}


def _page(which: str, order: State, columns: Sequence[str], sections: Sequence[State], charts: Sequence[State], drawn: Drawn) -> State:
    return {
        "searchFilter": which,
        **order,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(columns),
        "runsHiddenMode": "SHOW_ALL",
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsPinned": [],
        "runsExpanded": {},
        "groupBy": None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "autoRefreshEnabled": True,
        "viewMaximized": False,
        "runListHidden": False,
        "compareRunSections": list(sections),
        "compareRunCharts": [*charts, *_left_out(charts, drawn)],
    }


def _left_out(charts: Sequence[State], drawn: Drawn) -> list[State]:
    """Without these, the UI adds a chart of its own for each metric that a view has none of."""
    has_one = {chart.get("metricKey") for chart in charts}
    names = ["train_loss", *METRICS]
    logarithms = [axis.split(" ", 1)[1] for axis in drawn.parameters if axis.startswith("metric ")]
    tested = [f"{split}_{name}" for split in ("test", "training") for name in names]
    confirmed = [f"confirmed/{name}{end}" for name in ("winner", "baseline", "gain") for end in ("", "_low", "_high")]
    fresh = [f"fresh_{number}/{name}" for number in range(1, _FRESH + 1) for name in [*drawn.metrics, *(f"test_{name}" for name in names)]]
    others = ["objective", "best_objective", "gain", *ENDS, "epochs/trained", *names, *tested, *logarithms, *confirmed, *fresh]
    return [{"uuid": f"automl-no-{name}", "type": "BAR", "metricKey": name, "deleted": True} for name in others if name not in has_one]


def _section(key: str, name: str, columns: int, height: int) -> State:
    """``isReordered``: in the order of the view, not of the alphabet."""
    look = {"columns": columns, "cardHeight": height}
    return {"uuid": f"automl-{key}", "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False, **look}


def _chart(kind: str, section: str, key: str, **more: Any) -> State:
    at = {"uuid": f"automl-{section}-{kind}-{key}", "type": kind, "metricSectionId": f"automl-{section}"}
    return {**at, "deleted": False, "isGenerated": False, "runsCountToCompare": 100, **more}


def _bar(section: str, metric: str) -> State:
    return _chart("BAR", section, metric, metricKey=metric)


def _line(section: str, key: str, metric: str, **more: Any) -> State:
    scale = {"scaleType": "linear", "xAxisScaleType": "linear", "lineSmoothness": 0, "xAxisKey": "step", "selectedXAxisMetricKey": ""}
    own = {"useGlobalXaxisKey": False, "useGlobalLineSmoothing": False, "displayPoints": False, "yAxisKey": "metric"}
    return _chart("LINE", section, key, metricKey=metric, selectedMetricKeys=[metric], **{**scale, **own, **more})


def _along(axis: str) -> State:
    kind, name = axis.split(" ", 1)
    return {"type": kind.upper(), "key": name}


# -- the tag --------------------------------------------------------------------------------------------------------------


def _closed(name: str, created: int, state: State) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)).decode()
    return json.dumps({"name": name, "createdAt": created, "state": _COMPRESSED + packed})


def _opened(value: str) -> tuple[str, int, State] | None:
    """Name, time and state of a view; None where this is none of ours."""
    try:
        envelope = json.loads(value)
        state = zlib.decompress(base64.b64decode(envelope["state"].removeprefix(_COMPRESSED)))
        return str(envelope["name"]), int(envelope["createdAt"]), json.loads(state)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, binascii.Error):
        return None
