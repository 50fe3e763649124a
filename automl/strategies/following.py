"""Strategies that keep what they need of a study between questions, as a function of its events."""

from __future__ import annotations

from abc import ABC, abstractmethod

from automl.events import Configuration
from automl.strategies.unvisited import Visited, one_by_one
from automl.study import Study
from automl.trials import Trial


class Follower(ABC):
    """A strategy that takes in each trial of a study once, in the order of their numbers, and each trial that has ended once.

    What a follower holds may depend on which trials were taken, which have ended and in which order they ended, never on how takes and ends
    were interleaved: then a follower that begins with a replayed study holds the same as one that saw it grow. Suggestions can be taken
    in before they are trials; where the study then goes another way, the follower begins anew.
    """

    def __init__(self) -> None:
        self._study: Study | None = None
        self._taken = 0
        self._ended = 0
        self._foreseen: dict[int, Configuration] = {}

    def suggest(self, study: Study, count: int) -> list[Configuration]:
        """As ``Strategy`` says. What was suggested is taken in at once, so that a batch is what the same number of questions gives."""
        self._follow(study)

        def draw(number: int, visited: Visited) -> Configuration | None:
            configuration = self._next(study, number, visited)
            if configuration is not None:
                self._foresee(number, configuration)
            return configuration

        return one_by_one(study, count, draw)

    def _follow(self, study: Study) -> None:
        """Take in what is new in this study."""
        if study is not self._study or not self._came_true(study):
            self._begin_again(study)
        for trial in study.trials[self._taken :]:
            self._take(trial.number, trial.configuration, trial.in_space)
        self._taken = len(study.trials)
        for number in study.ended_order[self._ended :]:
            self._end(study.trials[number])
        self._ended = len(study.ended_order)

    def _foresee(self, number: int, configuration: Configuration) -> None:
        """Take in a suggestion, which is expected to become trial ``number`` (the next one that was not taken)."""
        self._foreseen[number] = configuration
        self._take(number, configuration, True)
        self._taken = number + 1

    def _came_true(self, study: Study) -> bool:
        """Whether the suggestions that were taken in are the study's trials now."""
        if self._taken > len(study.trials):
            return False
        came_true = all(
            study.trials[number].in_space and dict(study.trials[number].configuration) == dict(configuration)
            for number, configuration in self._foreseen.items()
        )
        self._foreseen.clear()
        return came_true

    def _begin_again(self, study: Study) -> None:
        self._study = study
        self._taken = self._ended = 0
        self._foreseen.clear()
        self._reset(study)

    @abstractmethod
    def _next(self, study: Study, number: int, visited: Visited) -> Configuration | None:
        """The configuration for trial ``number``, an allowed one that was not visited; None: there is none."""

    @abstractmethod
    def _reset(self, study: Study) -> None:
        """Forget everything, and be ready for the trials of this study."""

    @abstractmethod
    def _take(self, number: int, configuration: Configuration, in_space: bool) -> None:
        """A trial of the study, whatever its state."""

    @abstractmethod
    def _end(self, trial: Trial) -> None:
        """A trial that was taken has ended."""
