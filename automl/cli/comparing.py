"""What a person sees of a comparison: how far the studies are, on stderr, and the standings with the verdict at the end."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from automl.cli.live import LiveScreen, PatientConsole, can_show_screen
from automl.cli.screen import bar, clock
from automl.cli.wrapping import print_sentence
from automl.compare.plan import ComparePlan
from automl.compare.report import Report
from automl.compare.running import Entry
from automl.compare.statistics import Estimate
from automl.driver import Follower
from automl.events import Slot
from automl.study import Study
from automl.summary import number_text
from automl.trials import Event

_MOST_ADVISED = 100  # repeats


class Comparing:
    """Shows one comparison while it runs. Use it as a context manager around ``concluding.compare``."""

    def __init__(self, plan: ComparePlan, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console or PatientConsole(stderr=True, highlight=False)
        self._live: LiveScreen | None = None
        self._entries: Sequence[Entry] = ()
        self._began = time.monotonic()
        self._ended_before = 0
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        plan = self._plan
        if can_show_screen(self._console):
            self._live = LiveScreen(self._console, self._screen)
            self._live.__enter__()
        else:
            arms = ", ".join(arm.name for arm in plan.arms)
            self.say(f"{plan.folder}: {arms} on {plan.spec.name}, {plan.repeats} repeats of {plan.budget.words}; preparing ...")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def say(self, line: str) -> None:
        """Print a line; while the screen is there it is shown on it, and kept."""
        if self._live is not None:
            self._live.note(line)
        else:
            self._console.print(Text(line, style="dim"), soft_wrap=not self._console.is_terminal)

    def watch(self, entries: Sequence[Entry], slots: Sequence[Slot]) -> Sequence[Follower]:
        """Show these studies from now on; returns the followers of their events."""
        self._entries = entries
        self._began, self._ended_before = time.monotonic(), sum(entry.study.ended for entry in entries)
        workers = f"{len(slots)} worker{'s' if len(slots) != 1 else ''} on {', '.join(sorted({slot.device for slot in slots}))}"
        there = f": {self._ended_before} trials are there already" if self._ended_before else ""
        self.say(f"{len(entries)} studies with {workers}{there}")
        self._told = {entry.folder.name for entry in entries if entry.session.is_done}
        return [self._follower(entry) for entry in entries]

    def _follower(self, entry: Entry) -> Follower:
        def follow(events: Sequence[tuple[int, Event]]) -> None:
            if self._live is None and entry.session.is_done and entry.folder.name not in self._told:
                self._told.add(entry.folder.name)
                self._console.print(self._line(entry), soft_wrap=True)

        return follow

    def _line(self, entry: Entry) -> Text:
        study = entry.study
        best = (
            "no complete trial" if study.best is None else f"best validation {study.objective.metric} {number_text(study.best.objective)}"
        )
        seconds = sum(trial.seconds for trial in study.trials)
        return Text.assemble(
            f"[{len(self._told)}/{len(self._entries)}] {entry.folder.name} {best}", (f" ({study.ended} trials, {seconds:.1f} s)", "dim")
        )

    # -- the live screen ------------------------------------------------------------------------------------------------

    def _screen(self, notes: Sequence[str]) -> Text:
        if not self._entries:
            return Text(f"preparing data and workers ... {time.monotonic() - self._began:.0f} s", style="dim")
        lines = [self._head(), self._progress(), Text(), *self._arms(), Text()]
        rested = {entry.study.why_rested for entry in self._entries}
        if None not in rested:
            after = "stopping ..." if rested & {"interrupted", "failed"} else "testing the winners, writing the page and MLflow ..."
            lines.append(Text(after, style="dim"))
        return Text("\n").join([*lines, *(Text(note, style="dim") for note in notes[-4:])])

    def _head(self) -> Text:
        objective, plan = self._entries[0].study.objective, self._plan
        sense = "more" if objective.maximize else "less"
        about = f"  {plan.repeats} repeats of {plan.budget.words}; {objective.metric}, {sense} is better"
        return Text.assemble((plan.folder.name, "bold"), (about, "dim"))

    def _progress(self) -> Text:
        elapsed = time.monotonic() - self._began
        ended, asked = sum(entry.study.ended for entry in self._entries), len(self._entries) * self._plan.budget.most_trials
        if self._plan.budget.has_other_limits:
            return Text(f"{ended} trials  {clock(elapsed)}")
        done = ended - self._ended_before
        left = f", {clock(elapsed / done * (asked - ended))} left" if done else ""
        words = f"{ended}/{asked} trials  {clock(elapsed)}{left}"
        return Text.assemble(bar(ended, asked, max(5, self._console.width - 2 - max(30, len(words)))), "  ", words)

    def _arms(self) -> list[Text]:
        width = max(3, *(len(arm.name) for arm in self._plan.arms))
        metric = self._entries[0].study.objective.metric
        lines = [Text(f"{'arm':<{width}}  trials  running  best validation {metric} of its studies so far", style="dim")]
        for arm in self._plan.arms:
            studies = [entry.study for entry in self._entries if entry.member.arm.name == arm.name]
            running = sum(study.counts.get("running", 0) for study in studies)
            lines.append(Text(f"{arm.name:<{width}}  {sum(study.ended for study in studies):>6}  {running:>7}  {_values(studies)}"))
        return lines


def _values(studies: Sequence[Study]) -> str:
    values = sorted(best.objective for study in studies if (best := study.best) is not None and best.objective is not None)
    if not values:
        return "-"
    return number_text(values[0]) if len(values) == 1 else f"{number_text(values[0])} to {number_text(values[-1])}"


# -- the end ------------------------------------------------------------------------------------------------------------


def print_report(report: Report, page: Path | None = None, tracking: str | None = None) -> None:
    """The standings, the verdict, and where to look, on stdout."""
    _print_table(partial(_standings, report))
    if len(report.judged.pairs) > 1:
        _print_table(partial(_pairs, report))
    first, *rest = report.sentences
    if sys.stdout.isatty():
        click.secho(click.wrap_text(first, Console().width), bold=True)
    else:
        click.echo(first)
    for sentence in (*rest, *report.notes):
        print_sentence(sentence)
    more = _more_repeats(report)
    if more:
        click.echo(f"More repeats:  {more}")
    if page is not None:
        click.echo(f"Page:          {page}")
    if tracking:
        click.echo(f"MLflow:        {tracking}")


def _more_repeats(report: Report) -> str:
    """The command that would tell, where that is known."""
    counts = [pair.outlook.repeats for pair in report.judged.pairs if pair.outlook is not None and pair.call == "cannot tell"]
    known = [count for count in counts if count is not None and count > report.judged.repeats]
    if not known or min(known) > _MOST_ADVISED or not report.folder or "compare" not in sys.argv[1:2] or report.judged.unbeaten[1:] == []:
        return ""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if word == "--repeats":
            next(words, None)
        elif not word.startswith("--repeats="):
            kept.append(word)
    return shlex.join(["automl", *kept, "--repeats", str(min(known))])


def _standings(report: Report, detail: int) -> Table:
    judged = report.judged
    metric, split = judged.objective.metric, judged.split
    names = ("arm", "mean rank", f"{metric} ({split})", "validation", "epochs", "seconds", "asking")
    table = _table(*(names if detail else ("arm", "rank", split)))
    for standing in judged.standings:
        count = len(standing.results)
        cells = [
            standing.name,
            f"{standing.mean_rank:.2f}",
            _with_interval(standing.test) if detail > 1 else number_text(standing.test.value),
        ]
        if detail:
            cells.append(number_text(standing.validation.value))
            cells.append(f"{sum(result.epochs for result in standing.results) / count:,.0f}")
            cells.append(f"{sum(result.seconds for result in standing.results) / count:.1f}")
            cells.append(f"{sum(result.ask_seconds for result in standing.results) / count:.2f}")
        table.add_row(*cells)
    return table


def _pairs(report: Report, detail: int) -> Table:
    table = _table("A and B", *(("P(A beats B)", "difference", "p", "verdict") if detail else ("p", "better")))
    table.columns[-1].justify = "left"
    for pair in report.judged.pairs:
        both = f"{pair.a} and {pair.b}"
        better = {"a better": pair.a, "b better": pair.b}.get(pair.call)
        call = (f"{better} is better" if detail else better) if better else ("cannot tell" if detail else "?")
        low, high = pair.probability.low, pair.probability.high
        interval = f" ({low:.2f} to {high:.2f})" if detail > 1 and low is not None and high is not None else ""
        difference = _with_interval(pair.difference) if detail > 1 else number_text(pair.difference.value)
        numbers = [f"{pair.probability.value:.2f}{interval}", difference] if detail else []
        table.add_row(both, *numbers, f"{pair.p_adjusted:.3f}", call)
    return table


def _table(*names: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left", no_wrap=not _is_last(index, names), overflow="fold")
    return table


def _is_last(index: int, names: Sequence[str]) -> bool:
    return index == len(names) - 1


def _with_interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return number_text(estimate.value)
    return f"{number_text(estimate.value)} ({number_text(estimate.low)} to {number_text(estimate.high)})"


def _print_table(made: Callable[[int], Table]) -> None:
    """With as much detail as fits the terminal; with all of it for whoever pipes it."""
    console = Console(highlight=False, markup=False, emoji=False)  # names of arms are anybody's
    tables = [made(detail) for detail in (2, 1, 0)]
    widths = [Measurement.get(console, console.options.update(width=10_000), table).maximum for table in tables]
    if not console.is_terminal:
        console.width = max(widths)
    console.print(next((table for table, width in zip(tables, widths, strict=True) if width <= console.width), tables[-1]))
    click.echo()
