"""How busy devices are with one driver and its workers, as the machine says: CPU time from /proc, GPUs from nvidia-smi.

What cannot be found out is left out; nothing here fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from automl.engines.devices import GIB, NVIDIA_SMI_TIMEOUT_SECONDS, cpu_cores, read_machine

_EVERY_SECONDS = 1.0
_QUERY = "--query-gpu=uuid,utilization.gpu,memory.used,memory.total"


@dataclass(frozen=True, slots=True)
class Use:
    """``share`` of the device's time that is used, from 0 to 1; for a CPU: of the cores that the driver may use, by its processes alone."""

    share: float | None
    memory_gib: float | None = None
    memory_total_gib: float | None = None


class Usage:
    """Looks once a second, in a thread of its own, how busy the devices of a driver are. ``of`` has the last answer, by device name."""

    def __init__(self, driver: int) -> None:
        self._driver = driver
        self._done = threading.Event()
        self.of: Mapping[str, Use] = {}
        self._thread = threading.Thread(target=self._look, name="automl-usage", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._done.set()

    def _look(self) -> None:
        cores, seconds, at = cpu_cores(), cpu_seconds(self._driver), time.monotonic()
        gpus = _visible_gpus(self._driver)
        while not self._done.wait(_EVERY_SECONDS):
            seconds_now, now = cpu_seconds(self._driver), time.monotonic()
            of = dict(_gpu_use(gpus))
            if seconds is not None and seconds_now is not None:
                of["cpu"] = Use(min(1.0, max(0.0, seconds_now - seconds) / max(0.001, now - at) / cores))
            self.of, seconds, at = of, seconds_now, now


def cpu_seconds(process: int, processes: Path = Path("/proc")) -> float | None:
    """CPU time that a process and all that it started have used, those that are gone included where it waited for them; None where
    nobody can say."""
    used: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for file in processes.glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        number = int(file.parent.name)
        used[number] = sum(map(int, fields[11:15])) / tick  # user, system, and the same of children that ended
        children.setdefault(int(fields[1]), []).append(number)
    if process not in used:
        return None
    family = [process]
    for member in family:
        family += children.get(member, [])
    return sum(used[member] for member in family)


def _visible_gpus(driver: int) -> dict[str, str]:
    """UUID to device name, of the GPUs that the driver sees."""
    if shutil.which("nvidia-smi") is None:
        return {}
    environment = dict(os.environ)
    try:
        entries = Path(f"/proc/{driver}/environ").read_bytes().decode(errors="replace").split("\0")
        environment |= dict(entry.split("=", 1) for entry in entries if entry.startswith("CUDA_VISIBLE_DEVICES="))
    except OSError:
        pass
    return {device.visible: device.name for device in read_machine(environment).devices if device.kind == "gpu"}


def _gpu_use(gpus: Mapping[str, str]) -> dict[str, Use]:
    if not gpus:
        return {}
    try:
        answer = subprocess.run(
            ["nvidia-smi", _QUERY, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=NVIDIA_SMI_TIMEOUT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return {gpus[uuid]: use for uuid, use in read_gpu_use(answer).items() if uuid in gpus}


def read_gpu_use(table: str) -> dict[str, Use]:
    """By UUID, from nvidia-smi's csv without header and units; ``[N/A]`` is None."""
    found: dict[str, Use] = {}
    for row in table.splitlines():
        uuid, *cells = [cell.strip() for cell in row.split(",")]
        numbers = [float(cell) if re.fullmatch(r"[\d.]+", cell) else None for cell in cells]
        if len(numbers) == 3:
            share, used, total = numbers
            found[uuid] = Use(None if share is None else share / 100, _gib(used), _gib(total))
    return found


def _gib(mib: float | None) -> float | None:
    return None if mib is None else mib * 2**20 / GIB
