"""Which parameters decided: the laws of ``importances`` on studies whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automl.draws import unit_at
from automl.events import Configuration
from automl.importances import FEWEST, Importance, importances, sentence
from automl.space import Categorical, Condition, Float, Int, SearchSpace
from automl.strategies import make_strategy
from automl.study import Study
from automl.trials import State
from contracts.studies import Play, bowl, make_study, many_sided_space, play, replayed, troubled

SPACE = SearchSpace((Float("strong", 1e-4, 1.0, log=True), Float("weak", 0.0, 1.0), Categorical("idle", ("a", "b", "c"))))


def _played(space: SearchSpace, value: Callable[[Configuration], float], trials: int = 60, maximize: bool = True) -> Study:
    study = make_study(space, maximize=maximize)
    return play(study, make_strategy("random", {}, space), value, trials).study


def _strong(configuration: Configuration) -> float:
    return -abs(SPACE.by_name["strong"].unit(configuration["strong"]) - 0.5)


@pytest.mark.parametrize("maximize", [True, False])
def test_the_parameter_that_decides_comes_first_and_clearly(maximize: bool) -> None:
    found = importances(_played(SPACE, lambda c: _strong(c) * (1 if maximize else -1), maximize=maximize))
    assert found.names[0] == "strong"
    assert found.parameters[0].is_clear
    assert found.parameters[0].share > 0.6
    assert sum(each.share for each in found.parameters) == pytest.approx(1.0)
    assert found.counted == 60
    assert len(found.best) == 6


def test_values_of_pure_chance_are_mostly_told_as_such() -> None:
    """By chance one of twenty parameters is called clear."""
    space = SearchSpace(tuple(Float(f"x{index}", 0.0, 1.0) for index in range(20)))
    study = make_study(space)
    numbers = iter(range(1_000))
    found = importances(play(study, make_strategy("random", {}, space), lambda c: unit_at("chance", next(numbers)), 80).study)
    assert sum(each.is_clear for each in found.parameters) <= 3


def test_a_parameter_that_decides_on_survival_matters_although_only_survivors_are_complete() -> None:
    study = make_study(SPACE, epochs=4)
    played = Play(study)
    strategy = make_strategy("random", {}, SPACE)
    for _ in range(60):
        (configuration,) = strategy.suggest(study, 1)
        survives = SPACE.by_name["strong"].unit(configuration["strong"]) > 0.8
        number = played.suggest(configuration)
        ends: State = "complete" if survives else ("pruned", "diverged", "failed")[number % 3]  # type: ignore[assignment]
        played.train(number, [unit_at("value", number)], ends)
    assert importances(study).names[0] == "strong"


def test_a_conditional_parameter_counts_where_it_is_active() -> None:
    space = SearchSpace(
        (Categorical("optimizer", ("adam", "sgd")), Float("momentum", 0.0, 1.0, when=(Condition("optimizer", "in", ("sgd",)),)))
    )
    found = importances(_played(space, lambda c: float(c.get("momentum", 0.0)), 80))  # type: ignore[arg-type]
    assert set(found.names) == {"optimizer", "momentum"}
    assert found.names[0] == "momentum"


def test_it_takes_trials_to_say_anything() -> None:
    found = importances(_played(SPACE, _strong, FEWEST - 1))
    assert found.parameters == ()
    assert found.why_none == "Importances take 10 trials that have ended, 5 of them complete; here 9 have ended, 9 complete."


def test_trials_that_are_all_the_same_say_nothing() -> None:
    found = importances(_played(SPACE, lambda c: 0.5))
    assert found.parameters == ()
    assert found.why_none == "So many trials are equally good that nothing sets the best apart."


def test_a_space_of_single_values_says_nothing() -> None:
    space = SearchSpace((Categorical("only", ("a",)), Float("x", 0.5, 0.5)))
    study = make_study(space)
    played = Play(study)
    for number in range(20):
        played.train(played.suggest({"only": "a", "x": 0.5}), [number / 20])
    found = importances(study)
    assert all(not each.is_clear for each in found.parameters)
    assert found.why_none == "No parameter has more than one value, or none sets the best trials apart."


def test_every_kind_of_trial_and_parameter_is_taken_and_a_replay_says_the_same() -> None:
    space = many_sided_space()
    study = make_study(space, epochs=3)
    played = troubled(study, make_strategy("random", {}, space), 80, 4)
    found = importances(study)
    assert set(found.names) <= set(space.by_name)
    assert found == importances(replayed(make_study(space, epochs=3), played.events))


def test_a_trial_outside_the_space_does_not_count() -> None:
    study = make_study(SPACE)
    played = Play(study)
    played.train(played.suggest({"strong": 50.0, "weak": 2.0, "idle": "z"}, "baseline"), [1.0])
    for number in range(20):
        configuration = SPACE.sample("x", number)
        played.train(played.suggest(configuration), [_strong(configuration)])
    found = importances(study)
    assert found.counted == 20
    assert 0 not in found.best


def test_a_large_study_is_sampled_and_its_best_is_kept() -> None:
    study = make_study(SPACE)
    played = Play(study)
    for number in range(1_500):
        configuration = SPACE.sample("x", number)
        played.train(played.suggest(configuration), [_strong(configuration)])
    found = importances(study)
    assert found.counted == 1_000
    assert study.best is not None
    assert study.best.number in found.best


def _study_of(space: SearchSpace, configurations: list[Configuration], best: int) -> Study:
    study = make_study(space)
    played = Play(study)
    for number, configuration in enumerate(configurations):
        played.train(played.suggest(configuration), [1.0 + number / 100 if number < best else number / 1000])
    return study


def test_sentences_say_where_the_best_lie() -> None:
    space = SearchSpace((Float("learning_rate", 1e-4, 1e-1, log=True), Categorical("optimizer", ("adam", "sgd")), Int("layers", 1, 4)))
    good = [{"learning_rate": 0.002 + 0.001 * n, "optimizer": "adam", "layers": 4} for n in range(5)]
    poor = [{"learning_rate": 0.03 + 0.001 * n, "optimizer": "sgd", "layers": 1 + n % 3} for n in range(15)]
    study = _study_of(space, [*good, *poor], 5)
    found = importances(study)
    words = {each.name: sentence(study, found, Importance(each.name, 0.4, True)) for each in found.parameters}
    assert words == {
        "learning_rate": "learning_rate (40%): the 5 best trials lie between 0.002 and 0.006, searched from 0.0001 to 0.1.",
        "optimizer": "optimizer (40%): 5 of the 5 best trials have adam, 25% of all.",
        "layers": "layers (40%): the 5 best trials lie at 4, searched from 1 to 4."
        " That is the upper end of its range; a wider one may do better.",
    }
    assert sentence(study, found, Importance("layers", 0.1, False)) == "layers (10%): no more than chance would give in so few trials."


def test_sentences_of_conditional_parameters_name_the_condition() -> None:
    when = (Condition("optimizer", "in", ("sgd",)),)
    space = SearchSpace((Categorical("optimizer", ("adam", "sgd")), Float("momentum", 0.0, 1.0, when=when)))
    good = [{"optimizer": "sgd", "momentum": 0.01 * n} for n in range(5)]
    poor = [{"optimizer": "adam"}] * 10
    study = _study_of(space, [*good, *poor], 5)
    found = importances(study)
    assert sentence(study, found, Importance("momentum", 0.5, True)) == (
        "momentum (50%) where optimizer is sgd: the 5 best trials lie between 0 and 0.04, searched from 0 to 1."
        " That is the lower end of its range; a wider one may do better."
    )
    study = _study_of(space, [{"optimizer": "adam"}] * 5 + [{"optimizer": "sgd", "momentum": 0.5}] * 10, 5)
    found = importances(study)
    assert sentence(study, found, Importance("momentum", 0.5, True)) == "momentum (50%): none of the 5 best trials has it."


def test_nothing_is_printed_or_warned(capfd: pytest.CaptureFixture[str]) -> None:
    importances(_played(many_sided_space(), bowl(many_sided_space()), 30))
    assert capfd.readouterr() == ("", "")
