"""Driving studies without training: a study over a small space, a simulated trainer, the real driver and the real store."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from automl.driver import Session, WhyRested, drive
from automl.engines import Engine
from automl.engines.inline import InlineEngine
from automl.events import Configuration, Job, Slot
from automl.pruners import make_pruner
from automl.space import Categorical, Condition, Float, Int, SearchSpace
from automl.spacefile import to_dict
from automl.spec import DataSpec, Objective, StudySettings, StudySpec
from automl.store import Store
from automl.strategies import make_strategy
from automl.study import Study
from automl.training.simulated import Rehearsal
from automl.trials import Created, Rested, Resumed, Trial

SPACE = SearchSpace(
    (
        Categorical("optimizer", ("adam", "sgd")),
        Float("learning_rate", 1e-4, 1e-1, log=True, grid=(1e-4, 1e-3, 1e-2, 1e-1)),
        Float("momentum", 0.0, 0.9, grid=(0.0, 0.9), when=(Condition("optimizer", "in", ("sgd",)),)),
        Int("layers", 1, 3),
    )
)
BASELINE: Configuration = {"optimizer": "adam", "learning_rate": 0.001, "layers": 2, "l2": 0.0}


@dataclass(frozen=True)
class Rehearsed:
    """A study that is driven with a simulated trainer, again and again into the same folder."""

    folder: Path
    trials: int = 12
    strategy: str = "random"
    pruner: str = "none"
    epochs: int = 6
    seed: int = 0
    maximize: bool = True
    baseline: Configuration | None = field(default_factory=lambda: dict(BASELINE))
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    replicates: int = 1

    @property
    def spec(self) -> StudySpec:
        settings = StudySettings(strategy=self.strategy, pruner=self.pruner, trials=self.trials, seed=self.seed)
        return StudySpec(
            "rehearsed",
            DataSpec("digits"),
            "mlp",
            self.objective,
            self.epochs,
            SPACE,
            baseline=self.baseline,
            settings=settings,
            replicates=self.replicates,
        )

    @property
    def objective(self) -> Objective:
        return Objective("accuracy", True) if self.maximize else Objective("loss", False)

    def open(self) -> Store:
        """The study's store, new or to go on with."""
        if (self.folder / "study.db").exists():
            return Store.open(self.folder)
        created = Created(time.time(), f"id-{self.folder.name}", to_dict(self.spec), self.objective.metric, self.maximize, "", "test")
        return Store.create(self.folder, created)

    def session(self, store: Store) -> Session:
        """A session that a driver can drive; begins like a run does."""
        study = store.study()
        job = Job(study.identity, "mlp", "", str(self.folder), self.objective.metric, self.maximize, ("loss", "accuracy"))
        strategy = make_strategy(self.strategy, {}, study.space)
        session = Session(study, store, strategy, make_pruner(self.pruner, {}, self.epochs), job)
        session.record([Resumed(time.time(), self.trials)])
        if not study.trials and study.spec.baseline is not None:
            session.suggest([study.spec.baseline], "baseline")
        return session

    def engine(self) -> Engine:
        """One worker in this process."""
        return InlineEngine(Slot(0, "cpu", 1, "cpu"), self.rehearsal)

    def drive(self, engine: Engine | None = None, stop_after: int | None = None) -> tuple[Study, WhyRested]:
        """Drive to the end, or until ``stop_after`` looks at the interrupt."""
        looks = 0

        def is_interrupted() -> bool:
            nonlocal looks
            looks += 1
            return stop_after is not None and looks > stop_after

        with self.open() as store:
            session = self.session(store)
            why = drive(engine or self.engine(), [session], is_interrupted)
            session.record([Rested(time.time(), why, 0.0)])
            return session.study, why

    def but(self, **changes: object) -> Rehearsed:
        """The same with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]


def numbers(study: Study) -> list[object]:
    """Everything of a study that is not a time, a name or a place."""
    return [
        (trial.number, dict(trial.configuration), trial.origin, trial.state, curve(trial), trial.objective, [*map(curve, trial.replicates)])
        for trial in study.trials
    ]


def curve(trial: Trial) -> list[tuple[int, float]]:
    """Its learning curve."""
    return [(report.epoch, report.value) for report in trial.reports]
