from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tracking.stories import HEADER

from automl.tracking import views
from automl.tracking.content import StudyHeader
from automl.tracking.views import TAG, own_key, route, saved_views

SEARCHING = replace(
    HEADER,
    numeric=("layers", "units", "learning_rate", "dropout"),
    logarithmic=("units", "learning_rate"),
    conditional=("dropout",),
)
NAMES = {
    views.STRATEGIES: "Strategies",
    views.TRIALS: "Trials",
    views.BY_STRATEGY: "By strategy",
    own_key("a1b2"): "Trials of digits-random",
}


def after(known: Mapping[str, str], header: StudyHeader = SEARCHING, important: tuple[str, ...] = (), now: int = 5) -> dict[str, str]:
    """The experiment's tags once the study has said what it wants."""
    changed = saved_views(header, known, important, now)
    return {key: value for key, value in {**known, **changed}.items() if value is not None}


def opened(tags: Mapping[str, str], key: str) -> Any:
    found = views._opened(tags[TAG + key])
    assert found is not None
    return found[2]


def charts(state: Any, kind: str) -> list[Any]:
    return [chart for chart in state["compareRunCharts"] if chart["type"] == kind and not chart["deleted"]]


def test_a_study_brings_three_views_of_the_experiment_and_one_of_itself() -> None:
    tags = after({})
    assert {key.removeprefix(TAG): views._opened(value)[0] for key, value in tags.items()} == NAMES  # type: ignore[index]
    assert max(map(len, tags.values())) < 5_000  # the limit of older stores
    assert opened(tags, views.STRATEGIES)["searchFilter"] == "tags.`automl.kind` = 'study'"
    assert opened(tags, own_key("a1b2"))["searchFilter"] == "tags.`automl.study_id` = 'a1b2' and tags.`automl.kind` = 'trial'"


def test_every_chart_is_in_a_section_and_has_a_name_of_its_own() -> None:
    tags = after({}, important=("units", "learning_rate"))
    for key in NAMES:
        state = opened(tags, key)
        names = [chart["uuid"] for chart in state["compareRunCharts"]]
        assert len(set(names)) == len(names)
        shown = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
        assert {chart["metricSectionId"] for chart in shown} == {section["uuid"] for section in state["compareRunSections"]}


def test_axes_are_logarithmic_where_the_search_is_and_parallel_ones_are_of_what_every_trial_has() -> None:
    state = opened(after({}, important=("optimizer", "dropout", "learning_rate", "layers")), views.TRIALS)
    (parallel,) = charts(state, "PARALLEL")
    assert parallel["selectedParams"] == ["layers", "optimizer"]
    assert parallel["selectedMetrics"] == ["log10/units", "log10/learning_rate", "objective"]
    assert [chart["xaxis"]["key"] for chart in charts(state, "SCATTER")] == [
        "layers",
        "log10/units",
        "optimizer",
        "log10/learning_rate",
        "dropout",
    ]
    (contour,) = charts(state, "CONTOUR")
    assert (contour["xaxis"], contour["yaxis"]) == ({"type": "METRIC", "key": "log10/learning_rate"}, {"type": "PARAM", "key": "layers"})


@pytest.mark.parametrize("maximize", [True, False])
def test_the_best_come_first(maximize: bool) -> None:
    tags = after({}, replace(SEARCHING, maximize=maximize))
    assert {opened(tags, key)["orderByAsc"] for key in NAMES} == {not maximize}


def test_nothing_changes_a_second_time() -> None:
    known = after({}, important=("units", "layers"))
    assert saved_views(SEARCHING, known, ("units", "layers"), 99) == {}
    assert saved_views(SEARCHING, known, (), 99) == {}  # at the begin of the next run nobody knows what is important


def test_a_change_keeps_when_a_view_was_made() -> None:
    known = after({}, now=5)
    changed = after(known, important=("units", "layers"), now=99)
    assert changed != known
    assert {views._opened(value)[1] for value in changed.values()} == {5}  # type: ignore[index]


def test_studies_of_several_spaces_are_drawn_together_in_any_order() -> None:
    other = replace(
        SEARCHING, identity="c3d4", searched=("layers", "l2"), numeric=("layers", "l2"), logarithmic=("l2",), conditional=(), metric="loss"
    )
    together = after(after({}), other)
    state = opened(together, views.TRIALS)
    (parallel,) = charts(state, "PARALLEL")
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (["layers"], ["objective"])  # what all trials of both have
    assert [chart["xaxis"]["key"] for chart in charts(state, "SCATTER")][-1] == "log10/l2"
    assert [chart["metricKey"] for chart in charts(state, "LINE")] == ["accuracy", "loss", "train_loss"]
    assert charts(opened(together, own_key("c3d4")), "LINE")[0]["metricKey"] == "loss"
    assert after(together) == together  # the first one again
    assert after(together, other) == together


def test_only_the_newest_studies_have_views_of_their_own() -> None:
    tags: dict[str, str] = {}
    for number in range(20):
        tags = after(tags, replace(SEARCHING, identity=f"{number:04}"), now=number)
    own = sorted(key for key in tags if key.startswith(f"{TAG}automl-study-"))
    assert own == [TAG + own_key(f"{number:04}") for number in range(8, 20)]


def test_studies_of_a_comparison_have_no_views_of_their_own_and_push_out_none() -> None:
    tags = after({})
    for number in range(21):
        tags = after(tags, replace(SEARCHING, identity=f"{number:04}", comparison="digits-compare"), now=10 + number)
    assert {key.removeprefix(TAG) for key in tags} == set(NAMES)


@pytest.mark.parametrize("broken", ["", "{}", "[1]", '{"name": "x", "createdAt": 1, "state": "no"}', '{"state": 3}'])
def test_what_somebody_else_wrote_under_our_name_is_replaced(broken: str) -> None:
    assert after({TAG + views.TRIALS: broken}) == after({})


def test_views_of_persons_stay() -> None:
    assert after({TAG + "mine": "x"})[TAG + "mine"] == "x"


def test_a_route_leads_to_a_view_in_the_pages_for_training() -> None:
    assert (
        route("7", views.TRIALS)
        == "#/experiments/7/runs?viewStateShareKey=automl-trials&compareRunsMode=CHART&workflowType=machine_learning"
    )
