"""What this machine can train on, and where workers go. Looks without importing torch, so that looking costs milliseconds."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from automl.controlgroups import GROUPS, PROCESS, groups
from automl.errors import DeviceError
from automl.events import Slot
from automl.memory import total_bytes

NVIDIA_SMI_TIMEOUT_SECONDS = 5.0
MOST_WORKERS = 1024
_MOST_MEASURED_LANES = {"cpu": 32, "gpu": 512}  # where nobody says how many
GIB = 2.0**30


@dataclass(frozen=True, slots=True)
class Device:
    """Something to train on. GPUs are numbered as CUDA_VISIBLE_DEVICES leaves them: ``cuda:0`` is the first visible one.

    ``visible`` is what a worker's own CUDA_VISIBLE_DEVICES has to be; ``cores`` how many CPU cores this process may use (CPU only,
    else 0). ``unusable`` says why nothing can be trained here, and is empty where it can.
    """

    name: str
    kind: Literal["gpu", "cpu"]
    model: str
    memory_gib: float | None
    visible: str = ""
    cores: int = 0
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices of this machine, GPUs first and the CPU last, and what a person should know about how they were found."""

    devices: tuple[Device, ...]
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if not device.unusable)

    @property
    def cores(self) -> int:
        return max(device.cores for device in self.devices)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one worker goes: its slot, its CUDA_VISIBLE_DEVICES and its number of CPU threads."""

    slot: Slot
    visible: str
    threads: int


@dataclass(frozen=True, slots=True)
class _Gpu:
    """One line of ``nvidia-smi -L``: a GPU, or a MIG slice of the GPU ``parent``."""

    index: int
    uuid: str
    model: str
    memory_gib: float | None
    parent: str = ""


# -- what is there ----------------------------------------------------------------------------------------------------


def read_machine(environment: Mapping[str, str] | None = None) -> Machine:
    """The devices that CUDA_VISIBLE_DEVICES leaves, as ``environment`` (default: the process's own) has it, and the CPU."""
    environment = os.environ if environment is None else environment
    gpus, notes = _ask_nvidia_smi(environment)
    visible, more_notes = _visible(gpus, environment.get("CUDA_VISIBLE_DEVICES"))
    unusable = torch_without_cuda() if visible else ""
    devices = [
        Device(f"cuda:{position}", "gpu", gpu.model, gpu.memory_gib, visible=gpu.uuid, unusable=unusable)
        for position, gpu in enumerate(visible)
    ]
    return Machine((*devices, read_cpu()), (*notes, *more_notes))


def read_cpu() -> Device:
    """The CPU alone."""
    return Device("cpu", "cpu", _cpu_model(), _cpu_memory_gib(), cores=cpu_cores())


def torch_without_cuda() -> str:
    """Why the installed torch cannot use NVIDIA GPUs; empty where it can. torch is not imported, its files are read."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "torch is not installed"
    if version.endswith("+cpu"):
        return f"torch {version} is a build for CPUs only"
    spec = importlib.util.find_spec("torch")
    source = Path(spec.origin).with_name("version.py") if spec is not None and spec.origin else None
    if source is not None and source.exists():
        built_for = re.search(r"^cuda\b[^=]*=\s*(\S+)", source.read_text(encoding="utf-8"), re.MULTILINE)
        if built_for is not None and built_for.group(1) == "None":
            return f"torch {version} is a build without CUDA"
    return ""


def cpu_cores(process: Path = PROCESS, root: Path = GROUPS) -> int:
    """How many cores this process may use: its affinity, and the CPU quota of its control groups (rounded down), at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *_quotas(process, root)])))


def _quotas(process: Path, root: Path) -> Iterator[float]:
    """The CPU quotas, in cores, of this process's control group and of all groups above it."""
    for group in groups("cpu", process, root):
        files = ("cpu.max",) if group.version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        reading = [word for file in files for word in group.words(file)]
        if len(reading) == 2 and all(number.isdigit() for number in reading) and int(reading[1]) > 0:
            yield int(reading[0]) / int(reading[1])


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = named.group(1).strip() if named else ""
    return name if name not in ("", "unknown") else platform.machine()


def _cpu_memory_gib() -> float | None:
    try:
        return round(total_bytes() / GIB, 1)
    except (ValueError, OSError):
        return None


# -- GPUs -------------------------------------------------------------------------------------------------------------


def _ask_nvidia_smi(environment: Mapping[str, str]) -> tuple[list[_Gpu], list[str]]:
    """The GPUs and MIG slices that the driver knows. A machine without the program has none; a program that fails is a note."""
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return [], []
    try:
        listing = _output([program, "-L"])
        table = _output([program, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"])
    except subprocess.TimeoutExpired:
        return [], [f"nvidia-smi did not answer within {NVIDIA_SMI_TIMEOUT_SECONDS:g} s, so no GPU is used."]
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()
        return [], [f"nvidia-smi failed with exit code {error.returncode}, so no GPU is used: {said[-1] if said else 'it said nothing'}"]
    except OSError as error:
        return [], [f"nvidia-smi cannot be run, so no GPU is used: {error.strerror}"]
    return _parse(listing, table), []


def _output(command: list[str]) -> str:
    """What a program writes; it is ended when it takes too long."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=NVIDIA_SMI_TIMEOUT_SECONDS, check=True, stdin=subprocess.DEVNULL
    )
    return done.stdout


def _parse(listing: str, table: str) -> list[_Gpu]:
    """GPUs from the csv table, and below each the MIG slices that ``-L`` lists under it. A slice's memory is in its profile's name."""
    slices: dict[str, list[tuple[str, str]]] = {}
    parent = ""
    for line in listing.splitlines():
        if gpu := re.match(r"GPU \d+: .*\(UUID: (GPU-[^)]+)\)", line):
            parent = gpu.group(1)
        elif part := re.match(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)", line):
            slices.setdefault(parent, []).append((part.group(1), part.group(2)))
    gpus = []
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.split(",")]
        if len(cells) != 4 or not cells[0].isdigit():
            continue
        index, uuid, model, memory = int(cells[0]), cells[1], cells[2], cells[3]
        gpus.append(_Gpu(index, uuid, model, round(float(memory) / 1024, 1) if re.fullmatch(r"[\d.]+", memory) else None))
        for profile, slice_uuid in slices.get(uuid, []):
            size = re.search(r"(\d+)gb", profile)
            gpus.append(_Gpu(index, slice_uuid, f"{model} MIG {profile}", float(size.group(1)) if size else None, parent=uuid))
    return gpus


def _visible(gpus: Sequence[_Gpu], wanted: str | None) -> tuple[list[_Gpu], list[str]]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; a GPU that is cut into MIG slices stands for its slices.

    CUDA's rule: an entry that names nothing here ends the list. An entry is an index, a UUID or a beginning of one that is
    unique, or the name of a MIG slice.
    """
    cut = {gpu.parent for gpu in gpus if gpu.parent}
    whole = [gpu for gpu in gpus if gpu.uuid not in cut]
    if wanted is None:
        return whole, []
    chosen: list[_Gpu] = []
    entries = [entry.strip() for entry in wanted.split(",")]
    for entry in entries:
        named = _named(gpus, entry)
        picked = [gpu for gpu in whole if gpu.parent == named.uuid] if named and named.uuid in cut else [named] if named else []
        if not picked or any(gpu in chosen for gpu in picked):
            is_none_meant = not gpus or entries[0] in ("", "-1", "NoDevFiles")
            note = f"CUDA_VISIBLE_DEVICES: {entry!r} names no further GPU of this machine; CUDA ignores it and all that follows."
            return chosen, [] if is_none_meant else [note]
        chosen += picked
    return chosen, []


def _named(gpus: Sequence[_Gpu], entry: str) -> _Gpu | None:
    """The GPU or slice that one entry of CUDA_VISIBLE_DEVICES names."""
    if entry.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(entry) and not gpu.parent), None)
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    exact = [gpu for gpu in gpus if gpu.uuid == entry]
    found = exact or [gpu for gpu in gpus if gpu.uuid.startswith(entry)]
    if len(found) == 1:
        return found[0]
    slice_of = re.fullmatch(r"MIG-(GPU-[0-9a-fA-F-]+)/\d+/\d+", entry)
    owner = next((gpu for gpu in gpus if slice_of and gpu.uuid == slice_of.group(1)), None)
    return _Gpu(owner.index, entry, f"{owner.model} MIG", None, parent=owner.uuid) if owner else None


# -- where workers go -------------------------------------------------------------------------------------------------


def place(machine: Machine, devices: str = "auto", workers: str = "auto", lanes: int | None = 1) -> list[Placement]:
    """One placement per worker, in the order of the devices.

    ``devices`` is ``auto`` (all usable GPUs, else the CPU) or names with commas between. ``workers`` is ``auto`` or a number: the
    processes on each GPU (auto: 1), and in all on the CPU (auto: its cores). Threads are the cores shared out, at least 1 each.
    ``lanes``: how many trials a worker takes; None for as many as could pay.
    """
    chosen = chosen_devices(machine, devices)
    number = workers_asked(workers)
    counts = [number or _workers_by_default(device) for device in chosen]
    if sum(counts) > MOST_WORKERS:
        raise DeviceError(
            f"--workers: at most {MOST_WORKERS} processes can be kept, but {sum(counts)} were asked for. Give a smaller number."
        )
    homes = [device for device, count in zip(chosen, counts, strict=True) for _ in range(count)]
    threads = max(1, machine.cores // len(homes))
    return [
        Placement(Slot(index, device.name, lanes or _MOST_MEASURED_LANES[device.kind], f"worker-{index}"), device.visible, threads)
        for index, device in enumerate(homes)
    ]


def needed(placements: Sequence[Placement], trainings: int | None) -> list[Placement]:
    """The workers that so many trainings can keep busy, at least one; all where their number is not known.

    That is one for each of them, since two workers train two trials faster than two lanes of one. A device gets its second worker after
    each has its first. What is left of a worker is as it was: also its threads, since numbers may depend on them to the last bit.
    """
    if trainings is None:
        return list(placements)
    most = max(1, trainings)
    before: Counter[str] = Counter()
    turns = []
    for placement in placements:
        turns.append((before[placement.slot.device], placement.slot.index))
        before[placement.slot.device] += 1
    kept = {index for _, index in sorted(turns)[:most]}
    return [placement for placement in placements if placement.slot.index in kept]


def chosen_devices(machine: Machine, devices: str) -> list[Device]:
    """The devices that ``--devices`` names. Raises DeviceError for those that are not there, cannot be used, or are named twice."""
    gpus = [device for device in machine.usable if device.kind == "gpu"]
    if devices.strip() == "auto":
        return gpus or [device for device in machine.usable if device.kind == "cpu"]
    known = {device.name: device for device in machine.devices}
    there = ", ".join(
        sorted((device.name for device in machine.usable), key=lambda name: (name != "cpu", int(name.partition(":")[2] or 0)))
    )
    chosen: list[Device] = []
    for name in (part.strip() for part in devices.split(",")):
        if name not in known:
            raise DeviceError(f"--devices: {name or 'an empty name'} is not there. Devices: {there}.")
        if known[name].unusable:
            raise DeviceError(f"--devices: {name} cannot be used, since {known[name].unusable}. Devices: {there}.")
        if known[name] in chosen:
            raise DeviceError(f"--devices: each device must be named once, but {name} is named twice. Use --workers for more on each.")
        chosen.append(known[name])
    return chosen


def workers_asked(workers: str) -> int | None:
    """The number that ``--workers`` gives; None for ``auto``."""
    text = str(workers).strip()
    if text == "auto":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise DeviceError(f"--workers: must be 'auto' or a number of processes from 1, but {text!r} was given. Leave it out for 'auto'.")
    return int(text)


def _workers_by_default(device: Device) -> int:
    return 1 if device.kind == "gpu" else device.cores
