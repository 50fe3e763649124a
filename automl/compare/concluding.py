"""The end of a comparison: it is judged, and what was found is written down: table, page and MLflow."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl import mirroring
from automl.compare.page import PAGE, write_page
from automl.compare.plan import ComparePlan
from automl.compare.record import Record, read_record, write_record
from automl.compare.report import ROWS, Report, write_csv
from automl.compare.results import VALIDATION, result_of
from automl.compare.running import Entry, Finished, Watcher, carried_out
from automl.compare.verdict import Judged, judge
from automl.driver import WhyRested
from automl.folders import STUDIES
from automl.summary import number_text
from automl.tracking.comparison import ComparisonContent, write_comparison

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How ``compare`` ended. ``report`` is None where it was interrupted before there was a verdict.

    ``tracking`` says where MLflow shows it; None where tracking is off.
    """

    folder: Path
    why: WhyRested
    report: Report | None = None
    tracking: str | None = None


def compare(plan: ComparePlan, watch: Watcher | None = None, say: Say = lambda line: None) -> Outcome:
    """Carry out a comparison and conclude it. The same plan again goes on where it stopped, and says the same where nothing is left to do.

    ``watch`` and ``say`` as for ``carried_out``. Raises the errors of ``automl.errors``.
    """
    with carried_out(plan, watch, say) as finished:
        if finished.why != "done":
            return Outcome(plan.folder, finished.why)
        report, record = _report(plan, finished)
        write_record(plan.folder, record)
        write_csv(report.results, plan.folder / ROWS)
        write_page(report, plan.folder / PAGE)
        if plan.tracking_uri is None:
            return Outcome(plan.folder, "done", report)
        try:
            url = _bring_level(plan, plan.tracking_uri, finished.entries, report, record, say)
        except KeyboardInterrupt:
            return Outcome(plan.folder, "interrupted", report)
        return Outcome(plan.folder, "done", report, url)


def _report(plan: ComparePlan, finished: Finished) -> tuple[Report, Record]:
    results = [result_of(entry.study, entry.member.arm, entry.member.repeat, entry.folder.name) for entry in finished.entries]
    judged = judge(results, finished.entries[0].study.objective)
    record = read_record(plan.folder)
    look = (tuple(sorted(arm.name for arm in plan.arms)), plan.repeats, plan.budget.words)
    report = Report(
        name=plan.folder.name,
        space=plan.spec.name,
        data=finished.data.name,
        budget=plan.budget.words,
        judged=judged,
        looks=record.before(look),
        notes=(*plan.notes, *notes_of(judged, plan.budget.trials)),
        folder=str(plan.folder),
    )
    return report, record.looked(look)


def notes_of(judged: Judged, trials: int | None) -> list[str]:
    """What a person should know of how the studies went."""
    notes = []
    for standing in judged.standings:
        without = [result.study for result in standing.results if result.test is None]
        if without:
            notes.append(f"{standing.name}: no pick could be tested in {', '.join(without)}; that counts as worse than every other value.")
        fewest = min(result.trials for result in standing.results)
        if trials is not None and fewest < trials:
            notes.append(f"{standing.name}: its space was used up after {fewest} of {trials} trials.")
    if VALIDATION.startswith(judged.split):
        notes.append("The code says nothing of test data: picks were measured on the validation data, by which they were chosen.")
    elif judged.split != "test":
        notes.append(f"These data have no test split of their own: picks were measured on the {judged.split}, by which they were chosen.")
    return notes


def _bring_level(plan: ComparePlan, uri: str, entries: Sequence[Entry], report: Report, record: Record, say: Say) -> str:
    """Each study is written as every study is, one after the other: many writers would only wait for each other. Where MLflow is away
    when the first of them is to be written, the others are not tried. Returns where to look."""
    experiment = plan.options.experiment
    known = [mirroring.where_level(entry.folder, uri, experiment, entry.store, entry.study) for entry in entries]
    missing = [entry for entry, url in zip(entries, known, strict=True) if url is None]
    url = next((url for url in known if url), "")
    if missing:
        say(f"bringing MLflow level with {len(missing)} studies ...")
    for place, entry in enumerate(missing, 1):
        mirror = mirroring.start_mirror(uri, experiment, entry.folder, entry.store, entry.study, say)
        report_of_it = mirroring.bring_level(mirror, entry.folder, entry.study, "done", say)
        if not report_of_it.run:
            left = len(missing) - place
            say(f"The other {left} studies and the comparison are not in MLflow either. The same command writes them once it is back.")
            return _where(plan, url)
        url = url or report_of_it.url
    problem = write_comparison(uri, _content(plan, report, record))
    if problem:
        say(problem)
    return _where(plan, url)


def _where(plan: ComparePlan, url: str) -> str:
    """Where to look at all studies: the address of one at a server, else the command that opens them."""
    folder = plan.folder
    name = folder.name if folder.absolute().parent == STUDIES.absolute() else str(folder)
    return f"automl dashboard {shlex.quote(name)}" if url.startswith("automl ") else url


def _content(plan: ComparePlan, report: Report, record: Record) -> ComparisonContent:
    judged = report.judged
    metrics: dict[str, list[tuple[int, float]]] = {}
    for standing in judged.standings:
        metrics[f"mean_rank/{standing.name}"] = [(0, standing.mean_rank)]
        for kind in ("test", "validation", "seconds", "ask_seconds", "epochs"):
            values = [(result.repeat, getattr(result, kind)) for result in standing.results]
            metrics[f"{kind}/{standing.name}"] = [(repeat, float(value)) for repeat, value in values if value is not None]
    for pair in judged.pairs:
        metrics[f"p_value/{pair.a} - {pair.b}"] = [(0, pair.p_adjusted)]
        metrics[f"probability_better/{pair.a} - {pair.b}"] = [(0, pair.probability.value or 0.0)]
    return ComparisonContent(
        identity=record.identity,
        name=report.name,
        experiment=plan.options.experiment or plan.spec.name,
        note=_note(report),
        tags={"automl.folder": str(plan.folder.absolute()), "automl.data": report.data, "automl.seed": str(plan.spec.settings.seed)},
        metrics={name: [point for point in series if math.isfinite(point[1])] for name, series in metrics.items()},
        artifacts=[plan.folder / name for name in (PAGE, ROWS)],
    )


def _note(report: Report) -> str:
    metric = report.judged.objective.metric
    head = ["arm", "mean rank", f"{metric} ({report.judged.split})", f"{metric} (validation)", "seconds a study"]
    table = [head, ["---"] * len(head)]
    for standing in report.judged.standings:
        values = (standing.mean_rank, standing.test.value, standing.validation.value, standing.seconds)
        table.append([standing.name.replace("|", "\\|"), *(number_text(value) for value in values)])
    first, *rest = report.sentences
    return "\n\n".join([f"**{first}**", *([" ".join(rest)] if rest else []), "\n".join(f"| {' | '.join(row)} |" for row in table)])
