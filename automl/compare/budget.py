"""What each study of a comparison may spend: trials, epochs or seconds, the same for all."""

from __future__ import annotations

from dataclasses import dataclass

from automl.shorthand import format_duration
from automl.study import Study

MOST_TRIALS = 100_000  # of a study whose only budget is time


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of each study; None where that is no limit, and at least one is.

    ``epochs`` counts those of all trials, pruned and broken ones included. ``seconds`` are device seconds and the seconds that the strategy
    took to think: studies are interleaved, so that the clock on the wall says nothing of one of them.
    """

    trials: int | None = None
    epochs: int | None = None
    seconds: float | None = None

    @property
    def most_trials(self) -> int:
        """The number of trials that no study exceeds."""
        return min(value for value in (self.trials, self.epochs, MOST_TRIALS) if value is not None)

    @property
    def has_other_limits(self) -> bool:
        """Whether a study may end in the middle of a trial."""
        return self.epochs is not None or self.seconds is not None

    @property
    def words(self) -> str:
        """``40 trials``, ``800 epochs``, ``10m``, or several of them."""
        parts = [f"{self.trials} trials"] if self.trials is not None else []
        parts += [f"{self.epochs} epochs"] if self.epochs is not None else []
        parts += [format_duration(self.seconds)] if self.seconds is not None else []
        return " or ".join(parts)

    def covers(self, other: Budget) -> bool:
        """Whether this is the other one or more of the same kind."""
        pairs = ((self.trials, other.trials), (self.epochs, other.epochs), (self.seconds, other.seconds))
        return all((mine is None) == (theirs is None) and (mine or 0) >= (theirs or 0) for mine, theirs in pairs)


class Spending:
    """What one study has spent so far. The sums over its ended trials are kept, which never change."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._counted = 0
        self._epochs = 0
        self._seconds = 0.0
        self._ask_seconds = 0.0
        self._asked = 0

    def is_spent(self, study: Study) -> bool:
        """Whether a budget other than the number of trials is used up."""
        if not self._budget.has_other_limits:
            return False
        for number in study.ended_order[self._counted :]:
            self._epochs += study.trials[number].epochs_trained
            self._seconds += study.trials[number].seconds
        self._counted = len(study.ended_order)
        self._ask_seconds += sum(trial.ask_seconds for trial in study.trials[self._asked :])
        self._asked = len(study.trials)
        under_way = [study.trials[number] for number in study.unended]
        epochs = self._epochs + sum(trial.epochs_trained for trial in under_way)
        seconds = self._seconds + self._ask_seconds + sum(trial.seconds for trial in under_way)
        return (self._budget.epochs is not None and epochs >= self._budget.epochs) or (
            self._budget.seconds is not None and seconds >= self._budget.seconds
        )
