"""The laws that every strategy keeps. A strategy's tests inherit ``StrategyContract`` and give its name and options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from automl.errors import UsageError
from automl.events import Value
from automl.expressions import Expression
from automl.space import Categorical, ConfigurationKey, Float, Int, SearchSpace
from automl.spec import Objective
from automl.strategies import Strategy, check_strategy, make_strategy
from automl.study import Study
from automl.trials import Trial
from contracts.studies import COST, Play, bowl, continuous, cube, make_study, many_sided_space, play, replayed, spaces, troubled

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

_IN_ANOTHER_PROCESS = """
import json, sys
from contracts.strategy import study_from_words
from automl.strategies import make_strategy
words = json.load(sys.stdin)
study = study_from_words(words["trials"])
strategy = make_strategy(words["name"], words["options"], study.space)
print(json.dumps([dict(each) for each in strategy.suggest(study, 4)]))
"""


class StrategyContract:
    name: ClassVar[str]
    options: ClassVar[Mapping[str, Value]] = {}
    repeats_lost: ClassVar[bool] = False  # a configuration whose trial was lost may be suggested once more
    takes_several: ClassVar[bool] = True  # objectives

    def make(self, space: SearchSpace, objectives: int = 1) -> Strategy:
        return make_strategy(self.name, self.options, space, objectives)

    def suits(self, space: SearchSpace) -> bool:
        """Whether the strategy takes this space: what it says of others is read in a test of its own."""
        try:
            check_strategy(self.name, self.options, space)
        except UsageError:
            return False
        return True

    def assert_new_and_allowed(self, study: Study) -> None:
        """What a strategy suggested lies in the space and repeats nothing."""
        earlier: dict[ConfigurationKey, list[Trial]] = {}
        for trial in study.trials:
            same = earlier.setdefault(study.space.key(trial.configuration), [])
            if trial.origin == "strategy":
                assert study.space.contains(trial.configuration)
                assert not same or (self.repeats_lost and [each.state for each in same] == ["lost"])
            same.append(trial)

    @QUICK
    @given(spaces(), st.integers(0, 3), st.integers(1, 5))
    def test_every_suggestion_lies_in_the_space_and_is_new(self, space: SearchSpace, seed: int, parallel: int) -> None:
        assume(self.suits(space))
        study = make_study(space, seed=seed)
        troubled(study, self.make(space), 25, parallel)
        self.assert_new_and_allowed(study)

    @QUICK
    @given(spaces(finite=True), st.integers(1, 7))
    def test_a_finite_space_is_visited_whole_and_then_there_is_nothing_more(self, space: SearchSpace, parallel: int) -> None:
        assume(self.suits(space))
        study = make_study(space)
        strategy = self.make(space)
        play(study, strategy, lambda configuration: 0.5, trials=10_000, parallel=parallel)
        everything = {space.key(configuration) for configuration in space.every()}
        assert len(study.trials) == len(everything)
        assert {space.key(trial.configuration) for trial in study.trials} == everything
        assert strategy.suggest(study, 3) == []

    def test_64_configurations_asked_64_times_are_64_different_ones(self) -> None:
        space = cube(3, 4)
        study = make_study(space)
        play(study, self.make(space), bowl(space), trials=64)
        assert len({space.key(trial.configuration) for trial in study.trials}) == 64

    def test_64_pending_of_64_configurations_are_64_different_ones(self) -> None:
        space = cube(3, 4)
        study = make_study(space)
        played = play(study, self.make(space), bowl(space), trials=12)
        for configuration in self.make(space).suggest(study, 100):
            played.suggest(configuration)
        assert len(study.trials) == 64
        assert len({space.key(trial.configuration) for trial in study.trials}) == 64

    def test_asking_for_more_than_there_is_gives_what_there_is(self) -> None:
        space = cube(2, 3)
        assert len(self.make(space).suggest(make_study(space), 50)) == 9

    def test_the_one_configuration_that_rules_leave_is_found_and_nothing_after_it(self) -> None:
        space = SearchSpace(
            tuple(Int(f"x{side}", 0, 9) for side in range(4)),
            forbid=(Expression.parse("x0 != 3"), Expression.parse("x1 != 1"), Expression.parse("x2 != 4 or x3 != 1")),
        )
        study = make_study(space)
        suggestions = self.make(space).suggest(study, 3)
        assert [dict(each) for each in suggestions] == [{"x0": 3, "x1": 1, "x2": 4, "x3": 1}]

    def test_a_space_that_rules_leave_nothing_of_gives_nothing(self) -> None:
        space = SearchSpace((Int("x", 0, 9), Categorical("y", ("a", "b"))), forbid=(Expression.parse("x >= 0"),))
        assert self.make(space).suggest(make_study(space), 3) == []

    def test_a_space_without_parameters_has_one_configuration(self) -> None:
        space = SearchSpace((), fixed={"learning_rate": 0.1})
        study = make_study(space)
        play(study, self.make(space), lambda configuration: 0.0, trials=5)
        assert [trial.configuration for trial in study.trials] == [{}]

    def test_a_batch_is_the_same_as_the_same_number_asked_one_by_one(self) -> None:
        """The later suggestions of one call see the earlier ones as pending."""
        space = many_sided_space()
        study = make_study(space)
        played = troubled(study, self.make(space), 20, 3)
        batch = self.make(space).suggest(replayed(study, played.events), 6)
        strategy, one_by_one = self.make(space), []
        for _ in range(6):
            (configuration,) = strategy.suggest(study, 1)
            played.suggest(configuration)
            one_by_one.append(configuration)
        assert batch == one_by_one

    def test_asking_twice_without_taking_the_first_answer_gives_the_same(self) -> None:
        space = many_sided_space()
        study = make_study(space)
        strategy = self.make(space)
        troubled(study, strategy, 20, 3)
        assert strategy.suggest(study, 4) == strategy.suggest(study, 4)

    @pytest.mark.parametrize("parallel", [1, 4])
    def test_a_restart_before_any_suggestion_changes_none_of_them(self, parallel: int) -> None:
        """A strategy that begins with the replayed events suggests what the uninterrupted one does."""
        space = many_sided_space()
        study = make_study(space, seed=3)
        strategy = self.make(space)

        def compare(played: Play) -> None:
            if len(played.events) % 3:
                return
            again = replayed(study, played.events)
            assert self.make(space).suggest(again, 2) == strategy.suggest(study, 2)

        troubled(study, strategy, 36, parallel, before_each_ask=compare)

    def test_another_process_suggests_the_same(self) -> None:
        study = make_study(many_sided_space(), seed=5)
        strategy = self.make(study.space)
        troubled(study, strategy, 30, 4)
        words = json.dumps({"name": self.name, "options": dict(self.options), "trials": words_of(study)})
        tests = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "17"}
        answer = subprocess.run(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS], input=words, env=environment, capture_output=True, text=True, check=True
        )
        here = self.make(study.space).suggest(study_from_words(words_of(study)), 4)
        assert json.loads(answer.stdout) == [dict(each) for each in here]
        assert here == strategy.suggest(study, 4)

    def test_64_pending_trials_are_64_different_ones_that_spread(self) -> None:
        space = continuous(2) if self.name != "grid" else cube(2, 16)
        study = make_study(space, maximize=False)
        strategy = self.make(space)
        played = play(study, strategy, bowl(space), trials=20)
        for configuration in strategy.suggest(study, 64):
            played.suggest(configuration)
        self.assert_new_and_allowed(study)
        batch = [space.encode(trial.configuration) for trial in study.trials[20:]]
        assert len({(int(4 * x), int(4 * y)) for x, y in batch}) >= 8, "of the 16 quarters by quarters at least half are tried"

    def test_different_seeds_search_differently(self) -> None:
        space = many_sided_space()
        searches = []
        for seed in range(4):
            study = make_study(space, seed=seed)
            troubled(study, self.make(space), 15, 1)
            searches.append([space.key(trial.configuration) for trial in study.trials])
        assert all(searches[i] != searches[j] for i in range(4) for j in range(i))

    def test_a_baseline_outside_of_the_space_is_tolerated(self) -> None:
        space = many_sided_space()
        study = make_study(space)
        played = Play(study)
        number = played.suggest({"layers": 7, "learning_rate": 3.0, "something": "else", "optimizer": "lion"}, "baseline")
        played.train(number, [0.9])
        play(study, self.make(space), bowl(space), trials=20)
        self.assert_new_and_allowed(study)
        assert len(study.trials) == 20

    def test_enqueued_configurations_may_repeat_and_are_not_suggested_again(self) -> None:
        space = cube(2, 3)
        study = make_study(space)
        played = Play(study)
        for _ in range(3):
            played.train(played.suggest({"x0": 1, "x1": 1}, "enqueued"), [0.5])
        play(study, self.make(space), bowl(space), trials=40)
        assert len(study.trials) == 3 + 8
        self.assert_new_and_allowed(study)

    def test_trials_that_come_between_question_and_answer_are_not_repeated(self) -> None:
        """The suggestions that were foreseen did not become the next trials."""
        space = cube(2, 4)
        study = make_study(space)
        strategy = self.make(space)
        played = Play(study)
        first, second = strategy.suggest(study, 2)
        played.train(played.suggest(second, "enqueued"), [0.2])
        play(study, strategy, bowl(space), trials=40)
        assert len(study.trials) == 16
        assert space.key(first) in {space.key(trial.configuration) for trial in study.trials}
        self.assert_new_and_allowed(study)

    def test_one_strategy_can_be_asked_about_two_studies(self) -> None:
        space = cube(2, 4)
        strategy = self.make(space)
        studies = [make_study(space, seed=seed) for seed in (0, 1)]
        for _ in range(16):
            for study in studies:
                (configuration,) = strategy.suggest(study, 1)
                played = Play(study)
                played.train(played.suggest(configuration), [0.5])
        for study in studies:
            self.assert_new_and_allowed(study)

    def test_every_kind_of_value_comes_as_it_is_written(self) -> None:
        """1, 1.0 and true are different choices; whole numbers stay whole."""
        choices = (True, 1, "1", None)
        space = SearchSpace((Categorical("c", choices), Int("i", 1, 4), Float("f", 0.0, 1.0, grid=(0.25, 0.75))))
        study = make_study(space)
        play(study, self.make(space), bowl(space), trials=24)
        seen = {repr(trial.configuration["c"]) for trial in study.trials}
        assert seen == {repr(choice) for choice in choices}
        assert all(type(trial.configuration["i"]) is int and type(trial.configuration["f"]) is float for trial in study.trials)

    # -- several objectives -------------------------------------------------------------------------------------------

    def study_of_two(self, space: SearchSpace, seed: int = 0) -> Study:
        if not self.takes_several:
            pytest.skip(f"{self.name} searches for one objective; that it says so is read in a test of its own")
        return make_study(space, seed=seed, further=(COST,))

    def test_with_two_objectives_a_restart_changes_no_suggestion(self) -> None:
        space = many_sided_space()
        study = self.study_of_two(space, seed=3)
        strategy = self.make(space, 2)

        def compare(played: Play) -> None:
            if len(played.events) % 3 == 0:
                again = replayed(study, played.events)
                assert self.make(space, 2).suggest(again, 2) == strategy.suggest(study, 2)

        troubled(study, strategy, 36, 4, before_each_ask=compare)
        self.assert_new_and_allowed(study)

    def test_with_two_objectives_a_batch_is_the_same_as_one_by_one(self) -> None:
        space = many_sided_space()
        study = self.study_of_two(space)
        played = troubled(study, self.make(space, 2), 30, 3)
        batch = self.make(space, 2).suggest(replayed(study, played.events), 5)
        strategy, one_by_one = self.make(space, 2), []
        for _ in range(5):
            (configuration,) = strategy.suggest(study, 1)
            played.suggest(configuration)
            one_by_one.append(configuration)
        assert batch == one_by_one

    def test_with_two_objectives_a_finite_space_is_visited_whole(self) -> None:
        space = cube(3, 4)
        study = self.study_of_two(space)
        strategy = self.make(space, 2)
        play(study, strategy, bowl(space), trials=100, parallel=5, cost=lambda configuration: -bowl(space)(configuration))
        assert len({space.key(trial.configuration) for trial in study.trials}) == len(study.trials) == 64
        assert strategy.suggest(study, 1) == []

    def test_where_no_trial_has_the_second_objective_it_goes_on(self) -> None:
        """It was never reported."""
        space = many_sided_space()
        if self.takes_several:
            study = make_study(space, further=(Objective("never", maximize=True),))
            play(study, self.make(space, 2), bowl(space), trials=30, parallel=2)
            assert len(study.trials) == 30
            self.assert_new_and_allowed(study)


def words_of(study: Study) -> list[dict[str, Any]]:
    """The trials as plain data, with the order in which they ended."""
    order = {number: position for position, number in enumerate(study.ended_order)}
    return [
        {
            "configuration": dict(trial.configuration),
            "state": trial.state,
            "values": [report.value for report in trial.reports],
            "ended": order.get(trial.number),
        }
        for trial in study.trials
    ]


def study_from_words(words: list[dict[str, Any]]) -> Study:
    """The study over ``many_sided_space`` with seed 5 whose trials these are."""
    study = make_study(many_sided_space(), seed=5)
    played = Play(study)
    for word in words:
        played.suggest(word["configuration"])
    ended = sorted((word["ended"], number) for number, word in enumerate(words) if word["ended"] is not None)
    for _, number in ended:
        played.train(number, words[number]["values"], words[number]["state"])
    return study
