"""A real study on a real terminal: tmux shows what a person sees, at 80x24 and at 200x50."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed, and it is the terminal of these tests"),
]

SPACE = """\
name: wide
data: digits
model: mlp
epochs: 300
space:
  units:         {type: int, low: 128, high: 512, log: true}
  learning_rate: {type: float, low: 1e-4, high: 1e-1, log: true}
baseline: {units: 32, learning_rate: 0.001}
study: {strategy: random, pruner: asha, trials: 10}
"""
DEADLINE = 120.0  # seconds for anything to be seen
HEADINGS = ("best", "ended", "epochs", "device", "trial")


class Terminal:
    """A terminal of this size, with a shell in it that stands in ``folder``."""

    def __init__(self, folder: Path, columns: int, lines: int) -> None:
        self._socket = str(folder / "tmux")
        self.columns, self.lines = columns, lines
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "TMUX", "NO_COLOR")}
        size = ("-x", str(columns), "-y", str(lines))
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", "new-session", "-d", *size, "-s", "main", "-c", str(folder), "sh"]
        subprocess.run(command, check=True, env={**environment, "PS1": "$ ", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"})

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-u", "-S", self._socket, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-t", "main", "-l", line)
        self.tmux("send-keys", "-t", "main", "Enter")

    def resize(self, columns: int, lines: int) -> None:
        self.tmux("resize-window", "-t", "main", "-x", str(columns), "-y", str(lines))
        self.columns, self.lines = columns, lines

    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.tmux("capture-pane", "-p", "-t", "main").split("\n")[: self.lines]]

    def coloured(self) -> str:
        return self.tmux("capture-pane", "-p", "-e", "-t", "main")

    def see(self, what: Callable[[Sequence[str]], object]) -> list[str]:
        """What is shown once this is true of it."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            lines = self.shown()
            if what(lines):
                return lines
        pytest.fail("not seen within the deadline:\n" + "\n".join(self.shown()))

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[[int, int], Terminal]]:
    (tmp_path / "wide.yaml").write_text(SPACE)
    opened: list[Terminal] = []

    def open_one(columns: int, lines: int) -> Terminal:
        folder = tmp_path / f"t{len(opened)}"
        folder.mkdir()
        opened.append(Terminal(folder, columns, lines))
        opened[-1].type(f"cd {shlex.quote(str(tmp_path))}; clear")
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


def automl(*arguments: str) -> str:
    return shlex.join([sys.executable, "-m", "automl", *arguments])


def is_screen(lines: Sequence[str]) -> bool:
    """Whether the live screen stands there with trials at work, every heading once and in order."""
    places = [index for heading in HEADINGS for index, line in enumerate(lines) if re.match(rf"\s*{heading}\b", line)]
    return len(places) >= len(HEADINGS) and places == sorted(places) and any(re.match(r"cpu .*\d+ of \d+", line) for line in lines)


RUN = automl("run", "wide.yaml", "--mlflow", "off", "--workers", "2", "--lanes", "2", "--study", "first")


def test_a_run_is_one_screen_that_another_terminal_can_watch_and_both_leave_things_as_they_were(
    terminals: Callable[[int, int], Terminal],
) -> None:
    runner, watcher = terminals(80, 24), terminals(200, 50)
    runner.type(f"echo was here before; {RUN}; echo exit code $?")
    small = runner.see(is_screen)
    assert small[0].startswith("first  random, pruner asha; accuracy, more is better")
    assert re.search(r"\d+/10 trials  \d:\d\d", small[1])
    assert "was here before" not in "\n".join(small)
    watcher.type(f"{automl('watch', 'first')}; echo exit code $?")
    large = watcher.see(lambda lines: is_screen(lines) and any("accuracy of each trial" in line for line in lines))
    assert large[0] == small[0]
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", runner.coloured())
    runner.resize(50, 20)
    narrow = runner.see(lambda lines: is_screen(lines) and lines[0].endswith("…"))
    assert len(narrow[0]) == 50
    watcher.tmux("send-keys", "-t", "main", "C-c")
    watcher.see(lambda lines: "exit code 0" in lines and "No longer watching; first goes on." in lines)
    runner.resize(80, 24)
    end = runner.see(lambda lines: "exit code 0" in lines)
    assert any("won after 10 trials" in line for line in end)
    runner.tmux("set-option", "-g", "history-limit", "2000")
    everything = runner.tmux("capture-pane", "-p", "-S", "-", "-t", "main")
    assert "was here before" in everything
    assert "lanes busy" not in everything  # nothing of the screen is left
    assert runner.tmux("display-message", "-p", "-t", "main", "#{cursor_flag}#{alternate_on}").strip() == "10"


def test_who_stops_or_interrupts_a_run_has_the_terminal_back_and_no_color_means_none(
    terminals: Callable[[int, int], Terminal],
) -> None:
    runner = terminals(80, 24)
    runner.type(f"NO_COLOR=1 {RUN}")
    runner.see(is_screen)
    assert re.search(r"\x1b\[[0-9;]*[34][0-7]m", runner.coloured()) is None
    runner.tmux("send-keys", "-t", "main", "C-z")
    runner.see(lambda lines: any("Stopped" in line for line in lines) and not is_screen(lines))
    assert runner.tmux("display-message", "-p", "-t", "main", "#{cursor_flag}#{alternate_on}").strip() == "10"
    runner.type("fg")
    runner.see(is_screen)
    runner.tmux("send-keys", "-t", "main", "C-c")
    runner.see(lambda lines: any(line.startswith("Interrupted. Everything so far is kept") for line in lines))
    runner.type("echo it was $?")
    runner.see(lambda lines: any(line.endswith("it was 130") for line in lines))
    assert runner.tmux("display-message", "-p", "-t", "main", "#{cursor_flag}#{alternate_on}").strip() == "10"
