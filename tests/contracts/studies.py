"""Studies for tests: made from a space, and played through events by simulated trials. Nothing trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import assume
from hypothesis import strategies as st

from automl.draws import unit_at
from automl.events import Configuration, Diverged, Failed, Finished, Reported, Started
from automl.expressions import Expression
from automl.space import Categorical, Condition, Float, Int, SearchSpace
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.strategies import Strategy
from automl.study import Study
from automl.trials import Event, Lost, Origin, Pruned, State, Suggested

METRIC = "score"
COST = Objective("cost", maximize=False)  # a second objective, known before training


def make_study(
    space: SearchSpace,
    *,
    seed: int = 0,
    maximize: bool = True,
    epochs: int = 1,
    replicates: int = 1,
    folds: int | None = None,
    further: tuple[Objective, ...] = (),
) -> Study:
    objective, settings, data = Objective(METRIC, maximize), StudySettings(seed=seed), DataSpec("nothing", folds=folds)
    spec = StudySpec("simulated", data, "mlp", objective, epochs, space, settings=settings, replicates=replicates, further=further)
    return Study("simulated", spec, objective)


def replayed(study: Study, events: Sequence[Event]) -> Study:
    """A new study of the same kind to which these events happened."""
    again = Study(study.identity, study.spec, study.objective)
    for event in events:
        again.apply(event)
    return again


class Play:
    """Brings about events in a study and remembers them. ``cost`` is the second objective, where there is one; else it is a draw."""

    def __init__(self, study: Study, cost: Callable[[Configuration], float] | None = None) -> None:
        self.study = study
        self._cost = cost
        self.events: list[Event] = []

    def apply(self, event: Event) -> None:
        self.events.append(event)
        self.study.apply(event)

    def suggest(self, configuration: Configuration, origin: Origin = "strategy") -> int:
        """A new trial. Returns its number."""
        number = len(self.study.trials)
        cost = unit_at("cost", number) if self._cost is None else self._cost(configuration)
        measures = {COST.metric: cost} if COST in self.study.objectives else {}
        self.apply(Suggested(self.study.key(number), 0.0, configuration, origin, measures=measures))
        return number

    def start(self, number: int, replicate: int = 0) -> None:
        self.apply(Started(self.study.key(number, replicate), 0.0, "cpu", "simulated"))

    def report(self, number: int, value: float, replicate: int = 0) -> None:
        key = self.study.key(number, replicate)
        self.apply(Reported(key, 0.0, self.study.training(key).epochs + 1, {METRIC: value}, 1.0))

    def end(self, number: int, state: State = "complete", replicate: int = 0) -> None:
        key = self.study.key(number, replicate)
        epochs = self.study.trials[number].epochs
        match state:
            case "complete":
                self.apply(Finished(key, 0.0))
            case "pruned":
                self.apply(Pruned(key, 0.0, epochs))
            case "diverged":
                self.apply(Diverged(key, 0.0, epochs + 1))
            case "failed":
                self.apply(Failed(key, 0.0, "error", "an error"))
            case "out_of_memory" | "timeout":
                self.apply(Failed(key, 0.0, state, ""))
            case "lost":
                self.apply(Lost(key, 0.0, "killed"))
                self.start(number)
                self.apply(Lost(key, 0.0, "killed"))
            case _:
                raise ValueError(state)

    def train(self, number: int, values: Sequence[float], state: State = "complete") -> None:
        """A whole trial: it starts, reports each value and ends."""
        self.start(number)
        for value in values:
            self.report(number, value)
        self.end(number, state)


def play(
    study: Study,
    strategy: Strategy,
    value: Callable[[Configuration], float],
    trials: int,
    parallel: int = 1,
    cost: Callable[[Configuration], float] | None = None,
) -> Play:
    """Search with simulated trials of one epoch, ``parallel`` at a time, until there are so many or the space is used up."""
    played = Play(study, cost)
    running: list[int] = []
    while len(study.trials) < trials:
        suggestions = strategy.suggest(study, min(parallel - len(running), trials - len(study.trials)))
        running += [played.suggest(configuration) for configuration in suggestions]
        if not running:
            break
        number = running.pop(0)
        played.train(number, [value(study.trials[number].configuration)])
    for number in running:
        played.train(number, [value(study.trials[number].configuration)])
    return played


def troubled(study: Study, strategy: Strategy, trials: int, parallel: int, before_each_ask: Callable[[Play], None] | None = None) -> Play:
    """A study with everything that happens to trials: they end out of order, some pruned, diverged, failed or lost."""
    played = Play(study)
    states: tuple[State, ...] = ("complete", "complete", "pruned", "diverged", "complete", "failed", "lost", "complete", "out_of_memory")
    running: list[int] = []
    while len(study.trials) < trials:
        if before_each_ask is not None:
            before_each_ask(played)
        suggestions = strategy.suggest(study, parallel - len(running))
        running += [played.suggest(configuration) for configuration in suggestions]
        if not running:
            break
        number = running.pop(int(unit_at("which ends", len(study.ended_order)) * len(running)))
        values = [unit_at("value", number, epoch) for epoch in range(1 + number % 3)]
        played.train(number, values, states[int(unit_at("how it ends", number) * len(states))])
    return played


def bowl(space: SearchSpace) -> Callable[[Configuration], float]:
    """A smooth function over the unit cube with its least value 0 at a point off the middle."""

    def value(configuration: Configuration) -> float:
        point = space.encode(configuration)
        return sum((unit - (0.3 + 0.4 * (index % 2))) ** 2 for index, unit in enumerate(point))

    return value


def many_sided_space() -> SearchSpace:
    """Every kind of parameter, conditions on two levels, a rule, and choices that are easily confused."""
    return SearchSpace(
        parameters=(
            Int("layers", 1, 3),
            Int("units_1", 16, 64, step=16),
            Int("units_2", 16, 64, step=16, when=(Condition("layers", ">=", (2,)),)),
            Categorical("optimizer", ("adam", "sgd", "rmsprop")),
            Float("learning_rate", 1e-4, 1e-1, log=True, grid=(1e-4, 1e-3, 1e-2, 1e-1)),
            Float("momentum", 0.0, 0.99, grid=(0.0, 0.9), when=(Condition("optimizer", "in", ("sgd", "rmsprop")),)),
            Categorical("nesterov", (True, 1, None), when=(Condition("optimizer", "in", ("sgd",)),)),
            Int("batch_size", 32, 96, log=True, step=32),
            Categorical("pooling", ("max",)),
        ),
        fixed={"schedule": "cosine"},
        forbid=(Expression.parse("layers == 3 and units_1 > 32"),),
    )


def cube(sides: int, values: int) -> SearchSpace:
    """``values ** sides`` configurations."""
    return SearchSpace(tuple(Int(f"x{side}", 0, values - 1) for side in range(sides)))


def continuous(sides: int) -> SearchSpace:
    return SearchSpace(tuple(Float(f"x{side}", 0.0, 1.0) for side in range(sides)))


@st.composite
def spaces(draw: st.DrawFn, *, finite: bool = False) -> SearchSpace:
    """Small spaces with conditions and rules, in which at least one configuration is allowed. Continuous parameters have grid points."""
    parameters: list[Float | Int | Categorical] = []
    for index in range(draw(st.integers(1, 4))):
        name = f"p{index}"
        parents = [parameter for parameter in parameters if not isinstance(parameter, Float)]
        when: tuple[Condition, ...] = ()
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            assert parent.points is not None
            when = (Condition(parent.name, "in", (draw(st.sampled_from(parent.points)),)),)
        kind = draw(st.sampled_from(("int", "categorical") if finite else ("int", "categorical", "float", "log")))
        match kind:
            case "int":
                low, step = draw(st.integers(0, 4)), draw(st.integers(1, 3))
                parameters.append(Int(name, low, low + step * draw(st.integers(0, 4)), step=step, when=when))
            case "categorical":
                choices = draw(st.sampled_from((("a", "b"), (1, 2, 4), (True, False), (None, "a", 0.5), (1, True, "1"), ("only",))))
                parameters.append(Categorical(name, choices, when=when))
            case "float":
                parameters.append(Float(name, -1.0, 1.0, grid=(-1.0, 0.0, 0.5), when=when))
            case _:
                parameters.append(Float(name, 1e-3, 1.0, log=True, grid=(1e-3, 1e-1), when=when))
    rules: list[Expression] = []
    numbers = [parameter.name for parameter in parameters if isinstance(parameter, Int)]
    for a, b in pairwise(numbers):
        if draw(st.booleans()):
            rules.append(Expression.parse(draw(st.sampled_from((f"{a} > {b}", f"{a} + {b} == 3", f"not {a} <= {b} + 1")))))
    space = SearchSpace(tuple(parameters), forbid=tuple(rules))
    assume(any(space.grid()))
    return space
