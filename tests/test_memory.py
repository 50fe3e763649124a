"""How much memory there is: that of the machine, within what the control groups of the process allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.memory import available_bytes, total_bytes

MIB = 2**20


def laid_out(folder: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """The files of these groups, as Linux has them."""
    (folder / "cgroup").write_text(membership)
    for name, text in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "cgroup", folder / "groups"


SECOND = "0::/box/job\n"
FIRST = "5:cpu:/\n4:memory:/box/job\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "total", "available"),
    [
        (
            SECOND,
            {"box/job/memory.max": "500", "box/job/memory.current": "100", "box/job/memory.stat": "anon 60 inactive_file 40"},
            500,
            440,
        ),
        (SECOND, {"box/job/memory.max": "max", "box/memory.max": "300", "box/memory.current": "250"}, 300, 50),  # the group above binds
        (SECOND, {"box/job/memory.max": "500", "box/memory.max": "400", "box/memory.current": "390"}, 400, 10),
        (SECOND, {"box/job/memory.max": "100", "box/job/memory.current": "120"}, 100, 0),
        (SECOND, {"box/job/memory.max": "max", "box/memory.max": "max"}, None, 1000),
        (
            FIRST,
            {"memory/box/job/memory.limit_in_bytes": "500", "memory/box/job/memory.usage_in_bytes": "100"},
            500,
            400,
        ),
        (
            FIRST,
            {
                "memory/box/job/memory.limit_in_bytes": str(2**63 - 4096),  # none
                "memory/box/memory.limit_in_bytes": "700",
                "memory/box/memory.usage_in_bytes": "650",
                "memory/box/memory.stat": "inactive_file 1 total_inactive_file 50",
            },
            700,
            100,
        ),
        ("", {}, None, 1000),
    ],
)
def test_a_control_group_with_less_than_the_machine_decides(
    tmp_path: Path, membership: str, files: dict[str, str], total: int | None, available: int
) -> None:
    """In MiB, of a machine of which 1,000 are free."""
    process, root = laid_out(tmp_path, membership, {name: _in_bytes(text) for name, text in files.items()})
    machine = tmp_path / "meminfo"
    machine.write_text(f"MemTotal: 9999999 kB\nMemFree: 5 kB\nMemAvailable: {1000 * 1024} kB\n")
    assert available_bytes(process, root, machine) == available * MIB
    assert total_bytes(process, root) == (total_bytes(tmp_path / "none", root) if total is None else total * MIB)


def _in_bytes(text: str) -> str:
    return " ".join(str(int(word) * MIB) if word.isdigit() and len(word) < 6 else word for word in text.split(" "))
