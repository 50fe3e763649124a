"""One trial whole: what it was, how it went, what it said, and how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from automl.cli.charts import Series, plot
from automl.cli.status import shown_name
from automl.cli.wrapping import print_sentence
from automl.reading import Reading
from automl.spec import training_name
from automl.study import Study
from automl.summary import number_text, training_state, trial_record, value_text, why_text
from automl.trials import Trial

_LOG_LINES = 15
_LONGEST_LINE = 500
_PLOT_WIDTH, _PLOT_HEIGHT = 100, 14


def whole_record(reading: Reading, trial: Trial) -> dict[str, Any]:
    """``trials STUDY NUMBER --json``: the entry of ``trials --json`` with the curve, the log's path, and how to run it again."""
    log = log_of(reading.folder, trial)
    curve = [{"epoch": report.epoch, "value": report.value, "seconds": report.seconds} for report in trial.reports]
    return {
        **trial_record(trial, reading.study.spec),
        "curve": curve,
        "log": str(log) if log else None,
        "run_again": run_again(reading, trial),
    }


def run_again(reading: Reading, trial: Trial) -> list[str]:
    """The commands that train this configuration once more, as a study of its own."""
    file = f"{reading.folder.name}-{trial.number}.yaml"
    write = shlex.join(["automl", "trials", shown_name(reading), str(trial.number), "--yaml"])
    return [f"{write} > {shlex.quote(file)}", shlex.join(["automl", "run", str(reading.folder / "study.yaml"), "--config", file])]


def log_of(folder: Path, trial: Trial) -> Path | None:
    """What the training wrote; None where it wrote nothing."""
    path = folder / "trials" / str(trial.number) / "log.txt"
    return path if path.is_file() else None


def print_trial(reading: Reading, trial: Trial) -> None:
    """A page of text on stdout."""
    study, console = reading.study, Console(highlight=False)
    state, metric = trial.state.replace("_", " "), study.objective.metric
    where = f", the mean of {len(trial.replicates)} trainings" if trial.replicates else f" at epoch {trial.epoch}"
    reached = f", {metric} {number_text(trial.objective)}{where}" if trial.objective is not None else ""
    whole = study.spec.epochs * study.replicates
    took = f"{trial.epochs_trained} of {whole} epochs{', stopped early' if trial.stopped_early else ''}, {trial.seconds:.1f} s"
    print_sentence(
        f"Trial {trial.number} of {reading.folder.name}: {state}{reached}; {took}{f' on {trial.device}' if trial.device else ''}"
    )
    if _is_told(trial):
        print_sentence(f"Why: {why_text(trial)}")
    standing = _standing(study, trial)
    if standing:
        print_sentence(standing)
    click.echo()
    width = max((len(name) for name in trial.configuration), default=0)
    for name, value in trial.configuration.items():
        click.echo(f"  {name:<{width}}  {value_text(value)}")
    others = ", ".join(f"{name} {number_text(value)}" for name, value in trial.metrics.items() if name != metric)
    if others:
        click.echo()
        print_sentence(f"At its best epoch: {others}")
    for line in _curve(study, trial, min(console.width, _PLOT_WIDTH), console.options.ascii_only):
        console.print(line, no_wrap=True, overflow="ellipsis")
    for sentence in _parts(study, trial):
        print_sentence(sentence)
    _print_log(reading.folder, trial)
    click.echo("\nRun it again:")
    for command in run_again(reading, trial):
        click.echo(f"  {command}")


def _standing(study: Study, trial: Trial) -> str:
    """Where it stands among the complete ones."""
    if trial.state != "complete":
        return ""
    ranked = [other.number for other in study.ranked()]
    return f"Number {ranked.index(trial.number) + 1} of {len(ranked)} complete trials." if trial.number in ranked else ""


def _curve(study: Study, trial: Trial, width: int, ascii_only: bool) -> list[Text]:
    if len(trial.reports) < 2:
        return []
    series = [
        Series([report.epoch for report in one.reports], [report.value for report in one.reports], "bright_black", "lines")
        for one in trial.replicates
    ]
    series.append(Series([r.epoch for r in trial.reports], [r.value for r in trial.reports], "green", "lines"))
    lines = plot(series, width, _PLOT_HEIGHT, "epoch", ascii_only)
    title = f"\n{study.objective.metric} by epoch{', the mean of its trainings' if trial.replicates else ''}"
    return [Text(title, style="dim"), *lines] if lines else []


def _parts(study: Study, trial: Trial) -> Iterator[str]:
    """Its replicates, and what became of it on fresh seeds."""
    if trial.replicates:
        folds, replicates = study.spec.data.folds or 1, study.spec.replicates
        named = [
            f"{training_name(index, folds, replicates)}: {_part(one, training_state(trial, one))}"
            for index, one in enumerate(trial.replicates)
        ]
        yield f"\nTrainings: {'; '.join(named)}"
    again = study.confirmations.get(trial.number, ())
    if again:
        yield f"\nOn fresh seeds: {'; '.join(_part(one.trial) for one in again)}"


def _part(trial: Trial, state: str = "") -> str:
    words = (state or trial.state).replace("_", " ")
    return words if trial.objective is None else f"{words} {number_text(trial.objective)}"


def _print_log(folder: Path, trial: Trial) -> None:
    log = log_of(folder, trial)
    said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log else trial.reason.splitlines() if _is_told(trial) else []
    if not said:
        return
    left_out = len(said) - _LOG_LINES
    click.echo(f"\nLog{f' ({log})' if log else ''}{f', the last {_LOG_LINES} of {len(said)} lines' if left_out > 0 else ''}:")
    for line in said[-_LOG_LINES:]:
        shown = "".join(letter for letter in line if letter.isprintable() or letter == chr(9))
        click.echo(f"  {shown[:_LONGEST_LINE]}{'...' if len(shown) > _LONGEST_LINE else ''}")


def _is_told(trial: Trial) -> bool:
    return trial.state not in ("complete", "pruned") and bool(trial.reason.strip())
