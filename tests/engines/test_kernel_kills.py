"""Whether the kernel killed a process for want of memory, as it says so itself. Its files are laid out here as Linux has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.engines.memory import KernelKills, kernel_kills


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("group", "file", "text"),
    [
        ("0::/user/job", "user/job/memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 7\n"),
        ("4:memory:/job\n0::/", "memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"),
        ("0::/elsewhere", "unrelated", ""),
    ],
)
def test_a_group_s_own_count_comes_first_then_that_of_the_machine(tmp_path: Path, group: str, file: str, text: str) -> None:
    own = written(tmp_path / "cgroup", f"{group}\n")
    written(tmp_path / "groups" / file, text)
    machine = written(tmp_path / "vmstat", "pgpgin 5\noom_kill 3\n")
    assert kernel_kills(own, tmp_path / "groups", machine) == (7 if text else 3)


def test_where_nothing_counts_it_is_not_known(tmp_path: Path) -> None:
    assert kernel_kills(tmp_path / "none", tmp_path, tmp_path / "none") is None
    old = written(tmp_path / "vmstat", "pgpgin 5\n")  # a kernel before 4.13
    assert kernel_kills(tmp_path / "none", tmp_path, old) is None


def test_each_kill_explains_one_death(tmp_path: Path) -> None:
    counts = iter([2, 4, 4, 4])
    kills = KernelKills(lambda: next(counts))
    assert [kills.explain() for _ in range(3)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing(tmp_path: Path) -> None:
    count = 2
    kills = KernelKills(lambda: count)
    kills.look(10.0)
    count = 3  # somebody else's
    kills.look(20.0)
    kills.look(30.0)
    assert kills.explain() is False
    count = 4
    kills.look(31.0)
    assert kills.explain() is True
