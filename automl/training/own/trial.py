"""What a training function is handed: the trial that it is to train."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from automl.errors import UsageError, nearest, suggestion
from automl.events import TrialSpec, Value

if TYPE_CHECKING:
    from automl.training.samples import Samples

TEST = "test_"  # metrics whose names begin so were measured on data that nobody is to choose by


class TrialStopped(BaseException):
    """Raised by ``Trial.report`` when the study has no more use for the trial. Let it pass; ``finally`` blocks run as ever.

    It is no ``Exception``, so that ``except Exception`` does not stop it.

    >>> import automl
    >>> issubclass(automl.TrialStopped, Exception)
    False
    """


class Parameters(Mapping[str, Value]):
    """The values of a trial's parameters: ``parameters["units"]`` or ``parameters.units``.

    A parameter that does not exist with the values of the others (``when`` in the space) is not there: ``parameters.get("momentum", 0.0)``.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise KeyError(self._missing(name))
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(self._missing(name))
        return self._values[name]

    def _missing(self, name: str) -> str:
        known = ", ".join(self._values) or "none"
        return f"{name!r} is not a parameter of this trial. Parameters: {known}.{suggestion(name, self._values)}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Parameters({self._values!r})"


class Keeper(Protocol):
    """What stands behind a trial: takes its reports and keeps its checkpoints."""

    should_stop: bool

    @property
    def epoch(self) -> int:
        """How many epochs were reported."""

    def report(self, metrics: Mapping[str, float]) -> None:
        """Hand over the metrics of an epoch; raises TrialStopped where the study has no more use for the trial."""

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep this state in place of the one before."""

    def resume(self) -> dict[str, Any] | None:
        """The state to go on from."""

    def data(self) -> Samples:
        """The study's prepared data."""


class Trial:
    """One training, as a function of a person's own is handed it: ``def run(trial): ...``.

    ``parameters`` are what the study has chosen, ``epochs`` the most reports that it wants. ``seed`` is below 2**32 and makes the
    training repeatable: ``random``, NumPy and torch were seeded with it before the function was called. ``device`` is what torch calls
    the device of this trial (``cpu``, ``cuda:0``). ``folder`` is the trial's own; what is left in it stays there. ``number`` is the trial's
    number in the study.

    >>> from pathlib import Path
    >>> import automl
    >>> code = "def run(trial): [trial.report(score=trial.parameters.width * epoch) for epoch in range(1, trial.epochs + 1)]"
    >>> space = "{train: growth:run, objective: {maximize: score}, epochs: 3, space: {width: {type: int, low: 5, high: 6}}}"
    >>> written = Path("growth.py").write_text(code), Path("growth.yaml").write_text(space)
    >>> result = automl.run("growth.yaml", strategy="grid", pruner="none", trials=2, engine="inline", mlflow="off", progress=False)
    >>> sorted(result.trials.objective)
    [15.0, 18.0]
    """

    def __init__(self, spec: TrialSpec, device: str, folder: Path, keeper: Keeper) -> None:
        self.number = spec.key.trial
        self.parameters = Parameters(spec.configuration)
        self.epochs = spec.epochs
        self.seed = spec.seed & 0xFFFFFFFF
        self.device = device
        self._folder, self._objectives, self._keeper = folder, (spec.job.objective, *spec.job.further), keeper

    @property
    def folder(self) -> Path:
        """The trial's own folder, made when it is first asked for."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def epoch(self) -> int:
        """How many epochs were reported, those before an interruption included: ``for epoch in range(trial.epoch, trial.epochs)``."""
        return self._keeper.epoch

    @property
    def should_stop(self) -> bool:
        """Whether the study has stopped this trial: for ``finally`` blocks and for code that catches ``TrialStopped`` to end in order."""
        return self._keeper.should_stop

    @property
    def data(self) -> Samples:
        """The study's ``data``, prepared and split, on the device: ``data.train``, ``data.validation`` and ``data.test``, each with
        ``inputs`` and ``targets``; ``data.info`` says what they are. Raises UsageError where the space file has no ``data``."""
        return self._keeper.data()

    def report(self, *metrics: Mapping[str, Any], **named: Any) -> None:
        """Say what the model reaches on validation data at the end of an epoch: ``trial.report(accuracy=0.93, loss=0.2)``.

        The objective must be among the metrics. Each call is one epoch. Waits until the study has taken it in, and raises TrialStopped
        where it prunes the trial, where its time is over, or where ``epochs`` were reported before. An objective that is NaN or infinite
        ends the trial as diverged.

        Metrics may also be given as a mapping, for names such as ``"val/accuracy"``. ``test_accuracy`` and its like are measured on test
        data: they are kept apart, nobody chooses by them, and those of the best epoch are the trial's test result unless the function
        returns another. ``epoch`` is left out, since reports are counted.
        """
        self._keeper.report(checked_metrics(_by_name(metrics, named, self._objectives[0]), self._objectives, "trial.report"))

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep what is needed to go on after an interruption, in place of what was kept before: tensors, numbers, texts, and lists and
        dicts of them, such as ``{"model": model.state_dict(), "optimizer": optimizer.state_dict()}``.

        Call it after ``report``, so that the state and the number of reports belong together. The state of the best epoch is the
        trial's ``weights.pt`` while it is among the best few, and ``best/weights.pt`` where it wins.
        """
        self._keeper.checkpoint(state)

    def resume(self) -> dict[str, Any] | None:
        """The last ``checkpoint`` of this trial from before it was interrupted, on the trial's device; None where it begins anew."""
        return self._keeper.resume()


def call_for(objective: str) -> str:
    """How this metric is reported."""
    return f"trial.report({objective}=...)" if objective.isidentifier() else f"trial.report({{{objective!r}: ...}})"


def _by_name(metrics: Sequence[object], named: Mapping[str, Any], objective: str) -> dict[str, Any]:
    together: dict[str, Any] = {}
    for each in metrics:
        if not isinstance(each, Mapping):
            given = ", ".join(map(repr, metrics))
            raise UsageError(f"trial.report: must be given metrics by name, but was given {given}. Write {call_for(objective)}.")
        together.update(each)
    return {**together, **named}


def checked_metrics(given: Mapping[str, Any], objectives: Sequence[str], where: str) -> dict[str, float]:
    """The metrics as numbers, without ``epoch``. Raises UsageError where one is no number, or where an objective is not among them."""
    metrics: dict[str, float] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"{where}: the name of a metric must be a text, but is {name!r}.")
        if name != "epoch":
            metrics[name] = _number(name, value, where)
    for objective in objectives:
        if objective not in metrics:
            names = ", ".join(metrics) or "nothing"
            raise UsageError(f"{where}: must give the objective {objective!r}, but gives {names}.{instead(objective, metrics)}")
    return metrics


def instead(objective: str, given: Iterable[str]) -> str:
    """Which of the names that were given was probably meant to be the objective; nothing where none is near."""
    near = nearest(objective, given)
    return f" Write {objective!r} instead of {near!r}." if near is not None else ""


def _number(name: str, value: Any, where: str) -> float:
    if not isinstance(value, str | bytes):
        try:
            return float(value.item() if hasattr(value, "item") else value)  # of tensors and arrays of one number
        except (TypeError, ValueError, RuntimeError, OverflowError):
            pass
    given = repr(value) if isinstance(value, str | bytes | None) else f"of type {type(value).__name__}"
    raise UsageError(f"{where}: {name} must be a number, but is {given}.")


def of_validation(metrics: Mapping[str, float], objective: str) -> dict[str, float]:
    """What is finite of the metrics of an epoch, but for those of test data."""
    return {name: value for name, value in metrics.items() if math.isfinite(value) and (name == objective or not name.startswith(TEST))}


def of_test(metrics: Mapping[str, float], objective: str) -> dict[str, float]:
    """What is finite of the metrics of test data, by the names that they have on validation data."""
    tests = {name: value for name, value in metrics.items() if name.startswith(TEST) and name != objective and math.isfinite(value)}
    return {name.removeprefix(TEST): value for name, value in tests.items() if name != TEST}
