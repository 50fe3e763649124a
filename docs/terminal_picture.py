"""Draws docs/terminal.svg: the live screen of a real study while it runs, as it is on a terminal of 100x24.

    python docs/terminal_picture.py

It trains the shipped space digits_mlp in a folder of its own and draws what the screen shows after three quarters of the trials.
Run it where nothing else runs.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from automl import launch
from automl.cli.screen import screen
from automl.driver import Follower
from automl.engines.usage import Usage
from automl.events import Slot
from automl.plan import RunOptions, plan
from automl.progress import Progress, Snapshot
from automl.study import Study

WIDTH, HEIGHT = 100, 24
OUT = Path(__file__).parent / "terminal.svg"


def snapshot_of_a_run() -> Snapshot:
    """What the screen shows when three quarters of the trials have ended."""
    taken: list[Snapshot] = []
    planned = plan(RunOptions(space="digits_mlp", mlflow="off"))
    usage = Usage(os.getpid())
    usage.start()

    def watch(study: Study, slots: Sequence[Slot]) -> Follower:
        progress = Progress(planned.folder.name, study.copy(), slots)

        def follow(events: Sequence[tuple[int, object]]) -> None:
            progress.take([event for _, event in events])  # type: ignore[misc]
            is_busy = len(list(study.running())) == sum(slot.lanes for slot in slots)
            if not taken and is_busy and study.ended >= 0.75 * study.asked:
                taken.append(progress.snapshot(time.time(), uses=usage.of))

        return follow

    launch.run(planned, watch)
    usage.stop()
    return taken[0]


def draw(lines: Sequence[Text], title: str) -> str:
    """The lines as SVG, with the fonts of whoever looks at it: nothing is fetched."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False)
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="automl")
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    return re.sub(r"Fira Code, ?monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace", svg)


def main() -> None:
    """Run a study and draw it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        taken = snapshot_of_a_run()
        os.chdir(before)
    OUT.write_text(draw(screen(taken, WIDTH, HEIGHT), "automl run digits_mlp"), encoding="utf-8")
    print(f"{OUT}: {OUT.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
