"""What workers are ordered to do and what they answer: the only things that cross a process boundary.

All are frozen values of plain data. Orders and events are keyed by (study, trial, replicate), so that folds, confirmations and
the interleaved studies of a comparison can share the same workers. Workers know nothing of strategies, stores or tracking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = float | int | str | bool | None
Configuration = Mapping[str, Value]

FailureReason = Literal["error", "out_of_memory", "timeout", "pruned"]
LossReason = Literal["lost", "out_of_memory", "timeout"]


@dataclass(frozen=True, slots=True, order=True)
class TrialKey:
    """Which training this is: a replicate (a fold, a fresh seed) of a trial of a study.

    Where the data have n folds, replicate r is trained in fold r mod n.
    """

    study: str
    trial: int
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Code:
    """Code of a person's own. What it is called stands where else the name of a family does: ``module:name``, or the command.

    ``factory``: a function that returns a module, which is trained here. ``function``: one that trains by itself. ``command``: a program
    that trains. ``objective``: a function as Optuna calls it. Modules are looked for in ``folders``, the first one first; a command
    runs in the first one.

    ``takes``: the parameters that it names, None: any; ``needs``: those of them that must be given. ``pattern`` and ``file``: where
    the metrics of a command are read (``automl.owncode``). ``digest``: a hash of the files as they were when they were checked.
    """

    kind: Literal["factory", "function", "command", "objective"]
    folders: tuple[str, ...] = ()
    takes: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    pattern: str = ""
    file: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network that training begins from.

    ``model`` says what it is: a built-in family, ``module:name`` of a person's own (looked for in ``folders``), or the name that a library
    has for it (``timm/resnet18``). ``file`` holds its weights (empty: those of the library), ``digest`` is their hash. ``parameters`` are
    those that it was built with, ``shape`` and ``outputs`` what it was built for (empty and 0: what the study's data say).
    """

    model: str
    file: str = ""
    parameters: Configuration = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    outputs: int = 0
    folders: tuple[str, ...] = ()
    digest: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.file or self.model


@dataclass(frozen=True, slots=True)
class Job:
    """What all trials of one study have in common, as far as a worker must know it.

    ``data`` is the folder of the prepared data, ``folder`` the study's own folder (checkpoints, logs and weights go to
    ``folder/trials/<number>``). ``metrics`` are reported at every epoch and contain ``objective`` and the ``further`` objectives.
    ``code`` is None where ``model`` is the name of a family; ``checkpoint`` is what the family ``finetune`` begins from.
    """

    study: str
    model: str
    data: str
    folder: str
    objective: str
    maximize: bool
    metrics: tuple[str, ...]
    further: tuple[str, ...] = ()
    code: Code | None = None
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """All that a trainer needs to train one replicate of a trial.

    ``configuration`` holds the searched and the fixed parameters; what it leaves out has the documented default of the
    family. Every random draw of the training is a function of ``seed``. ``save_if_beats`` is the objective that the best epoch must
    beat for its weights to be written to disk when the trial ends (None: always write). ``tested``: at its end the best epoch is
    measured on the test split (``Tested`` comes before ``Finished``). ``reported``: how many of its epochs the study knows; it does not go
    on from a checkpoint of a later one, since reports in between were lost (in a power cut). None: from any.
    """

    key: TrialKey
    job: Job
    configuration: Configuration
    seed: int
    epochs: int
    save_if_beats: float | None = None
    tested: bool = False
    reported: int | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Find out how many lanes pay, up to ``most``: ``examples`` are trials like those to come, of which the worker will train about so
    many ``epochs`` in all. Measuring takes a small share of the time of that. ``answered``: after what share of its epochs a trial
    waits for an answer."""

    examples: tuple[TrialSpec, ...]
    most: int
    epochs: float
    answered: float = 1.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker does next, in this order: stop these, test these, start these, then train until something happens.

    ``decided`` are the epochs after which it may be decided that a trial stops; None: any. Reports of other epochs need not be told one
    by one. ``measure`` is an order of its own, answered with ``Measured``.
    """

    stop: tuple[TrialKey, ...] = ()
    test: tuple[TrialSpec, ...] = ()
    measure: Measure | None = None
    start: tuple[TrialSpec, ...] = ()
    decided: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The trial trains now, on ``device``, in the worker called ``worker``."""

    key: TrialKey
    at: float
    device: str
    worker: str


@dataclass(frozen=True, slots=True)
class Reported:
    """The end of an epoch (counted from 1). ``seconds`` are the device seconds that the trial used since its last report."""

    key: TrialKey
    at: float
    epoch: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The trial trained to its end: all epochs, or until early stopping (``stopped_early``). ``saved``: its weights are on disk."""

    key: TrialKey
    at: float
    stopped_early: bool = False
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Diverged:
    """The loss became NaN or infinite in ``epoch``, or this ``objective``, reported by code of a person's own."""

    key: TrialKey
    at: float
    epoch: int
    seconds: float = 0.0
    objective: str = ""

    @property
    def detail(self) -> str:
        """Which value it was, and when."""
        what = f"objective {self.objective}" if self.objective else "loss"
        return f"the {what} became NaN or infinite in epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class Failed:
    """Training raised an error. ``detail`` are the last lines of the trial's log.

    The reason ``pruned``: code of a person's own gave the trial up by a rule of its own, which is no error.
    """

    key: TrialKey
    at: float
    reason: FailureReason
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Tested:
    """The weights of the trial's best epoch, measured once on the test split (``split`` names what they were measured on)."""

    key: TrialKey
    at: float
    metrics: Mapping[str, float]
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Measured:
    """Epochs of trials a second by the number of lanes; nothing where lanes do not matter, and one is as good as many."""

    rates: Mapping[int, float]


WorkerEvent = Started | Reported | Finished | Diverged | Failed | Tested


@dataclass(frozen=True, slots=True)
class Slot:
    """One worker on one device. ``device`` is its name among the machine's (``cpu``, ``cuda:1``), ``lanes`` how many trials it takes."""

    index: int
    device: str
    lanes: int = 1
    name: str = field(default="")


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker process died with everything that it was training. ``why`` says how, ``detail`` its last lines of output.

    ``reason``: ``out_of_memory`` where the kernel killed it for want of memory, ``timeout`` where the engine did, since it had not
    answered in time. ``silent_seconds``: how long it had not answered.
    """

    why: str
    detail: str = ""
    reason: LossReason = "lost"
    silent_seconds: float = 0.0
