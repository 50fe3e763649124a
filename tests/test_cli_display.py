"""The live screen as text: what a person reads of a study while it runs, on terminals of several widths."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from automl.cli.display import Display
from automl.events import Slot
from automl.plan import Plan
from automl.space import Float, Int, SearchSpace
from automl.study import Resumed
from contracts.studies import Play, make_study

SPACE = SearchSpace((Int("units", 8, 64), Float("learning_rate", 1e-4, 1e-1, log=True)))


def screen(width: int) -> list[str]:
    """The lines of the screen in the middle of a study: trial 0 complete, 1 pruned after one epoch, 2 running."""
    study = make_study(SPACE, epochs=3)
    play = Play(study)
    play.apply(Resumed(0.0, 5))
    console = Console(width=width, height=30, force_terminal=True, color_system=None, file=io.StringIO())
    display = Display(cast("Plan", SimpleNamespace(folder=Path("studies/first"), continues=False, spec=study.spec)), console)
    follow = display.watch(study, [Slot(0, "cpu", 1, "worker-0")])
    for units, values in enumerate(((0.5, 0.6, 0.7), (0.2,), (0.4, 0.5))):
        number = play.suggest({"units": units + 8, "learning_rate": 0.01})
        play.start(number)
        for value in values:
            play.report(number, value)
    play.end(0)
    play.end(1, "pruned")
    follow(list(enumerate(play.events)))
    with console.capture() as capture:
        console.print(display._screen())
    return capture.get().splitlines()


def test_parameters_have_their_names_and_epochs_their_number() -> None:
    lines = [line.rstrip() for line in screen(100)]
    assert "best   0.7 in trial 0" in lines
    assert "ended  1 complete, 1 pruned; pruning saved 33% of the epochs" in lines
    (worker,) = (line for line in lines if line.startswith("simulated"))
    assert worker.split()[1:3] == ["2", "2/3"]
    assert worker.endswith("0.5  units 10, learning_rate 0.01")
    assert "1  pruned    0.2  1 epoch, 1.0 s" in lines
    assert "0  complete  0.7  3 epochs, 3.0 s" in lines


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_line_leaves_room_for_the_echo_of_an_interrupt(width: int) -> None:
    assert max(map(len, screen(width))) <= width - 3


def test_without_a_terminal_the_first_line_says_at_once_what_is_begun() -> None:
    study = make_study(SPACE, epochs=3)
    out = io.StringIO()
    plan = cast("Plan", SimpleNamespace(folder=Path("studies/first"), continues=False, spec=study.spec))
    with Display(plan, Console(width=40, file=out)):
        spec, settings = study.spec, study.spec.settings
        how = f"{settings.trials} trials, {settings.strategy}, pruner {settings.pruner}"
        assert out.getvalue() == f"studies/first: {spec.name} ({spec.model}) on {spec.data.source}, {how}; preparing ...\n"
