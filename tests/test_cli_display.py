"""The live screen as text: what a person reads of a study while it runs, on terminals of several sizes."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from automl.cli.display import Display
from automl.cli.live import LiveScreen
from automl.cli.screen import screen
from automl.engines.usage import Use
from automl.events import Slot
from automl.plan import Plan
from automl.progress import Progress, Snapshot
from automl.space import Float, Int, SearchSpace
from automl.trials import Rested, Resumed
from contracts.studies import Play, make_study

SPACE = SearchSpace((Int("units", 8, 64), Float("learning_rate", 1e-4, 1e-1, log=True)))
SLOTS = (Slot(0, "cpu", 4, "simulated"), Slot(1, "cpu", 4, "idle"))


def played(name: str = "first") -> tuple[Play, Progress]:
    """The middle of a study: the baseline complete, 1 pruned after one epoch, 2 better than the baseline, 3 failed, 4 running."""
    play = Play(make_study(SPACE, epochs=3))
    progress = Progress(name, play.study.copy(), SLOTS)
    play.apply(Resumed(0.0, 8))
    play.suggest({"units": 8, "learning_rate": 0.001}, "baseline")
    for units in range(1, 5):
        play.suggest({"units": units + 8, "learning_rate": 0.01})
    play.train(0, (0.5, 0.6, 0.7))
    play.train(1, (0.2,), "pruned")
    play.train(2, (0.7, 0.8, 0.75))
    play.train(3, (), "failed")
    play.start(4)
    play.report(4, 0.65)
    progress.take(play.events)
    return play, progress


def snapshot(name: str = "first") -> Snapshot:
    return played(name)[1].snapshot(6.0, uses={"cpu": Use(0.93)})


def text(lines: list[Text]) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def test_one_screen_says_how_far_what_leads_who_works_and_what_ended() -> None:
    assert text(screen(snapshot(), 80, 24)) == [
        "first  bayesian, pruner asha; score, more is better",
        "━━━━━━━━━━━━━━━━━━━━━━━━────────────────────────  4/8 trials  0:06, 0:04 left",
        "",
        "best      0.8 in trial 2, +0.1 against the baseline's 0.7",
        "          units 10, learning_rate 0.01",
        "so far    ▁▁██  from 0.7 to 0.8",
        "ended     2 complete, 1 failed, 1 pruned",
        "epochs    7 trained, 2 saved by pruning (22%)",
        "",
        "device    workers    lanes busy     use            memory   epochs/s",
        "cpu             2        1 of 8     93%                 -        1.3",
        "",
        "trial  epoch                     score  parameters",
        "    4  1/3      ━━━───────        0.65  units 12, learning_rate 0.01",
        *[""] * 6,
        " last  ended as      score       how",
        "    3  failed        -           an error (0 of 3 epochs, 0.0 s)",
        "    2  complete      0.8         3 of 3 epochs, 3.0 s",
        "    1  pruned        0.2         1 of 3 epochs, 1.0 s",
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(width=st.integers(1, 220), height=st.integers(1, 60), ascii_only=st.booleans())
def test_no_line_is_wider_and_no_screen_higher_than_the_terminal(width: int, height: int, ascii_only: bool) -> None:
    shown = replace(snapshot("eine Studie mit Ümläuten, 研究 and a line\nbreak" * 3), notes=("a note\x1b[2J" * 30, "another"))
    lines = screen(shown, width, height, ascii_only)
    assert max(line.cell_len for line in lines) <= width
    assert len(lines) <= height
    assert not any(letter in line.plain for line in lines for letter in "\n\x1b")


@pytest.mark.parametrize(("width", "height"), [(40, 20), (80, 24), (200, 50)])
def test_the_screen_keeps_its_places_while_trials_come_and_go(width: int, height: int) -> None:
    """Nothing jumps: headings stand in the same lines from the first end to the last."""
    play, progress = played()
    before = text(screen(progress.snapshot(6.0), width, height))
    play.train(4, (0.9, 0.95))
    for number in range(5, 8):
        play.suggest({"units": number + 20, "learning_rate": 0.02})
        play.start(number)
    progress.take(play.events[-7:])
    after = text(screen(progress.snapshot(7.0), width, height))
    headings = ("best", "ended", "epochs", "device", "trial", " last")
    for heading in headings:
        places = [[index for index, line in enumerate(lines) if line.startswith(heading)] for lines in (before, after)]
        assert places[0] == places[1], heading


def test_a_larger_screen_has_a_chart_and_all_of_the_parameters() -> None:
    lines = text(screen(snapshot(), 200, 50))
    assert "score of each trial, best so far, baseline" in lines
    chart = lines[lines.index("score of each trial, best so far, baseline") + 1 :]
    assert chart[0].startswith("0.8 ┤")
    assert chart[9].startswith("0.2 ┤")


def test_without_a_complete_trial_the_screen_says_who_is_ahead() -> None:
    play = Play(make_study(SPACE, epochs=3))
    progress = Progress("first", play.study.copy())
    assert "best      no trial is complete yet" in text(screen(progress.snapshot(0.0), 80, 24))
    play.suggest({"units": 8, "learning_rate": 0.001})
    play.start(0)
    play.report(0, 0.4)
    progress.take(play.events)
    assert "best      no trial is complete yet; trial 0 is at 0.4" in text(screen(progress.snapshot(0.0), 80, 24))


def test_of_a_study_at_rest_the_screen_says_why() -> None:
    _, progress = played()
    rested = Rested(7.0, "interrupted", 7.0)
    progress.take([rested])
    assert text(screen(progress.snapshot(8.0), 80, 24))[1].endswith("4/8 trials  stopping, 0:07")
    assert text(screen(progress.snapshot(8.0, is_driven=False), 80, 24))[1].endswith("4/8 trials  interrupted, 0:07")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_said_while_the_screen_stands_is_printed_when_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what some library writes to stderr meanwhile. The terminal's second page is left, and its cursor shown."""
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm-256color")
    with LiveScreen(Console(stderr=True, width=60, height=10), lambda notes: Text(f"{len(notes)} notes")) as live:
        live.note("lanes: 4 in each worker")
        print("a library warns", file=sys.stderr)
    assert sys.stderr is stderr
    screen_part, after = stderr.getvalue().split("\x1b[?1049l")
    assert "\x1b[?1049h" in screen_part
    assert "0 notes" in screen_part
    assert [line for line in Text.from_ansi(after).plain.splitlines() if line] == ["lanes: 4 in each worker", "a library warns"]
    assert stderr.getvalue().rindex("\x1b[?25h") > stderr.getvalue().rindex("\x1b[?25l")


def test_a_screen_that_fails_says_so_and_goes_on() -> None:
    def fail(notes: object) -> Text:
        raise ValueError("a bug")

    console = Console(width=80, height=5, file=io.StringIO(), force_terminal=True)
    with console.capture() as capture:
        console.print(LiveScreen(console, fail))
    assert Text.from_ansi(capture.get()).plain.strip() == "The display failed: ValueError('a bug'). The study goes on."


def plan_of(study: object) -> Plan:
    return cast("Plan", SimpleNamespace(folder=Path("studies/first"), continues=False, spec=study.spec))  # type: ignore[attr-defined]


def test_without_a_terminal_the_first_line_says_at_once_what_is_begun() -> None:
    study = make_study(SPACE, epochs=3)
    out = io.StringIO()
    with Display(plan_of(study), Console(width=40, file=out)):
        spec, settings = study.spec, study.spec.settings
        how = f"{settings.trials} trials, {settings.strategy}, pruner {settings.pruner}"
        assert out.getvalue() == f"studies/first: {spec.name} ({spec.model}) on {spec.data.source}, {how}; preparing ...\n"


def test_without_a_terminal_every_trial_that_ends_has_a_line() -> None:
    play, out = Play(make_study(SPACE, epochs=3)), io.StringIO()
    with Display(plan_of(play.study), Console(width=40, file=out)) as display:
        follow = display.watch(play.study, SLOTS)
        play.apply(Resumed(0.0, 8))
        for value in (0.7, 0.6):
            play.train(play.suggest({"units": 8, "learning_rate": value}), (value, value - 0.1))
            follow([])
        play.train(play.suggest({"units": 8, "learning_rate": 0.5}), (0.5,), "failed")
        follow([])
    assert out.getvalue().splitlines()[2:] == [
        "[1/8] trial 0 complete score 0.7 at epoch 1 best so far (2 of 3 epochs, 2.0 s)",
        "[2/8] trial 1 complete score 0.6 at epoch 1 (2 of 3 epochs, 2.0 s)",
        "[3/8] trial 2 failed score 0.5 at epoch 1 (1 of 3 epochs, 1.0 s): an error",
    ]
