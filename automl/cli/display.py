"""What a person sees while a study runs, on stderr: a live screen on a terminal, else a line for every trial that ends.

The display follows the events; it asks nothing of anybody and nothing waits for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from automl.driver import Follower
from automl.events import Configuration, Slot
from automl.plan import Plan
from automl.study import Event, Study, Trial
from automl.summary import epochs_saved, number_text, value_text

_COLOURS = {"complete": "green", "pruned": "yellow", "running": "cyan", "waiting": "dim"}
_REFRESH = 4  # times a second
_LAST_ENDS = 5


class _Patient(Console):
    """Where whoever read the progress has gone, the run goes on in silence; rich would end it, and close stdout to the answer."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Display:
    """Shows one run. Use it as a context manager around ``launch.run``."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console or _Patient(stderr=True, highlight=False)
        self._live: Live | None = None
        self._study: Study | None = None
        self._slots: Sequence[Slot] = ()
        self._began = time.monotonic()
        self._ended_before = 0
        self._ends_seen = 0
        self._last_ends: deque[int] = deque(maxlen=_LAST_ENDS)
        self._best: int | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._screen, console=self._console, refresh_per_second=_REFRESH, transient=True, redirect_stdout=False
            )
            self._live.start()
        else:
            self.say(self._beginning())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Print a line; it scrolls above the live screen."""
        self._console.print(Text(line, style="dim"), soft_wrap=not self._console.is_terminal)

    def _beginning(self) -> str:
        """What is about to be done, for whoever sees no screen: preparing takes seconds in which nothing else is said."""
        spec, settings = self._plan.spec, self._plan.spec.settings
        how = f"{settings.strategy}, pruner {settings.pruner}"
        return f"{self._plan.folder}: {spec.name} ({spec.model}) on {spec.data.source}, {settings.trials} trials, {how}; preparing ..."

    def watch(self, study: Study, slots: Sequence[Slot]) -> Follower:
        """Show this study from now on; returns the follower of its events."""
        self._study, self._slots = study, slots
        self._began, self._ended_before, self._ends_seen = time.monotonic(), study.ended, study.ended
        self._best = study.best.number if study.best else None
        verb, asked = "continuing" if self._plan.continues else "starting", self._plan.spec.settings.trials
        workers = f"{len(slots)} worker{'s' if len(slots) != 1 else ''} on {', '.join(sorted({slot.device for slot in slots}))}"
        self.say(f"{verb} {self._plan.folder} with {workers}: {study.ended} of {asked} trials")
        return self._follow

    def _follow(self, events: Sequence[tuple[int, Event]]) -> None:
        study = self._study
        assert study is not None
        for position in range(self._ends_seen, study.ended):
            trial = study.trials[study.ended_order[position]]
            self._last_ends.append(trial.number)
            if self._live is None:
                self._console.print(self._line(trial, position + 1), soft_wrap=True)
        self._ends_seen = study.ended
        if study.best is not None:
            self._best = study.best.number

    def _line(self, trial: Trial, position: int) -> Text:
        study = self._study
        assert study is not None
        metric = study.objective.metric
        text = Text(f"[{position}/{study.asked}] trial {trial.number} ")
        text.append(trial.state, _COLOURS.get(trial.state, "red"))
        if trial.objective is not None:
            text.append(f" {metric} {number_text(trial.objective)} at epoch {trial.epoch}")
        if trial.state == "complete" and study.best is not None and study.best.number == trial.number and self._best != trial.number:
            text.append(" best so far", "bold")
        text.append(f" ({trial.epochs} of {study.spec.epochs} epochs, {trial.seconds:.1f} s)", "dim")
        return text

    # -- the live screen ------------------------------------------------------------------------------------------------

    def _screen(self) -> RenderableType:
        study = self._study
        if study is None:
            return Text(f"preparing data and workers ... {time.monotonic() - self._began:.0f} s", style="dim")
        is_training = study.why_rested is None
        ending = "stopping ..." if study.why_rested == "interrupted" else "testing the winner, bringing MLflow level ..."
        workers = self._workers(study) if is_training else Text(ending, style="dim")
        parts: list[RenderableType] = [self._head(study), self._progress(study), self._facts(study), workers]
        if self._last_ends:
            parts.append(self._ends(study))
        return Constrain(Group(*parts), max(1, self._console.width - len("^C ")))  # a ^C at its end must not begin another line

    def _head(self, study: Study) -> Text:
        settings = study.spec.settings
        sense = "more" if study.objective.maximize else "less"
        text = Text(self._plan.folder.name, style="bold", overflow="ellipsis", no_wrap=True)
        text.append(f"  {settings.strategy}, pruner {settings.pruner}; {study.objective.metric}, {sense} is better", "dim")
        return text

    def _progress(self, study: Study) -> Table:
        elapsed = time.monotonic() - self._began
        done = study.ended - self._ended_before
        left = elapsed / done * (study.asked - study.ended) if done else None
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True)
        times = _clock(elapsed) + (f" + {_clock(left)} left" if left is not None else "")
        row.add_row(ProgressBar(total=max(1, study.asked), completed=study.ended), f"{study.ended}/{study.asked} trials", times)
        return row

    def _facts(self, study: Study) -> Table:
        facts = Table.grid(padding=(0, 2), expand=True)
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
        best, baseline = study.best, study.baseline
        base = number_text(baseline.objective) if baseline and baseline.objective is not None else "-"
        if best is None:
            facts.add_row("best", "-")
        else:
            gain = f", {study.gain:+.4g} against the baseline's {base}" if study.gain is not None and best.number else ""
            facts.add_row("best", Text(f"{number_text(best.objective)} in trial {best.number}{gain}", style="bold green"))
            facts.add_row("", Text(_words(best.configuration), style="dim"))
        counts = ", ".join(
            f"{n} {state.replace('_', ' ')}" for state, n in list(study.counts.items()) if n and state not in ("running", "waiting")
        )
        saved, whole = epochs_saved(study)
        pruning = f"; pruning saved {saved / whole:.0%} of the epochs" if saved else ""
        facts.add_row("ended", (counts or "-") + pruning)
        return facts

    def _workers(self, study: Study) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
        table.add_column("worker", no_wrap=True)
        table.add_column("trial", no_wrap=True, justify="right")
        table.add_column("epoch", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column(study.objective.metric, no_wrap=True, justify="right")
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
        shown = max(1, min(len(self._slots), self._console.size.height - 14))
        running = list(study.running())
        for trial in running[:shown]:
            value = number_text(trial.reports[-1].value) if trial.reports else "-"
            parameters = _words(trial.configuration)
            bar = ProgressBar(total=study.spec.epochs, completed=trial.epochs, width=10)
            table.add_row(trial.worker, str(trial.number), f"{trial.epochs}/{study.spec.epochs}", bar, value, Text(parameters, style="dim"))
        if len(running) > shown:
            table.add_row(Text(f"and {len(running) - shown} more", style="dim"))
        return table

    def _ends(self, study: Study) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(justify="right", style="dim")
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        for number in reversed(self._last_ends):
            trial = study.trials[number]
            state = Text(trial.state.replace("_", " "), style=_COLOURS.get(trial.state, "red"))
            reason = trial.reason.strip().splitlines()[-1] if trial.reason.strip() and trial.state != "pruned" else ""
            table.add_row(str(number), state, number_text(trial.objective), reason or f"{_epochs(trial.epochs)}, {trial.seconds:.1f} s")
        return table


def _words(configuration: Configuration) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in configuration.items())


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
