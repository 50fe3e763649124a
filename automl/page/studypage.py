"""The study page: what happened in a study, what mattered, what to do next, in one file that can be mailed."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from automl import spacefile
from automl.best import command_again
from automl.confirmation import Estimate, confirmed
from automl.datareport import DataReport, read_report
from automl.errors import StudyError
from automl.importances import Importances, importances, sentence
from automl.page import PAGE, figures
from automl.page.document import (
    Block,
    Card,
    Code,
    Columns,
    DataTable,
    Document,
    Facts,
    Figure,
    Folded,
    Group,
    Points,
    Section,
    Stack,
    Table,
    Text,
    Tile,
    Tiles,
    render,
)
from automl.page.spans import Span, Spans, utilisation
from automl.shorthand import format_duration
from automl.store import Store, is_being_driven
from automl.study import Study
from automl.summary import confirmation_text, epochs_saved, front_sentence, gain_text, number_text, state_of, value_text, why_text
from automl.trials import Created, Event, Rested, Resumed, Trial

_MOST_FAILURES = 20  # kinds of them, with their log lines
_MOST_ON_FRONT = 20  # of it in its own table
_MOST_LINES = 40  # of a log
_NOT_WORKED = ("failed", "diverged", "out_of_memory", "timeout", "lost")


@dataclass(frozen=True, slots=True)
class Known:
    """All that the page is made of. ``spans`` are who trained what when; ``created`` is the study's first event; ``environments`` are
    with what each of its runs was made, where that was noted."""

    study: Study
    folder: Path
    spans: Sequence[Span] = ()
    created: Created | None = None
    environments: Sequence[Mapping[str, str]] = ()
    is_driven: bool = False
    data: DataReport | None = None
    made_at: float = field(default_factory=time.time)


def write_page(folder: Path, out: Path | None = None, is_driven: bool | None = None) -> Path:
    """Write the page of the study in this folder to ``out`` (``page.html`` in the folder), whole or not at all. Returns where it is.

    ``is_driven``: as for ``read``. Raises StudyError where it cannot be written.
    """
    path = folder / PAGE if out is None else out
    if path.is_dir():
        raise StudyError(f"{path}: must be the file to write, but is a folder. Use --out with a file in it, such as {path / PAGE}.")
    content = render(study_document(read(folder, is_driven)))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StudyError(f"{path}: the folder must be there and writable, but {reason}. Use --out with another path.") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return path


def read(folder: Path, is_driven: bool | None = None) -> Known:
    """The study in this folder, as its events tell it, whether or not a driver is at work on it.

    ``is_driven``: what the page says of that, for a driver that makes the page as its last work; None to find out.
    """
    is_driven = is_being_driven(folder) if is_driven is None else is_driven
    spans, environments = Spans(), list[Mapping[str, str]]()

    def told(event: Event) -> None:
        spans.take(event)
        if isinstance(event, Resumed) and event.environment:
            environments.append(event.environment)

    with Store.read_only(folder) as store:
        created, study = store.created(), store.study(told=told)
    if study.at_work_since is not None and not is_driven:
        study.apply(Rested(time.time(), "interrupted", 0.0))  # its driver was killed, so nothing is running
    return Known(study, folder, spans.all(), created, environments, is_driven, read_report(folder))


def figures_of(known: Known) -> list[Figure]:
    """All figures of the page."""
    return figures.all_figures(known.study, known.spans)


def study_document(known: Known) -> Document:
    """The page of a study, as data."""
    study = known.study
    found = importances(study)
    sections = [
        Section("overview", "", list(_overview(known, found))),
        Section("front", "Pareto front", list(_front(known))),
        Section("progress", "Progress", list(_progress(known))),
        Section("parameters", "Parameters", list(_parameters(known, found))),
        Section("workers", "Workers", list(_workers(known))),
        Section("trials", "Trials", list(_trials(known))),
        Section("failures", "Failures", list(_failures(known))),
        Section("again", "Specification", list(_specification(known))),
    ]
    made = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(known.made_at))
    return Document(
        kind="Study",
        title=known.folder.resolve().name,
        lead=verdict(known),
        under=_under(study),
        sections=[section for section in sections if section.blocks],
        footer=f"Made on {made} from {known.folder / 'study.db'}. `automl page {shlex.quote(str(known.folder))}` makes it anew.",
    )


# -- what came out ----------------------------------------------------------------------------------------------------


def verdict(known: Known) -> str:
    """What came out, in a sentence or two."""
    study = known.study
    if not study.trials:
        return "No trial has begun yet."
    best = study.winner
    if best is None:
        if not study.ended:
            return f"No trial has ended yet; {study.counts.get('running', 0)} are running."
        return f"None of the {study.ended} trials that ended is complete, so there is no winner."
    trials = f"{study.ended} trial{'s' if study.ended != 1 else ''}"
    verb = "won" if not known.is_driven and study.why_rested in ("done", "time") else "leads"
    return f"Trial {best.number} {verb} after {trials}. {confirmation_text(study) or gain_text(study)}"


def _under(study: Study) -> str:
    settings, spec = study.spec.settings, study.spec
    direction = "more is better" if study.objective.maximize else "less is better"
    sought = f"validation {study.objective.metric}, {direction}" if len(study.objectives) == 1 else ", ".join(map(str, study.objectives))
    return (
        f"{spec.subject}: {sought}. Strategy {settings.strategy}, "
        f"pruner {settings.pruner}, up to {spec.epochs} epoch{'s' if spec.epochs != 1 else ''} a trial, seed {settings.seed}."
    )


def _overview(known: Known, found: Importances) -> Iterator[Block]:
    study = known.study
    if study.trials:
        yield Tiles(list(_tiles(known)))
    beside: list[Block] = [_winner(study, study.winner)] if study.winner is not None else []
    if hints := list(_next_steps(known, found)):
        beside.append(Card("What this suggests", [Points(hints)]))
    tested = study.test
    if tested is not None and tested.metrics and study.winner is not None and tested.trial == study.winner.number:
        rows = [[name, number_text(value)] for name, value in tested.metrics.items()]
        beside.append(Table(f"The winner's weights on {_split_text(study)}, measured once", ["metric", "value"], rows, numbers=(1,)))
    if len(beside) == 3:  # the short one below the other short one
        beside = [beside[0], Stack(beside[1:])]
    if beside:
        yield Columns(beside)
    if known.data is not None and known.data.warnings:
        yield Card("What may be wrong with the data", [Points(list(known.data.warnings))])


def _tiles(known: Known) -> Iterator[Tile]:
    study, best = known.study, known.study.winner
    metric, claim = study.objective.metric, confirmed(study)
    if best is not None:
        if claim is not None:
            where = "test" if claim.split == "test" else claim.split
            yield Tile(f"{where} {metric}", number_text(claim.winner.value), _estimate_note(claim.winner))
            if claim.gain is not None:
                yield Tile("gain over the baseline", number_text(claim.gain.value), _estimate_note(claim.gain))
        epoch = f"trial {best.number}" + (f", epoch {best.epoch}" if study.spec.epochs > 1 else "")
        yield Tile(f"validation {metric}", number_text(best.objective), f"{epoch}, served to choose" if claim is not None else epoch)
        if claim is None and study.gain is not None and study.baseline is not None and study.baseline is not best:
            seeds = "on one seed each" if study.replicates == 1 else f"means of {study.replicates} seeds each"
            yield Tile("gain over the baseline", number_text(study.gain), seeds)
        if claim is None and study.test is not None and study.test.trial == best.number and metric in study.test.metrics:
            yield Tile(f"test {metric}", number_text(study.test.metrics[metric]), f"measured once, on {_split_text(study)}")
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(study.counts.items()) if count)
    yield Tile("trials", f"{study.ended:,}" if study.ended >= study.asked else f"{study.ended:,} of {study.asked:,}", counts)
    saved, whole = epochs_saved(study)
    if saved:
        yield Tile("of the epochs saved by pruning", f"{saved / whole:.0%}", f"{saved:,} of {whole:,}")
    if study.active_seconds > 0:
        yield Tile("at work", format_duration(max(1, round(study.active_seconds))), _device_text(study))


def _estimate_note(estimate: Estimate) -> str:
    seeds = f"{estimate.replicates} fresh seed{'s' if estimate.replicates != 1 else ''}"
    if estimate.interval is None:
        return f"on {seeds}"
    low, high = estimate.interval
    return f"{number_text(low)} to {number_text(high)} (95 %), {seeds}"


def _split_text(study: Study) -> str:
    return "the test split" if study.test is None or study.test.split == "test" else study.test.split


def _device_text(study: Study) -> str:
    devices = sorted({trial.device for trial in study.trials if trial.device})
    return f"on {', '.join(devices)}" if 0 < len(devices) <= 4 else f"on {len(devices)} devices" if devices else ""


def _next_steps(known: Known, found: Importances) -> Iterator[str]:
    """What the numbers suggest to do, a sentence each."""
    study = known.study
    state = state_of(study, known.is_driven)
    if state == "interrupted":
        yield f"The study was interrupted with {study.ended} of {study.asked} trials; the command that began it goes on with it."
    if state == "failed":
        yield f"The study stopped after {study.ended} of {study.asked} trials, which all failed; the command that began it tries again."
    if state == "out_of_time":
        yield f"The time was over after {study.ended} of {study.asked} trials; a larger --time goes on with them."
    if state == "running":
        yield f"The study was still running when this page was made: {study.ended} of {study.asked} trials."
    broken = sum(study.counts.get(name, 0) for name in _NOT_WORKED)  # type: ignore[call-overload]
    if study.ended >= 5 and broken > study.ended / 3:
        yield f"{broken} of {study.ended} trials did not work out: see Failures before looking at anything else."
    best = study.winner
    if best is None or state != "done":
        return
    place = study.ended_order.index(best.number) + 1
    if study.ended >= 20 and place > 0.8 * study.ended:
        yield f"The best came late (as number {place} of {study.ended}), so more trials may find better ones."
    elif study.ended >= 20 and place < 0.3 * study.ended:
        yield f"Nothing better came after trial number {place} of {study.ended}: more trials of the same kind promise little."
    if study.spec.epochs > 1 and best.epoch == study.spec.epochs:
        yield f"The best trial was at its best in the last epoch ({best.epoch}), so more epochs may still help it."


def _winner(study: Study, best: Trial) -> Block:
    baseline = study.baseline if study.baseline is not None and study.baseline.number != best.number else None
    names = dict.fromkeys([*best.configuration, *(baseline.configuration if baseline is not None else ())])
    columns = ["parameter", "winner" if study.why_rested in ("done", "time") else "leader", *(["baseline"] if baseline is not None else [])]
    both = [study.space.whole(trial.configuration) for trial in (best, *([baseline] if baseline is not None else []))]
    rows = [[name, *(value_text(values[name]) if name in values else "-" for values in both)] for name in names]
    return Table("The best configuration" + (" beside the baseline's" if baseline is not None else ""), columns, rows, numbers=(1, 2))


def _values(study: Study, trial: Trial, names: Sequence[str]) -> list[str]:
    """What the trial has of these parameters, also where that is fixed; nothing where it does not use them."""
    whole = study.space.whole(trial.configuration)
    return [value_text(whole[name]) if name in whole else "" for name in names]


# -- the sections -----------------------------------------------------------------------------------------------------


def _front(known: Known) -> Iterator[Block]:
    study = known.study
    if len(study.objectives) < 2 or not study.ended:
        return
    yield Text(front_sentence(study))
    yield from figures.front_figures(study)
    if study.front:
        metrics = [objective.metric for objective in study.objectives]
        names = list(dict.fromkeys(name for trial in study.front for name in trial.configuration))
        rows = [
            [
                str(trial.number),
                *(number_text(study.reached(trial)[metric]) for metric in metrics),
                *_values(study, trial, names),
            ]
            for trial in study.front[:_MOST_ON_FRONT]
        ]
        more = len(study.front) - len(rows)
        caption = "The front, the best by the first objective first" + (f"; {more} more are in the table of trials." if more else "")
        yield Table(caption, ["trial", *metrics, *names], rows, numbers=range(len(metrics) + 1))


def _progress(known: Known) -> Iterator[Block]:
    study = known.study
    yield from figures.confirmation_figures(study)
    shown = figures.best_figures(study, known.spans)
    yield from shown[:1]
    if len(shown) > 1:
        yield Group(shown[1:], is_pair=True)
    yield from figures.curve_figures(study)
    yield from figures.pruning_figures(study)


def _parameters(known: Known, found: Importances) -> Iterator[Block]:
    study = known.study
    if not study.counts.get("complete") and not study.counts.get("pruned"):
        return
    if found.parameters:
        yield Points([sentence(study, found, each) for each in found.parameters[:3]])
    elif found.why_none:
        yield Text(found.why_none, is_note=True)
    yield from figures.importance_figures(found)
    slices = figures.slice_figures(study, found)
    if slices:
        yield Group(slices)
    yield from figures.contour_figures(study, found)
    yield from figures.parallel_figures(study, found)


def _workers(known: Known) -> Iterator[Block]:
    shown = figures.timeline_figures(known.study, known.spans)
    share = utilisation(known.spans)
    yield from shown
    asking = sum(trial.ask_seconds for trial in known.study.trials)
    if shown and share is not None and asking >= 0.1:
        yield Text(f"Choosing configurations took {format_duration(max(1, round(asking)))} in all.", is_note=True)


def _trials(known: Known) -> Iterator[Block]:
    study = known.study
    if not study.trials:
        return
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.configuration))
    metric = study.objective.metric
    others = [objective.metric for objective in study.objectives[1:]]
    head = ["trial", "state", metric, *others, "best epoch", "epochs", "seconds"]
    rows = [
        [
            str(trial.number),
            trial.state.replace("_", " "),
            *("" if value is None else number_text(value) for value in study.reached(trial).values()),
            str(trial.epoch or ""),
            str(trial.epochs),
            f"{trial.seconds:.2f}",
            *_values(study, trial, names),
        ]
        for trial in study.trials
    ]
    are_numbers = [
        all(isinstance(t.configuration.get(name, 0), int | float) and not isinstance(t.configuration.get(name), bool) for t in study.trials)
        for name in names
    ]
    marked = [trial.number for trial in study.front] if others else [study.winner.number] if study.winner is not None else []
    yield DataTable(
        "trials",
        f"All trials of the study: state, validation {metric}, best epoch, epochs trained, device seconds, parameters.",
        [*head, *names],
        rows,
        numbers=(0, *range(2, len(head)), *(len(head) + index for index, is_number in enumerate(are_numbers) if is_number)),
        keys={2 + index: [study.reached(trial)[name] for trial in study.trials] for index, name in enumerate((metric, *others))},
        state=1,
        sort=2,
        is_falling=study.objective.maximize,
        marked=marked,
        what="trials",
        hint=_filter_example(study, names),
    )


def _filter_example(study: Study, names: Sequence[str]) -> str:
    for name in names:
        value = next(trial.configuration[name] for trial in study.trials if name in trial.configuration)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{name} > {value_text(value)}"
    return "words, or epochs > 5"


def _failures(known: Known) -> Iterator[Block]:
    study = known.study
    broken = [trial for trial in study.trials if trial.state in _NOT_WORKED]
    if not broken:
        return
    kinds: dict[tuple[str, str], list[Trial]] = {}
    for trial in broken:
        why = why_text(trial)
        kinds.setdefault((trial.state, why.rpartition(" in epoch ")[0] if trial.state == "diverged" else why), []).append(trial)
    yield Text(f"{len(broken)} of {study.ended} trials did not work out.")
    for (state, why), trials in list(kinds.items())[:_MOST_FAILURES]:
        numbers = ", ".join(str(trial.number) for trial in trials[:12]) + (", ..." if len(trials) > 12 else "")
        first = trials[0]
        said = why or "no words were left"
        yield Folded(
            f"{state.replace('_', ' ')}: {said} (trial{'s' if len(trials) > 1 else ''} {numbers})",
            [
                Text("Parameters: " + ", ".join(f"{name} {value_text(value)}" for name, value in first.configuration.items()) + "."),
                *_log_lines(known.folder, first),
            ],
            is_open=len(kinds) == 1,
        )
    if len(kinds) > _MOST_FAILURES:
        yield Text(f"{len(kinds) - _MOST_FAILURES} more kinds of failures are left out; `automl trials --failed` lists them.", is_note=True)


def _log_lines(folder: Path, trial: Trial) -> Iterator[Block]:
    """The end of the trial's log; the reason that its events keep, where there is no log."""
    file = folder / "trials" / str(trial.number) / "log.txt"
    try:
        text = file.read_text(encoding="utf-8", errors="replace").rstrip()
    except OSError:
        text = ""
    lines = (text or trial.reason).splitlines()
    if lines:
        cut = len(lines) > _MOST_LINES
        label = f"{'The last lines' if cut else 'All'} of {file}" if text else f"What trial {trial.number} left behind"
        yield Code(label, "\n".join(lines[-_MOST_LINES:]))


# -- how to do it again -----------------------------------------------------------------------------------------------


def _specification(known: Known) -> Iterator[Block]:
    study, folder = known.study, known.folder
    yield Code("Repeat the study", repeating_command(study, folder), is_command=True)
    if study.winner is not None and (folder / "best").is_dir():
        yield Code("Train the winner once more", command_again(study, folder), is_command=True)
        yield Code("Use the winner, in Python", f"from automl import load_best\nmodel = load_best({str(folder)!r})", is_command=True)
    yield Facts("What it was made with", list(_facts(known)))
    yield Folded("The specification as run (study.yaml), with every default", [Code("study.yaml", spacefile.dump(study.spec))])


def repeating_command(study: Study, folder: Path) -> str:
    """The command that runs the same study once more, under another name."""
    return shlex.join(["automl", "run", str(folder / "study.yaml"), "--study", f"{folder.resolve().name}-repeated"])


def _facts(known: Known) -> Iterator[tuple[str, str]]:
    study, settings = known.study, known.study.spec.settings
    created = known.created
    yield "seed", f"{settings.seed}; of the splits of the data: {study.spec.data.split_seed}"
    if study.winner is not None:
        yield f"seed of trial {study.winner.number}", str(study.trial_seed(study.key(study.winner.number)))
    if created is not None:
        yield "begun", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(created.at))
        if study.spec.data.source:
            yield "data", f"{study.spec.data.source}, fingerprint {created.data_fingerprint[:16]}"
    if known.data is not None:
        yield "what is in them", " ".join((*known.data.facts, *known.data.notes))
    if known.environments:
        yield from known.environments[-1].items()
        for names in _changed(known.environments):
            yield "changed between its runs", names
        return
    if created is not None:
        yield "automl", created.version
    devices = sorted({trial.device for trial in study.trials if trial.device})
    if devices:
        yield "devices", ", ".join(devices)


def _changed(environments: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What was not the same in all runs of the study, the command apart."""
    names = dict.fromkeys(name for each in environments for name in each if name != "command")
    changed = [name for name in names if len({each.get(name) for each in environments}) > 1]
    if changed:
        yield "; ".join(f"{name}: {', then '.join(dict.fromkeys(each.get(name, '-') for each in environments))}" for name in changed)
