"""``automl devices``: the table, the sentence and the JSON."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

import automl.engines.devices as devices_module
from automl.cli import automl
from automl.engines.devices import Device, Machine
from automl.errors import DeviceError

CPU = Device("cpu", "cpu", "Some CPU", 31.9, cores=8)
GPUS = (Device("cuda:0", "gpu", "NVIDIA H100", 79.6, visible="GPU-a"), Device("cuda:1", "gpu", "NVIDIA L4", None, visible="GPU-b"))
HIDDEN = Device("cuda:0", "gpu", "NVIDIA L4", 22.5, visible="GPU-a", unusable="torch 2.9.0+cpu is a build for CPUs only")


def said(monkeypatch: pytest.MonkeyPatch, machine: Machine, *options: str, columns: int = 200) -> str:
    """What the command prints on this machine, on a terminal of this width."""
    monkeypatch.setattr(devices_module, "read_machine", lambda: machine)
    monkeypatch.setenv("COLUMNS", str(columns))
    result = CliRunner().invoke(automl, ["devices", *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize(
    ("machine", "options", "sentence"),
    [
        (
            Machine((*GPUS, CPU)),
            (),
            "A run would use 1 worker on cuda:0 and 1 worker on cuda:1 (since GPUs go first; one on each GPU), with 4 CPU threads each.",
        ),
        (
            Machine((*GPUS, CPU)),
            ("--devices", "cuda:1", "--workers", "2"),
            "A run would use 2 workers on cuda:1 (as --devices asks; as --workers asks), with 4 CPU threads each.",
        ),
        (
            Machine((CPU,)),
            (),
            "A run would use 8 workers on cpu (since there is no GPU that can be used; one for each core), with 1 CPU thread each.",
        ),
    ],
)
def test_it_says_what_would_be_used_and_why(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, options: tuple[str, ...], sentence: str
) -> None:
    assert sentence in said(monkeypatch, machine, *options).splitlines()


def test_the_table_has_a_line_for_every_device_with_the_reason_where_one_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [re.split(r"\s{2,}", line.strip()) for line in said(monkeypatch, Machine((HIDDEN, CPU))).splitlines()]
    assert ["cuda:0", "NVIDIA L4", "22.5 GiB", "0", "cannot be used: torch 2.9.0+cpu is a build for CPUs only"] in words
    assert ["cpu", "Some CPU", "31.9 GiB", "8", "8 cores"] in words


def test_notes_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    note = "nvidia-smi did not answer within 5 s, so no GPU is used."
    assert said(monkeypatch, Machine((CPU,), (note,))).splitlines()[-1] == note


def test_json_lists_what_can_be_used_and_how_many_workers_each_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(said(monkeypatch, Machine((*GPUS, CPU)), "--json")) == [
        {"name": "cuda:0", "kind": "gpu", "memory_gib": 79.6, "workers": 1},
        {"name": "cuda:1", "kind": "gpu", "memory_gib": None, "workers": 1},
        {"name": "cpu", "kind": "cpu", "memory_gib": 31.9, "workers": 0},
    ]
    assert [record["name"] for record in json.loads(said(monkeypatch, Machine((HIDDEN, CPU)), "--json"))] == ["cpu"]


def test_a_choice_that_cannot_be_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"^--devices: cuda:3 is not there\. Devices: cpu\.$"):
        said(monkeypatch, Machine((CPU,)), "--devices", "cuda:3")


def test_a_narrow_terminal_gets_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, Machine((*GPUS, CPU)), columns=40).splitlines()
    assert [line.rstrip() for line in lines[:5]] == [
        "cuda:0  NVIDIA H100, 79.6 GiB, 1 worker",
        "cuda:1  NVIDIA L4, 1 worker",
        "cpu     Some CPU, 31.9 GiB, 0 workers, 8",
        "        cores",
        "A run would use 1 worker on cuda:0 and 1 worker on cuda:1 (since GPUs go first; one on each GPU), with 4 CPU threads each.",
    ]
