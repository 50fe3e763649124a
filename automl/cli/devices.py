"""``automl devices``: what can be trained on, and what a run with these options would use."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from automl.engines.devices import Device, Machine

_NARROWEST = 60  # columns that the table needs


@click.command()
@click.option("--devices", "wanted", default="auto", show_default=True, metavar="auto|cpu|cuda:0,cuda:1", help="Preview this choice.")
@click.option("--workers", default="auto", show_default=True, metavar="auto|N", help="Processes on each GPU, or in all on the CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def devices(wanted: str, workers: str, as_json: bool) -> None:
    """What can be trained on, and what a run would use."""
    from automl.engines.devices import place, read_machine

    machine = read_machine()
    placements = place(machine, wanted, workers)
    counts = Counter(placement.slot.device for placement in placements)
    if as_json:
        records = [
            {"name": device.name, "kind": device.kind, "memory_gib": device.memory_gib, "workers": counts[device.name]}
            for device in machine.usable
        ]
        click.echo(json.dumps(records, indent=2))
        return
    from automl.cli.wrapping import print_sentence

    _print_table(machine, counts)
    print_sentence(_summary(machine, wanted, workers, counts, placements[0].threads))
    for note in machine.notes:
        print_sentence(note)


def _print_table(machine: Machine, counts: Counter[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("device", no_wrap=True)
    table.add_column("model")
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("workers", justify="right", no_wrap=True)
    table.add_column("remark")
    for device in machine.devices:
        memory = "?" if device.memory_gib is None else f"{device.memory_gib:g} GiB"
        table.add_row(device.name, device.model, memory, str(counts[device.name]), _remark(device))
    console = Console(highlight=False, markup=False, emoji=False)
    if console.width >= _NARROWEST:
        console.print(table)
        return
    narrow = Table.grid(padding=(0, 2))
    for device in machine.devices:
        number = counts[device.name]
        words = [device.model, "" if device.memory_gib is None else f"{device.memory_gib:g} GiB", _workers(number), _remark(device)]
        narrow.add_row(device.name, ", ".join(word for word in words if word))
    console.print(narrow)


def _remark(device: Device) -> str:
    if device.unusable:
        return f"cannot be used: {device.unusable}"
    return f"{device.cores} cores" if device.cores else ""


def _workers(number: int) -> str:
    return f"{number} {'worker' if number == 1 else 'workers'}"


def _summary(machine: Machine, wanted: str, workers: str, counts: Counter[str], threads: int) -> str:
    """One sentence: what would be used and why."""
    has_gpu = any(device.kind == "gpu" for device in machine.usable)
    if wanted.strip() != "auto":
        why = "as --devices asks"
    elif has_gpu:
        why = "since GPUs go first"
    else:
        why = "since there is no GPU that can be used"
    parts = " and ".join(f"{_workers(number)} on {name}" for name, number in counts.items())
    how_many = "as --workers asks" if workers.strip() != "auto" else "one on each GPU" if "cpu" not in counts else "one for each core"
    return f"A run would use {parts} ({why}; {how_many}), with {threads} CPU {'thread' if threads == 1 else 'threads'} each."
