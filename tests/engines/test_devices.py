"""What there is to train on, asked of real processes that stand in for nvidia-smi; and where workers go."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import automl.engines.devices as devices_module
from automl.engines import make_engine
from automl.engines.devices import Device, Machine, cpu_cores, needed, place, read_machine, torch_without_cuda
from automl.errors import AutomlError, DeviceError, UsageError
from automl.events import Slot

TWO_GPUS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-0000-0000-000000000000)
GPU 1: NVIDIA L4 (UUID: GPU-12222222-bbbb-0000-0000-000000000000)
"""
TWO_GPUS_TABLE = """\
0, GPU-11111111-aaaa-0000-0000-000000000000, NVIDIA H100 80GB HBM3, 81559
1, GPU-12222222-bbbb-0000-0000-000000000000, NVIDIA L4, 23034
"""
MIG = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 1g.5gb+me   Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-70000000-0000-0000-0000-000000000000)
"""
MIG_TABLE = """\
0, GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f, NVIDIA A100-SXM4-40GB, 40960
1, GPU-70000000-0000-0000-0000-000000000000, NVIDIA A100-SXM4-40GB, [N/A]
"""
H100, L4 = "GPU-11111111-aaaa-0000-0000-000000000000", "GPU-12222222-bbbb-0000-0000-000000000000"
SLICE_A, SLICE_B = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd", "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d"
WHOLE = "GPU-70000000-0000-0000-0000-000000000000"


def nvidia_smi(folder: Path, script: str) -> dict[str, str]:
    """An environment whose nvidia-smi runs this shell script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def listing(gpus: str, table: str) -> str:
    return f"if [ \"$1\" = -L ]; then printf '%s' '{gpus}'; else printf '%s' '{table}'; fi"


@pytest.fixture
def torch_has_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices_module, "torch_without_cuda", lambda: "")


# -- GPUs -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("torch_has_cuda")
def test_gpus_have_their_names_memory_and_uuids(tmp_path: Path) -> None:
    machine = read_machine(nvidia_smi(tmp_path, listing(TWO_GPUS, TWO_GPUS_TABLE)))
    first, second, cpu = machine.devices
    assert first == Device("cuda:0", "gpu", "NVIDIA H100 80GB HBM3", 79.6, visible=H100)
    assert second == Device("cuda:1", "gpu", "NVIDIA L4", 22.5, visible=L4)
    assert (cpu.name, cpu.kind, cpu.visible) == ("cpu", "cpu", "")
    assert cpu.cores >= 1
    assert machine.notes == ()


@pytest.mark.usefixtures("torch_has_cuda")
def test_a_gpu_that_is_cut_into_slices_stands_for_its_slices(tmp_path: Path) -> None:
    machine = read_machine(nvidia_smi(tmp_path, listing(MIG, MIG_TABLE)))
    assert machine.devices[:-1] == (
        Device("cuda:0", "gpu", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", 20.0, visible=SLICE_A),
        Device("cuda:1", "gpu", "NVIDIA A100-SXM4-40GB MIG 1g.5gb+me", 5.0, visible=SLICE_B),
        Device("cuda:2", "gpu", "NVIDIA A100-SXM4-40GB", None, visible=WHOLE),
    )


@pytest.mark.parametrize(
    ("wanted", "visible"),
    [
        ("0", [H100]),
        ("1,0", [L4, H100]),
        (" 1 ", [L4]),
        (H100, [H100]),
        ("GPU-12", [L4]),
        ("GPU-1", []),  # two begin like this
        ("0,7,1", [H100]),  # what follows an entry that names nothing is ignored
        ("0,0,1", [H100]),
        ("0,banana", [H100]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("MIG-nothing", []),
    ],
)
def test_cuda_visible_devices_follows_the_rules_of_cuda(tmp_path: Path, wanted: str, visible: list[str]) -> None:
    environment = {**nvidia_smi(tmp_path, listing(TWO_GPUS, TWO_GPUS_TABLE)), "CUDA_VISIBLE_DEVICES": wanted}
    gpus = read_machine(environment).devices[:-1]
    assert [gpu.visible for gpu in gpus] == visible
    assert [gpu.name for gpu in gpus] == [f"cuda:{position}" for position in range(len(gpus))]


@pytest.mark.parametrize(
    ("wanted", "visible"),
    [
        (SLICE_B, [SLICE_B]),
        ("MIG-a2", [SLICE_B]),
        (f"{SLICE_B},{SLICE_A}", [SLICE_B, SLICE_A]),
        ("0", [SLICE_A, SLICE_B]),
        ("1", [WHOLE]),
        (f"{SLICE_A},0", [SLICE_A]),
        ("MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/1/0", ["MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/1/0"]),
        ("MIG-GPU-5c89852c-d268-c3f3-1b07-000000000000/1/0", []),
    ],
)
def test_cuda_visible_devices_names_slices(tmp_path: Path, wanted: str, visible: list[str]) -> None:
    environment = {**nvidia_smi(tmp_path, listing(MIG, MIG_TABLE)), "CUDA_VISIBLE_DEVICES": wanted}
    assert [gpu.visible for gpu in read_machine(environment).devices[:-1]] == visible


@pytest.mark.parametrize(("wanted", "count"), [("0,7,1", 1), ("", 0), ("-1", 0), ("0", 0)])
def test_an_entry_that_names_nothing_is_a_note(tmp_path: Path, wanted: str, count: int) -> None:
    environment = {**nvidia_smi(tmp_path, listing(TWO_GPUS, TWO_GPUS_TABLE)), "CUDA_VISIBLE_DEVICES": wanted}
    notes = read_machine(environment).notes
    assert notes == ("CUDA_VISIBLE_DEVICES: '7' names no further GPU of this machine; CUDA ignores it and all that follows.",) * count


@pytest.mark.parametrize(
    ("script", "note"),
    [
        (
            'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; exit 9',
            "nvidia-smi failed with exit code 9, so no GPU is used: "
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        ),
        ("exit 12", "nvidia-smi failed with exit code 12, so no GPU is used: it said nothing"),
        ("echo some words; echo that, are, no, table", None),
    ],
)
def test_a_broken_nvidia_smi_leaves_the_cpu_and_says_why(tmp_path: Path, script: str, note: str | None) -> None:
    machine = read_machine(nvidia_smi(tmp_path, script))
    assert [device.name for device in machine.devices] == ["cpu"]
    assert machine.notes == ((note,) if note else ())


def test_a_program_that_cannot_be_run_leaves_the_cpu_and_says_why(tmp_path: Path) -> None:
    environment = nvidia_smi(tmp_path, "")
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF no program")
    assert read_machine(environment).notes == ("nvidia-smi cannot be run, so no GPU is used: Exec format error",)


def test_a_hanging_nvidia_smi_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices_module, "NVIDIA_SMI_TIMEOUT_SECONDS", 0.05)
    machine = read_machine(nvidia_smi(tmp_path, "exec /bin/sleep 600"))
    assert [device.name for device in machine.devices] == ["cpu"]
    assert machine.notes == ("nvidia-smi did not answer within 0.05 s, so no GPU is used.",)


def test_a_machine_without_the_program_has_no_gpu_and_no_note(tmp_path: Path) -> None:
    machine = read_machine({"PATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0"})
    assert ([device.name for device in machine.devices], machine.notes) == (["cpu"], ())


# -- torch ------------------------------------------------------------------------------------------------------------

READ_TORCH = "import sys; sys.path.insert(0, '.'); from automl.engines.devices import torch_without_cuda; print(torch_without_cuda())"


def installed_torch(folder: Path, version: str, cuda: str) -> str:
    """What is said of a torch that is installed like this, in a process of its own."""
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("raise SystemExit('torch must not be imported')\n")
    (folder / "torch" / "version.py").write_text(f"from typing import Optional\n__version__ = '{version}'\ncuda: Optional[str] = {cuda}\n")
    (folder / f"torch-{version}.dist-info").mkdir()
    (folder / f"torch-{version}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    done = subprocess.run([sys.executable, "-c", READ_TORCH], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("version", "cuda", "said"),
    [
        ("2.9.0+cpu", "None", "torch 2.9.0+cpu is a build for CPUs only"),
        ("2.9.0", "None", "torch 2.9.0 is a build without CUDA"),
        ("2.9.0", "'12.8'", ""),
        ("2.9.0+cu128", "'12.8'", ""),
    ],
)
def test_what_torch_was_built_for_is_read_without_importing_it(tmp_path: Path, version: str, cuda: str, said: str) -> None:
    assert installed_torch(tmp_path, version, cuda) == said


def test_gpus_that_torch_cannot_use_are_listed_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices_module, "torch_without_cuda", lambda: "torch 2.9.0+cpu is a build for CPUs only")
    machine = read_machine(nvidia_smi(tmp_path, listing(TWO_GPUS, TWO_GPUS_TABLE)))
    assert [device.name for device in machine.devices] == ["cuda:0", "cuda:1", "cpu"]
    assert [device.name for device in machine.usable] == ["cpu"]
    with pytest.raises(DeviceError) as raised:
        place(machine, "cuda:0")
    assert str(raised.value) == "--devices: cuda:0 cannot be used, since torch 2.9.0+cpu is a build for CPUs only. Devices: cpu."


def test_the_installed_torch_is_judged_as_it_judges_itself() -> None:
    import torch

    assert bool(torch_without_cuda()) == (torch.version.cuda is None)


# -- cores ------------------------------------------------------------------------------------------------------------


def cores_with(folder: Path, membership: str, files: dict[str, str]) -> int:
    """The cores that are left by these control groups."""
    (folder / "cgroup").write_text(membership)
    for name, text in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return cpu_cores(folder / "cgroup", folder / "groups")


MINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "100000 100000\n"}, 1),
        (
            "0::/a/b\n",
            {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n"},
            1,
        ),  # the group above binds
        ("0::/a/b\n", {"a/b/cpu.max": "10000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, MINE),
        ("0::/\n", {"cpu.max": "100000000 100000\n"}, MINE),
        ("0::/../x\n", {}, MINE),
        ("0::/\n", {"cpu.max": "nonsense\n"}, MINE),
        ("3:cpu,cpuacct:/j\n0::/\n", {"cpu,cpuacct/j/cpu.cfs_quota_us": "100000\n", "cpu,cpuacct/j/cpu.cfs_period_us": "100000\n"}, 1),
        ("3:cpu:/j\n", {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 1),
        ("3:cpu:/j\n", {"cpu/j/cpu.cfs_quota_us": "-1\n", "cpu/j/cpu.cfs_period_us": "100000\n"}, MINE),
        ("3:cpuset:/j\n", {"cpuset/j/cpu.cfs_quota_us": "100000\n", "cpuset/j/cpu.cfs_period_us": "100000\n"}, MINE),
    ],
)
def test_the_quota_of_control_groups_is_respected(tmp_path: Path, membership: str, files: dict[str, str], cores: int) -> None:
    assert cores_with(tmp_path, membership, files) == cores


def test_without_control_groups_the_affinity_decides(tmp_path: Path) -> None:
    assert cpu_cores(tmp_path / "absent", tmp_path) == MINE


# -- where workers go -------------------------------------------------------------------------------------------------

GPUS = (Device("cuda:0", "gpu", "A", 80.0, visible="GPU-a"), Device("cuda:1", "gpu", "A", 80.0, visible="GPU-b"))
CPU = Device("cpu", "cpu", "C", 32.0, cores=8)
WITH_GPUS, WITHOUT_GPUS = Machine((*GPUS, CPU)), Machine((CPU,))


@pytest.mark.parametrize(
    ("machine", "devices", "workers", "homes", "threads"),
    [
        (WITH_GPUS, "auto", "auto", ["cuda:0", "cuda:1"], 4),
        (WITH_GPUS, "auto", "3", ["cuda:0"] * 3 + ["cuda:1"] * 3, 1),
        (WITH_GPUS, "cuda:1", "auto", ["cuda:1"], 8),
        (WITH_GPUS, "cuda:1, cuda:0", "auto", ["cuda:1", "cuda:0"], 4),
        (WITH_GPUS, "cpu", "2", ["cpu"] * 2, 4),
        (WITHOUT_GPUS, "auto", "auto", ["cpu"] * 8, 1),
        (WITHOUT_GPUS, "cpu", "3", ["cpu"] * 3, 2),
        (WITHOUT_GPUS, "cpu", "16", ["cpu"] * 16, 1),
    ],
)
def test_workers_are_one_on_each_gpu_or_one_for_each_core(
    machine: Machine, devices: str, workers: str, homes: list[str], threads: int
) -> None:
    placements = place(machine, devices, workers, lanes=4)
    visible = {"cuda:0": "GPU-a", "cuda:1": "GPU-b", "cpu": ""}
    assert [placement.slot for placement in placements] == [Slot(i, home, 4, f"worker-{i}") for i, home in enumerate(homes)]
    assert [placement.visible for placement in placements] == [visible[home] for home in homes]
    assert {placement.threads for placement in placements} == {threads}


@pytest.mark.parametrize(
    ("machine", "workers", "lanes", "trainings", "kept"),
    [
        (WITHOUT_GPUS, "1000", 1, 3, [0, 1, 2]),
        (WITHOUT_GPUS, "2", 1, 3, [0, 1]),
        (WITHOUT_GPUS, "4", 8, 3, [0, 1, 2]),  # although one has lanes for all: cores train faster than lanes
        (WITHOUT_GPUS, "4", 8, 0, [0]),
        (WITHOUT_GPUS, "4", 8, None, [0, 1, 2, 3]),
        (WITH_GPUS, "3", 1, 1, [0]),
        (WITH_GPUS, "3", 1, 3, [0, 1, 3]),  # the second worker of a GPU comes after the first of the other
        (WITH_GPUS, "3", 16, 2, [0, 3]),
    ],
)
def test_no_worker_is_started_that_would_have_no_trial(
    machine: Machine, workers: str, lanes: int, trainings: int | None, kept: list[int]
) -> None:
    placements = place(machine, "auto", workers, lanes)
    assert needed(placements, trainings) == [placements[index] for index in kept]


@pytest.mark.parametrize(
    ("devices", "workers", "sentence"),
    [
        ("cuda:3", "auto", "--devices: cuda:3 is not there. Devices: cpu, cuda:0, cuda:1."),
        ("tpu", "auto", "--devices: tpu is not there. Devices: cpu, cuda:0, cuda:1."),
        ("", "auto", "--devices: an empty name is not there. Devices: cpu, cuda:0, cuda:1."),
        ("cpu,auto", "auto", "--devices: auto is not there. Devices: cpu, cuda:0, cuda:1."),
        ("cpu,cpu", "auto", "--devices: each device must be named once, but cpu is named twice. Use --workers for more on each."),
        ("auto", "0", "--workers: must be 'auto' or a number of processes from 1, but '0' was given. Leave it out for 'auto'."),
        ("auto", "-2", "--workers: must be 'auto' or a number of processes from 1, but '-2' was given. Leave it out for 'auto'."),
        ("auto", "two", "--workers: must be 'auto' or a number of processes from 1, but 'two' was given. Leave it out for 'auto'."),
        ("auto", "1.5", "--workers: must be 'auto' or a number of processes from 1, but '1.5' was given. Leave it out for 'auto'."),
        ("auto", "100000", "--workers: at most 1024 processes can be kept, but 200000 were asked for. Give a smaller number."),
    ],
)
def test_what_cannot_be_is_answered_with_the_rule(devices: str, workers: str, sentence: str) -> None:
    with pytest.raises(DeviceError) as raised:
        place(WITH_GPUS, devices, workers)
    assert str(raised.value) == sentence
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("locl", {}, "--engine: 'locl' is no engine. Engines: local, inline. Did you mean 'local'?"),
        ("ray", {}, "--engine: 'ray' is no engine. Engines: local, inline."),
        (
            "inline",
            {"devices": "cpu", "workers": "2"},
            "--workers: the engine 'inline' has one worker, but 2 were asked for. Use --engine local for more.",
        ),
        (
            "inline",
            {"devices": "cuda:0,cpu"},
            "--devices: the engine 'inline' uses one device, but 2 were given. Use --engine local for more.",
        ),
    ],
)
def test_an_engine_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, str], sentence: str
) -> None:
    monkeypatch.setattr(devices_module, "read_machine", lambda: WITH_GPUS)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        make_engine(name, log_folder=tmp_path, **options)  # type: ignore[arg-type]


def test_looking_for_devices_does_not_import_torch() -> None:
    code = "from automl.engines.devices import read_machine; read_machine(); import sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_device_errors_are_errors_for_people() -> None:
    assert issubclass(DeviceError, AutomlError)


def test_where_nobody_says_how_many_a_gpu_may_take_more_lanes_than_a_core() -> None:
    (cpu,), (gpu, *_) = place(WITHOUT_GPUS, workers="1", lanes=None), place(WITH_GPUS, lanes=None)
    assert (cpu.slot.lanes, gpu.slot.lanes) == (32, 512)
