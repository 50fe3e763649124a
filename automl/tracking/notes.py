"""What MLflow's UI says of a run in words: Markdown, made from plain values without MLflow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from automl.events import Value
from automl.summary import number_text
from automl.tracking.content import LONGEST_TAG, StudyHeader, Summary, last_part, shortened, text
from automl.trials import Trial

_ROWS = (10, 5, 3, 1)  # of the table: as many as there is room for
_MOST_IMPORTANT = 5


@dataclass(frozen=True, slots=True)
class Links:
    """Where a note leads to, after the address of the server: trials by number, and other places by their names."""

    trials: Mapping[int, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def trial(self, number: int) -> str:
        """The number of a trial, as a link where it has a run."""
        return f"[{number}]({self.trials[number]})" if number in self.trials else str(number)


def study_note(header: StudyHeader, summary: Summary, links: Links) -> str:
    """The study's note: the winner and its gain over the baseline, where to look, the best trials, what mattered, what was pruned and
    failed, and the command that trains the winner again. At most as long as a tag may be."""
    for rows in _ROWS:
        note = "\n\n".join(part for part in _parts(header, summary, links, rows) if part)
        if len(note) <= LONGEST_TAG:
            break
    return shortened(note, LONGEST_TAG)


def trial_note(trial: Mapping[str, str], log: str) -> str:
    """The note of a trial that ended in an error: ``trial`` are its tags, ``log`` where its log is, if there is one."""
    number, state = trial.get("automl.trial", ""), trial.get("automl.state", "failed").replace("_", " ")
    reason = last_part(trial.get("automl.reason", "").strip(), LONGEST_TAG // 2).replace("```", "'''")
    parts = [f"**Trial {number}: {state}.**", f"```\n{reason}\n```" if reason else "", f"[Its log]({log})" if log else ""]
    return "\n\n".join(part for part in parts if part)


def experiment_note(places: Mapping[str, str]) -> str:
    """The note that heads the page of an experiment."""
    return f"Hyperparameter search by automl: a run for each study, and one below it for each trial. {_row(places)}"


def _parts(header: StudyHeader, summary: Summary, links: Links, rows: int) -> list[str]:
    tested = ", ".join(f"{name} {number_text(value)}" for name, value in summary.test_metrics.items())
    split = "the test split" if summary.test_split in ("", "test") else summary.test_split
    return [
        _verdict(header, summary, links),
        _row(links.places),
        f"On {split}, measured once: {tested}." if tested else "",
        "### What may be wrong with the data\n\n" + "\n".join(f"- {warning}" for warning in header.data_warnings)
        if header.data_warnings
        else "",
        f"### The best trials\n\n{_table(header, summary.top[:rows], links)}" if summary.top else "",
        f"### What mattered\n\n{_importances(summary.importances)}" if summary.importances else "",
        f"### Pruned and failed\n\n{_ended(summary, links)}",
        f"### Train the winner again\n\n```sh\n{summary.again}\n```" if summary.again else "",
    ]


def _row(places: Mapping[str, str]) -> str:
    return " · ".join(f"[{name}]({route})" for name, route in places.items())


def _verdict(header: StudyHeader, summary: Summary, links: Links) -> str:
    if not summary.top or summary.top[0].objective is None:
        return f"**No trial is complete yet** ({header.metric}, {_counted(summary)})."
    best = summary.winner or summary.top[0]
    verb = "won" if summary.why == "done" else "leads"
    where = f"in epoch {best.epoch}" if header.replicates == 1 else f"in {header.replicates} trainings"
    reached = f"{header.metric} {number_text(best.objective)}** {where}, of {_counted(summary)}."
    return f"**Trial {links.trial(best.number)} {verb}: {reached} {summary.gain_text} {summary.confirmation}".rstrip()


def _counted(summary: Summary) -> str:
    ended = sum(count for state, count in summary.counts.items() if state not in ("waiting", "running"))
    return f"{ended} trials" if ended == summary.asked else f"{ended} of {summary.asked} trials"


def _table(header: StudyHeader, top: Sequence[Trial], links: Links) -> str:
    named = [name for name in header.searched if any(name in trial.configuration for trial in top)]
    rows = [
        ["trial", header.metric, "epoch", *named],
        ["---:", "---:", "---:", *("---:" if name in header.numeric else "---" for name in named)],
    ]
    for trial in top:
        number = f"{links.trial(trial.number)} baseline" if trial.origin == "baseline" else links.trial(trial.number)
        values = [_cell(trial.configuration.get(name)) if name in trial.configuration else "" for name in named]
        rows.append([number, "" if trial.objective is None else number_text(trial.objective), str(trial.epoch or ""), *values])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: Value) -> str:
    words = f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else text(value)
    return re.sub(r"\s+", " ", shortened(words, 60)).replace("\\", "\\\\").replace("|", "\\|")


def _importances(found: Sequence[tuple[str, float, bool]]) -> str:
    said = [f"{name} {share:.0%}{'' if is_clear else ' (may be chance)'}" for name, share, is_clear in found[:_MOST_IMPORTANT]]
    others = sum(share for _, share, _ in found[_MOST_IMPORTANT:])
    more = [f"all others {others:.0%}"] if found[_MOST_IMPORTANT:] else []
    return f"Share of each parameter in what sets the best trials apart (PED-ANOVA): {', '.join(said + more)}."


def _ended(summary: Summary, links: Links) -> str:
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(summary.counts.items())) or "none"
    saved, whole = summary.epochs
    said = [f"Trials: {counts}."]
    if saved:
        said.append(f"Pruning saved {saved:,} of {whole:,} epochs.")
    if not summary.failures:
        return " ".join(said)
    more = f"The last {len(summary.failures)} of {summary.failed} that failed:" if summary.failed > len(summary.failures) else "Failed:"
    return "\n".join([f"{' '.join(said)} {more}", "", *(f"- {links.trial(trial.number)}: {_failure(trial)}" for trial in summary.failures)])


def _failure(trial: Trial) -> str:
    """What ended a trial, in a line: errors say at their end what they are about."""
    lines = [line.strip() for line in trial.reason.splitlines() if line.strip()]
    why = f": `{shortened(lines[-1], 200).replace('`', chr(39))}`" if lines else ""
    return f"{trial.state.replace('_', ' ')} after {trial.epochs} epoch{'s' if trial.epochs != 1 else ''}{why}"
