"""What MLflow shows of a study and its trials: names, tags and params, made from plain values without MLflow."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from automl.confirmation import confirmed
from automl.events import Configuration, Value
from automl.space import Float, Int
from automl.spec import Objective
from automl.specrecord import sha256
from automl.study import Study
from automl.summary import confirmation_text, epochs_saved, gain_text
from automl.tracking.address import redacted
from automl.tracking.colours import strategy_colour
from automl.trials import Trial

PAGE = "page.html"
LONGEST_NAME = 40
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
LONGEST_KEY = 250
TOP = 10
_FAILURES = 5  # that a summary tells of

STATUS = {
    "running": "RUNNING",
    "waiting": "KILLED",
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
    "diverged": "FAILED",
    "out_of_memory": "FAILED",
    "timeout": "FAILED",
    "lost": "FAILED",
}
PARENT_STATUS = {"done": "FINISHED", "time": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """What MLflow is told of a study as a whole. ``experiment`` is the name of the space unless a flag says otherwise.

    ``searched`` are the names of the searched parameters, in the order of the space: among them ``numeric`` ones, some of these searched
    on a ``logarithmic`` scale, and ``conditional`` ones that not every trial has. ``data_sizes`` are the samples of each split,
    ``data_warnings`` what may be wrong with them.
    ``comparison`` is the name of the comparison that it is part of. ``sync_command`` brings MLflow level later.
    """

    identity: str
    name: str
    experiment: str
    strategy: str
    pruner: str
    seed: int
    metric: str
    maximize: bool
    epochs: int
    searched: tuple[str, ...]
    space_sha256: str
    folder: str
    created: float
    replicates: int = 1  # trainings of a trial: times ``folds``
    folds: int = 1
    further: tuple[Objective, ...] = ()
    data_name: str = ""
    data_sizes: Mapping[str, int] = field(default_factory=dict)
    data_fingerprint: str = ""
    data_warnings: tuple[str, ...] = ()
    command: str = ""
    data_source: str = ""
    numeric: tuple[str, ...] = ()
    logarithmic: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()
    comparison: str = ""
    sync_command: str = ""

    @property
    def sync(self) -> str:
        """The command that brings MLflow level later."""
        return self.sync_command or f"automl sync {shlex.quote(self.name)}"

    @classmethod
    def of(cls, study: Study, *, name: str, folder: str, created: float, experiment: str | None = None, **more: Any) -> Self:
        """The header of a study in memory; ``more`` are the fields from ``data_name`` on."""
        spec, parameters = study.spec, study.space.parameters
        return cls(
            identity=study.identity,
            name=name,
            experiment=experiment or spec.name,
            strategy=spec.settings.strategy,
            pruner=spec.settings.pruner,
            seed=study.seed,
            metric=study.objective.metric,
            maximize=study.objective.maximize,
            epochs=spec.epochs,
            searched=tuple(parameter.name for parameter in parameters),
            numeric=tuple(parameter.name for parameter in parameters if isinstance(parameter, Float | Int)),
            logarithmic=tuple(parameter.name for parameter in parameters if isinstance(parameter, Float | Int) and parameter.log),
            conditional=tuple(parameter.name for parameter in parameters if parameter.when),
            data_source=redacted(spec.data.source),
            space_sha256=sha256(spec),
            folder=folder,
            created=created,
            replicates=study.replicates,
            folds=spec.data.folds or 1,
            further=study.spec.further,
            **more,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """How a study stands when its driver leaves. ``why``: ``done``, ``time``, ``interrupted`` or ``failed``; ``top``: the best in order."""

    why: str
    asked: int
    counts: Mapping[str, int]
    baseline: Trial | None
    gain: float | None
    top: tuple[Trial, ...]
    test_metrics: Mapping[str, float] = field(default_factory=dict)
    test_split: str = ""
    gain_text: str = ""  # the same in a sentence, with what is known of its certainty
    epochs: tuple[int, int] = (0, 0)  # saved by pruning, of how many
    failures: tuple[Trial, ...] = ()  # the last few trials that ended in an error
    importances: tuple[tuple[str, float, bool], ...] = ()  # parameter, share, whether more than chance; the greatest first
    again: str = ""  # the command that trains the winner once more
    winner: Trial | None = None  # picked on fresh seeds, or the best
    confirmation: str = ""  # what fresh seeds say of the winner, in words
    confirmed: Mapping[str, float] = field(default_factory=dict)  # the same as metrics

    @classmethod
    def of(cls, study: Study, why: str, **more: Any) -> Self:
        """The summary of a study in memory; ``more`` are ``importances`` and ``again``."""
        counts: dict[str, int] = {state: count for state, count in study.counts.items() if count}
        tested = (study.test.metrics, study.test.split) if study.test else ({}, "")
        failed = [study.trials[number] for number in study.ended_order if STATUS[study.trials[number].state] == "FAILED"]
        return cls(
            why,
            study.asked,
            counts,
            study.baseline,
            study.gain,
            tuple(study.ranked()[:TOP]),
            *tested,
            gain_text=gain_text(study),
            epochs=epochs_saved(study),
            failures=tuple(failed[-_FAILURES:]),
            winner=study.winner,
            confirmation=confirmation_text(study),
            confirmed=_confirmed_metrics(study),
            **more,
        )

    @property
    def told(self) -> tuple[Trial, ...]:
        """The trials that it tells of by number."""
        return (*self.top, *self.failures)

    @property
    def failed(self) -> int:
        """How many trials ended in an error."""
        return sum(count for state, count in self.counts.items() if STATUS.get(state) == "FAILED")


def _confirmed_metrics(study: Study) -> dict[str, float]:
    """``confirmed/winner``, ``confirmed/baseline`` and ``confirmed/gain`` with the ends of their intervals."""
    claim = confirmed(study)
    found: dict[str, float] = {}
    for name in ("winner", "baseline", "gain") if claim else ():
        estimate = getattr(claim, name)
        if estimate is not None:
            found[f"confirmed/{name}"] = estimate.value
            if estimate.interval is not None:
                found[f"confirmed/{name}_low"], found[f"confirmed/{name}_high"] = estimate.interval
    return found


def text(value: Value) -> str:
    """A value as a search-space file writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shortened(words: str, limit: int) -> str:
    """At most ``limit`` characters; what is left out is said, never silent."""
    mark = " … (shortened)"
    return words if len(words) <= limit else words[: limit - len(mark)] + mark


def last_part(words: str, limit: int) -> str:
    """At most ``limit`` characters from the end, where errors say what they are about."""
    mark = "(shortened) … "
    return words if len(words) <= limit else mark + words[len(mark) - limit :]


def entity_key(name: str) -> str:
    """A name that MLflow takes for a param or metric: other characters than it allows become ``_``, and it must be a tidy path."""
    allowed = re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:LONGEST_KEY]
    parts = [part for part in allowed.split("/") if part.strip(". ")]
    return "/".join(parts).lstrip(".") or "_"


def params_of(configuration: Configuration) -> dict[str, str]:
    """A trial's params: its configuration under its own names."""
    return {entity_key(name): shortened(text(value), LONGEST_PARAM) for name, value in configuration.items()}


def log_metric(name: str) -> str:
    """The metric that is a parameter's logarithm: the axes of MLflow's charts have no logarithmic scale."""
    return f"log10/{entity_key(name)}"


def logarithms_of(header: StudyHeader, configuration: Configuration) -> dict[str, float]:
    """A trial's metrics for the axes of charts. A value without a logarithm (a baseline's may be 0) has none."""
    values = {name: configuration.get(name) for name in header.logarithmic}
    positive = {name: float(value) for name, value in values.items() if isinstance(value, int | float) and value > 0}
    return {log_metric(name): math.log10(value) for name, value in positive.items()}


def is_shortened(configuration: Configuration) -> bool:
    """Whether the params do not hold the whole configuration."""
    return any(len(text(value)) > LONGEST_PARAM for value in configuration.values())


# -- names --------------------------------------------------------------------------------------------------------------


def trial_name(number: int, origin: str, configuration: Configuration, searched: Sequence[str]) -> str:
    """``17 lr=0.0031 sgd 2x128``: the number and the most telling searched values, at most 40 characters; ``0 baseline``."""
    if origin == "baseline":
        return f"{number} baseline"
    name, said = str(number), 0
    for piece in _pieces({key: value for key, value in configuration.items() if key in searched and value is not None}):
        if said < 3 and len(name) + 1 + len(piece) <= LONGEST_NAME:
            name, said = f"{name} {piece}", said + 1
    return name


def _pieces(values: Mapping[str, Value]) -> list[str]:
    """What to say of a configuration, the most telling first."""
    pieces = [f"lr={_brief(values['learning_rate'])}"] if "learning_rate" in values else []
    pieces += [text(values["optimizer"])] if "optimizer" in values else []
    pieces += [_widths(values, "conv_layers", "channels", "conv "), _widths(values, "layers", "units", "")]
    told = ("learning_rate", "optimizer", "conv_layers", "layers", "channels", "units")
    pieces += [f"{name}={_brief(value)}" for name, value in values.items() if re.sub(r"_\d+$", "", name) not in told]
    return [piece for piece in pieces if piece]


def _widths(values: Mapping[str, Value], depth: str, width: str, prefix: str) -> str:
    """``2x128`` for one width in all layers, ``128-64`` for a width per layer."""
    each = [text(values[name]) for name in sorted(values, key=_by_number) if re.fullmatch(rf"{width}_\d+", name)]
    if each:
        return prefix + "-".join(each)
    if depth in values and width in values:
        return f"{prefix}{text(values[depth])}x{text(values[width])}"
    return next((f"{name}={text(values[name])}" for name in (depth, width) if name in values), "")


def _by_number(name: str) -> tuple[int, str]:
    digits = re.search(r"_(\d+)$", name)
    return (int(digits[1]) if digits else 0, name)


def _brief(value: Value) -> str:
    return f"{value:.2g}" if isinstance(value, float) else text(value)


# -- tags ---------------------------------------------------------------------------------------------------------------


def study_tags(header: StudyHeader) -> dict[str, str]:
    """The tags of the parent run that do not change."""
    return {
        "automl.kind": "study",
        **({"mlflow.runColor": colour} if (colour := strategy_colour(header.strategy)) else {}),
        **_shared_tags(header),
        "automl.objective": ", ".join(map(str, (Objective(header.metric, header.maximize), *header.further))),
        "automl.epochs": str(header.epochs),
        "automl.folder": shortened(header.folder, LONGEST_TAG),
        "automl.data": shortened(redacted(header.data_name), LONGEST_TAG),
        "automl.data_fingerprint": header.data_fingerprint,
        **({"automl.comparison": header.comparison} if header.comparison else {}),
    }


def study_params(header: StudyHeader) -> dict[str, str]:
    """The params of the parent run: how it searches."""
    said = {"strategy": header.strategy, "pruner": header.pruner, "epochs": header.epochs, "seed": header.seed, "data": header.data_name}
    return {name: shortened(redacted(str(value)), LONGEST_PARAM) for name, value in said.items()}


def trial_tags(header: StudyHeader, parent: str, number: int) -> dict[str, str]:
    """The tags of a child run that do not change."""
    return {"automl.kind": "trial", **_shared_tags(header), "automl.trial": str(number), "mlflow.parentRunId": parent}


def _shared_tags(header: StudyHeader) -> dict[str, str]:
    return {
        "automl.study": header.name,
        "automl.study_id": header.identity,
        "automl.strategy": header.strategy,
        "automl.pruner": header.pruner,
        "automl.seed": str(header.seed),
        "automl.space_sha256": header.space_sha256,
    }


# -- metrics ------------------------------------------------------------------------------------------------------------


def study_metrics(summary: Summary) -> dict[str, float]:
    """The parent's metrics that are known when a driver leaves: what became of the trials, and the gain over the baseline."""
    saved, whole = summary.epochs
    numbers = {
        "trials/complete": summary.counts.get("complete", 0),
        "trials/pruned": summary.counts.get("pruned", 0),
        "trials/failed": summary.failed,
        "epochs/saved_percent": 100 * saved / whole if whole else 0,
    }
    gain = {} if summary.gain is None or not math.isfinite(summary.gain) else {"gain": summary.gain}
    return {name: float(value) for name, value in numbers.items()} | gain | dict(summary.confirmed)
