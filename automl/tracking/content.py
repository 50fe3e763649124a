"""What MLflow shows of a study and its trials: names, tags, params and notes, made from plain values without MLflow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from automl.events import Configuration, Value
from automl.specrecord import sha256
from automl.study import Study, Trial
from automl.tracking.address import redacted

LONGEST_NAME = 40
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
LONGEST_KEY = 250
TOP = 10

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

    ``searched`` are the names of the searched parameters, in the order of the space; ``data_sizes`` the samples of each split.
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
    replicates: int = 1
    data_name: str = ""
    data_sizes: Mapping[str, int] = field(default_factory=dict)
    data_fingerprint: str = ""
    command: str = ""

    @classmethod
    def of(cls, study: Study, *, name: str, folder: str, created: float, experiment: str | None = None, **more: Any) -> Self:
        """The header of a study in memory; ``more`` are ``data_name``, ``data_sizes``, ``data_fingerprint`` and ``command``."""
        spec = study.spec
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
            searched=tuple(parameter.name for parameter in study.space.parameters),
            space_sha256=sha256(spec),
            folder=folder,
            created=created,
            replicates=study.replicates,
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

    @classmethod
    def of(cls, study: Study, why: str) -> Self:
        """The summary of a study in memory."""
        counts: dict[str, int] = {state: count for state, count in study.counts.items() if count}
        tested = (study.test.metrics, study.test.split) if study.test else ({}, "")
        return cls(why, study.asked, counts, study.baseline, study.gain, tuple(study.ranked()[:TOP]), *tested)


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
        **_shared_tags(header),
        "automl.objective": f"{'maximize' if header.maximize else 'minimize'} {header.metric}",
        "automl.epochs": str(header.epochs),
        "automl.folder": shortened(header.folder, LONGEST_TAG),
        "automl.data": shortened(redacted(header.data_name), LONGEST_TAG),
        "automl.data_fingerprint": header.data_fingerprint,
    }


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


# -- the note -----------------------------------------------------------------------------------------------------------


def note(header: StudyHeader, summary: Summary, links: Mapping[int, str]) -> str:
    """The parent run's note in Markdown: the winner, its gain over the baseline, the ten best. ``links`` lead to trials by number."""
    parts = [_verdict(header, summary)]
    if summary.test_metrics:
        measured = ", ".join(f"{name} {value:.5g}" for name, value in summary.test_metrics.items())
        parts.append(f"Measured once on the {summary.test_split or 'test'} split: {measured}.")
    parts.append(f"Trials: {', '.join(f'{count} {state}' for state, count in sorted(summary.counts.items())) or 'none'}.")
    if summary.top:
        parts.append(_table(header, summary.top, links))
    return "\n\n".join(parts)


def _verdict(header: StudyHeader, summary: Summary) -> str:
    if not summary.top or summary.top[0].objective is None:
        return f"**No trial is complete yet** ({header.metric}, {_counted(summary)})."
    best = summary.top[0]
    verdict = f"**Trial {best.number} is best: {header.metric} {best.objective:.5g}** in epoch {best.epoch} ({_counted(summary)})."
    baseline = summary.baseline
    if baseline is None or baseline.objective is None or summary.gain is None:
        return verdict
    if baseline.number == best.number:
        return f"{verdict} That is the baseline: no trial beat it."
    return f"{verdict} The baseline reached {baseline.objective:.5g}: a gain of {summary.gain:.5g}."


def _counted(summary: Summary) -> str:
    ended = sum(count for state, count in summary.counts.items() if state not in ("waiting", "running"))
    return f"{ended} of {summary.asked} trials"


def _table(header: StudyHeader, top: Sequence[Trial], links: Mapping[int, str]) -> str:
    named = [name for name in header.searched if any(name in trial.configuration for trial in top)]
    rows = [["trial", header.metric, "epoch", *named], ["---"] * (3 + len(named))]
    for trial in top:
        number = f"[{trial.number}]({links[trial.number]})" if trial.number in links else str(trial.number)
        objective = "" if trial.objective is None else f"{trial.objective:.5g}"
        values = [_cell(trial.configuration.get(name)) if name in trial.configuration else "" for name in named]
        rows.append([number, objective, str(trial.epoch or ""), *values])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: Value) -> str:
    words = f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else text(value)
    return re.sub(r"\s+", " ", shortened(words, 60)).replace("\\", "\\\\").replace("|", "\\|")
