"""The specification of a study: what is searched, on which data, for which objective, with which budget. Frozen values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from automl import families
from automl.events import Checkpoint, Code, Configuration, Value
from automl.space import SearchSpace


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where the samples come from and how they are split.

    ``source`` is a built-in name or a path; empty where code of a person's own has its own data. ``test`` and ``validation`` are shares of
    the data in (0, 1); ``test`` may also be the path of a file. With ``folds`` (at least 2) there is no one validation split: what is not
    for test is cut into so many parts, and each of them is the validation split of one fold, whose training split are the others.
    ``positive`` lists the classes that count as positive, which makes the task binary. ``split_seed`` fixes the splits and is apart from
    the study's seed, so that studies with other seeds see the same splits. The last fields are those of ``automl.dataoptions``.
    """

    source: str
    target: str | None = None
    drop: tuple[str, ...] = ()
    test: str | float | None = None
    validation: float | None = None
    positive: tuple[str | int | float | bool, ...] = ()
    split_seed: int = 0
    folds: int | None = None
    task: str | None = None
    text: str | None = None
    image: str | None = None
    size: int | None = None
    series: str | None = None
    timestamp: str | None = None
    horizon: int | None = None
    window: int | None = None
    rows: int | None = None
    vocabulary: int | None = None
    length: int | None = None
    bins: int | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric of the validation split that is searched for, or a measure of the network; and whether more of it is better."""

    metric: str
    maximize: bool

    def __str__(self) -> str:
        """As a space file says it: ``maximize accuracy``."""
        return f"{'maximize' if self.maximize else 'minimize'} {self.metric}"

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``."""
        return a > b if self.maximize else a < b

    def loss(self, value: float) -> float:
        """The value with its sign turned, where needed, so that less is better."""
        return -value if self.maximize else value


@dataclass(frozen=True, slots=True)
class StudySettings:
    """How the space is searched: the ``study`` section of a file, each with a flag of the command line.

    ``strategy`` and ``pruner`` are names, with their options in ``strategy_options`` and ``pruner_options``. ``trials`` and
    ``time_seconds`` are totals for the study, ``trial_seconds`` is the most that one training of a trial may take. ``confirm``: so many of
    the best trials are trained again on fresh seeds; None: as many as a small share of the budget allows.
    """

    strategy: str = "bayesian"
    strategy_options: Mapping[str, Value] = field(default_factory=dict)
    pruner: str = "asha"
    pruner_options: Mapping[str, Value] = field(default_factory=dict)
    trials: int = 50
    time_seconds: float | None = None
    trial_seconds: float | None = None
    seed: int = 0
    confirm: int | None = None


@dataclass(frozen=True, slots=True)
class StudySpec:
    """A search-space file, read and checked. ``objective`` is None until the task is known from the data.

    ``model`` is what is trained: a family, or with ``code`` the person's own ``module:name`` or command. ``notes``: what a person should
    know before it runs.
    ``further`` objectives stand beside it where there are several: the first one chooses the epoch of a trial, its winner and what is
    pruned; the others are measured at that epoch, or are measures of the network.
    ``checkpoint`` is what the family ``finetune`` begins from.
    ``source`` is the path of the file and ``text`` its content, both as they were read. ``baseline`` may lie outside the space.
    ``replicates``: a trial is trained so often (each time in every fold, where there are some), with other draws each time; its objective
    is the mean.
    """

    name: str
    data: DataSpec
    model: str
    objective: Objective | None
    epochs: int
    space: SearchSpace
    baseline: Configuration | None = None
    settings: StudySettings = field(default_factory=StudySettings)
    source: str = ""
    text: str = ""
    replicates: int = 1
    further: tuple[Objective, ...] = ()
    code: Code | None = None
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All of them, the first one first; empty until it is known."""
        return () if self.objective is None else (self.objective, *self.further)

    @property
    def trainings(self) -> int:
        """Of how many trainings a trial consists: replicates times folds. They are numbered fold after fold, replicate after replicate."""
        return self.replicates * (self.data.folds or 1)

    @property
    def family(self) -> families.Family:
        """Which parameters the model and its training take."""
        if self.code is None:
            return families.family_of(self.model)
        return families.own_family(self.model, self.code.takes, trains_itself=self.trains_itself)

    @property
    def trains_itself(self) -> bool:
        """Whether the training is a person's own, of which nothing is known but what it reports."""
        return self.code is not None and self.code.kind != "factory"

    @property
    def title(self) -> str:
        """The space, and what is trained, on what: ``mnist_cnn (cnn) on mnist``."""
        return f"{self.name} ({self.model}) on {self.data.source}" if self.data.source else f"{self.name} ({self.model})"

    @property
    def subject(self) -> str:
        """What is trained, on what: ``cnn on mnist``."""
        return f"{self.model} on {self.data.source}" if self.data.source else self.model


def training_name(number: int, folds: int, replicates: int) -> str:
    """What a training of a trial is called: ``fold_2``, ``replicate_1`` or ``replicate_1/fold_2``; empty for a trial's only one."""
    replicate, fold = divmod(number, folds)
    return "/".join([*([f"replicate_{replicate}"] if replicates > 1 else []), *([f"fold_{fold}"] if folds > 1 else [])])
