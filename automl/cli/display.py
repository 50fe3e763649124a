"""What a person sees while a study runs, on stderr: a live screen on a terminal, else a line for every trial that ends.

The display follows the events; it asks nothing of anybody and nothing waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from textwrap import shorten
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from automl.cli.live import Feed, LiveScreen, PatientConsole, can_show_screen
from automl.cli.screen import COLOURS
from automl.driver import Follower
from automl.events import Slot
from automl.plan import Plan
from automl.study import Study
from automl.summary import number_text, why_text
from automl.trials import Trial

_LONGEST_REASON = 240
"""Characters of why a trial failed, in its line; all of it is in `automl trials STUDY NUMBER`."""


class Display:
    """Shows one run. Use it as a context manager around ``launch.run``."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console or PatientConsole(stderr=True, highlight=False)
        self._stack = ExitStack()
        self._live: LiveScreen | None = None
        self._feed = Feed(plan.folder.name, os.getpid())

    def __enter__(self) -> Self:
        if can_show_screen(self._console):
            self._live = self._stack.enter_context(LiveScreen(self._console, self._feed.take))
            self._stack.enter_context(self._feed)
        else:
            self.say(self._beginning())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live = None
        self._stack.close()

    def say(self, line: str) -> None:
        """Tell a person this; on the live screen it stands at the bottom and is printed at the end."""
        if self._live is not None:
            self._live.note(line)
        else:
            self._console.print(Text(line, style="dim"), soft_wrap=True)

    def _beginning(self) -> str:
        """What is about to be done, for whoever sees no screen: preparing takes seconds in which nothing else is said."""
        spec, settings = self._plan.spec, self._plan.spec.settings
        how = f"{settings.trials} trial{'s' if settings.trials != 1 else ''}, {settings.strategy}, pruner {settings.pruner}"
        return f"{self._plan.folder}: {spec.title}, {how}; preparing ..."

    def watch(self, study: Study, slots: Sequence[Slot]) -> Follower:
        """Show this study from now on; returns the follower of its events."""
        verb, asked = "continuing" if self._plan.continues else "starting", self._plan.spec.settings.trials
        workers = f"{len(slots)} worker{'s' if len(slots) != 1 else ''} on {', '.join(sorted({slot.device for slot in slots}))}"
        self.say(f"{verb} {self._plan.folder} with {workers}: {study.ended} of {asked} trials")
        if self._live is not None:
            self._feed.begin(study, slots)
            return self._feed.put
        lines = EndLines(self._console, study)
        return lambda events: lines.print_new()


class EndLines:
    """A line for every trial that ends from now on."""

    def __init__(self, console: Console, study: Study) -> None:
        self._console = console
        self._study = study
        self._seen = study.ended
        self._best = study.best.number if study.best else None

    def print_new(self) -> None:
        """Print the lines of those that have ended since the last time."""
        study = self._study
        for position in range(self._seen, study.ended):
            self._console.print(self._line(study.trials[study.ended_order[position]], position + 1), soft_wrap=True)
        self._seen = study.ended
        self._best = study.best.number if study.best else None

    def _line(self, trial: Trial, position: int) -> Text:
        study = self._study
        text = Text(f"[{position}/{study.asked}] trial {trial.number} ")
        text.append(trial.state, COLOURS.get(trial.state, "red"))
        if trial.objective is not None:
            where = f" in {len(trial.replicates)} trainings" if trial.replicates else f" at epoch {trial.epoch}"
            text.append(f" {study.objective.metric} {number_text(trial.objective)}{where}")
        if trial.state == "complete" and study.best is not None and study.best.number == trial.number and self._best != trial.number:
            text.append(" best so far", "bold")
        text.append(f" ({trial.epochs_trained} of {study.spec.epochs * study.replicates} epochs, {trial.seconds:.1f} s)", "dim")
        if trial.state not in ("complete", "pruned") and (why := why_text(trial)):
            text.append(f": {shorten(why, _LONGEST_REASON, placeholder=' ...')}")
        return text
