"""Figures of a study: each is there when there is something to show, whatever happened, and stays small."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.draws import unit_at
from automl.events import Finished, Reported, Started
from automl.page.figures import all_figures
from automl.page.palette import DARK
from automl.page.progress import best_so_far, by_epochs, by_trials, objective_range, sampled
from automl.space import Categorical, Float, Int, SearchSpace
from automl.spec import Objective
from automl.strategies import make_strategy
from automl.study import Study
from automl.trials import Suggested
from contracts.studies import Play, bowl, make_study, many_sided_space, play, troubled

ALL = ["best-by-trials", "best-by-epochs", "best-by-seconds", "learning-curves", "importances", "parallel-coordinates"]


def _troubled(trials: int = 60) -> Study:
    study = make_study(many_sided_space(), epochs=3)
    return troubled(study, make_strategy("random", {}, study.space), trials, 4).study


def _large(trials: int, epochs: int = 3) -> Study:
    space = SearchSpace(
        (*(Float(f"x{n}", 1e-4, 1.0, log=n % 2 == 0) for n in range(8)), Int("layers", 1, 4), Categorical("kind", ("a", "b")))
    )
    study = make_study(space, epochs=epochs)
    played = Play(study)
    for number in range(trials):
        length = 1 + number % epochs
        values = [unit_at("value", number, epoch) for epoch in range(length)]
        played.train(played.suggest(space.sample("large", number)), values, "complete" if length == epochs else "pruned")
    return study


def test_a_study_with_everything_has_every_figure_with_words_for_those_who_cannot_see_it() -> None:
    figures = all_figures(_troubled())
    names = [figure.name for figure in figures]
    assert names[:6] == ALL
    assert len([name for name in names if name.startswith("slice-")]) == 6
    assert names[-3:] == ["contour", "timeline", "epochs-saved"]
    assert len(set(names)) == len(names)
    for figure in figures:
        assert figure.alternative or figure.caption, figure.name
        json.loads(figure.figure.to_json())


def test_every_colour_in_a_figure_is_of_the_palette_and_so_has_a_dark_counterpart() -> None:
    import re

    for figure in all_figures(_troubled()):
        assert {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}", figure.figure.to_json())} <= set(DARK), figure.name


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("state", ["complete", "pruned", "failed", "diverged", "lost"])
def test_a_study_of_hardly_any_trials_shows_what_it_has(count: int, state: str) -> None:
    study = make_study(many_sided_space(), epochs=3)
    played = Play(study)
    for number in range(count):
        played.train(played.suggest(study.space.sample("few", number)), [0.5] * 3 if state == "complete" else [], state)  # type: ignore[arg-type]
    names = [figure.name for figure in all_figures(study)]
    assert names == [] if count == 0 else "timeline" in names
    assert ("learning-curves" in names) == (count > 0 and state == "complete")


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1_000), trials=st.integers(0, 25), maximize=st.booleans())
def test_figures_can_be_made_of_every_prefix(seed: int, trials: int, maximize: bool) -> None:
    study = make_study(many_sided_space(), epochs=3, seed=seed, maximize=maximize)
    troubled(study, make_strategy("random", {}, study.space), trials, 3)
    for figure in all_figures(study):
        json.loads(figure.figure.to_json())


def test_the_best_so_far_only_gets_better_and_ends_at_the_best() -> None:
    study = _large(50)
    for along in (by_trials(study), by_epochs(study)):
        line = next(trace for trace in best_so_far(study, along).data if trace.name == "best so far")
        assert list(line.y) == sorted(line.y)
        assert list(line.x) == sorted(line.x)
        assert study.best is not None
        assert line.y[-1] == study.best.objective
        assert line.x[-1] == along.places[-1]


def test_of_many_trials_the_best_and_the_baseline_are_always_shown_and_it_is_said() -> None:
    study = make_study(SearchSpace((Float("x", 0.0, 1.0),)))
    played = Play(study)
    played.train(played.suggest({"x": 0.5}, "baseline"), [0.0])
    for number in range(5_000):
        played.train(played.suggest({"x": unit_at("x", number)}), [unit_at("value", number)])
    kept = sampled(study, range(5_001))
    assert len(kept) == 2_000
    assert {0, *(trial.number for trial in study.ranked()[:100])} <= kept
    captions = {figure.name: figure.caption for figure in all_figures(study)}
    assert "Of 5,001 trials 2,000 are shown: the best and an even sample of the others." in captions["best-by-trials"]
    assert "Of 5,001 trials 600 are shown: the best and an even sample of the others." in captions["slice-x"]


def test_the_figures_of_a_large_study_stay_small() -> None:
    sizes = {figure.name: len(figure.figure.to_json()) for figure in all_figures(_large(2_100))}
    assert sum(sizes.values()) < 2_000_000, sizes


def test_what_is_shown_of_the_objective_holds_the_best_and_the_baseline_and_leaves_outliers_out() -> None:
    study = make_study(SearchSpace((Float("x", 0.0, 1.0),)), maximize=False)
    played = Play(study)
    played.train(played.suggest({"x": 0.5}, "baseline"), [2.0])
    for number in range(20):
        played.train(played.suggest({"x": number / 20}), [1.0 + number / 100])
    played.train(played.suggest({"x": 0.99}), [1e6])
    shown = objective_range(study)
    assert shown is not None
    assert shown[0] < 1.0
    assert 2.0 < shown[1] < 10.0
    (caption,) = (figure.caption for figure in all_figures(study) if figure.name == "best-by-trials")
    assert caption == "1 trial lies outside of what is shown; a double click on the figure shows all."


def test_slices_are_drawn_for_a_study_of_one_parameter() -> None:
    space = SearchSpace((Float("x", 0.0, 1.0),))
    study = make_study(space)
    names = [figure.name for figure in all_figures(play(study, make_strategy("random", {}, space), bowl(space), 20).study)]
    assert names == ["best-by-trials", "best-by-epochs", "best-by-seconds", "importances", "parallel-coordinates", "slice-x", "timeline"]


def test_the_pareto_front_is_shown_whole_and_in_order() -> None:
    space = SearchSpace((Float("x", 0.0, 1.0),))
    study = make_study(space, further=(Objective("parameters", False),))
    played = Play(study)
    for number in range(30):
        x = unit_at("x", number)
        key = study.key(number)
        played.apply(Suggested(key, 0.0, {"x": x}, "strategy", measures={"parameters": 10 + 1e4 * x**2}))
        played.apply(Started(key, 0.0, "cpu", "worker"))
        played.apply(Reported(key, 0.0, 1, {"score": x + 0.3 * unit_at("noise", number), "parameters": 10 + 1e4 * x**2}, 1.0))
        played.apply(Finished(key, 0.0))
    (figure,) = (each for each in all_figures(study) if each.name == "front-parameters")
    (line,) = (trace for trace in figure.figure.data if trace.name == "Pareto front")
    assert {row[0] for row in line.customdata} == {trial.number for trial in study.front}
    assert list(line.x) == sorted(line.x)
    assert list(line.y) == sorted(line.y)
    assert figure.figure.layout.xaxis.type == "log"
    assert "The Pareto front of score and parameters has" in figure.alternative
