"""With what a study was made: versions, hardware and the command, for whoever wants to repeat it."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from automl.engines.devices import read_cpu, read_machine
from automl.events import Slot

_PACKAGES = ("torch", "numpy", "optuna", "scikit-learn", "pandas", "mlflow")  # that change numbers, or what is seen of them


def environment(slots: Sequence[Slot]) -> Mapping[str, str]:
    """Names and values for people: versions, the system, the devices of these slots, the workers, and the command that was typed."""
    from automl import __version__
    from automl.tracking import redacted

    typed = shlex.join(["automl", *sys.argv[1:]]) if Path(sys.argv[0]).name in ("automl", "__main__.py") else ""
    return {
        "automl": __version__,
        "python": platform.python_version(),
        **{name: version for name in _PACKAGES if (version := _version(name))},
        "system": platform.platform(),
        "devices": _devices(slots),
        "workers": ", ".join(f"{count} on {device}" for device, count in Counter(slot.device for slot in slots).items()),
        **({"command": redacted(typed)} if typed else {}),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _devices(slots: Sequence[Slot]) -> str:
    used = dict.fromkeys(slot.device for slot in slots)
    known = (read_cpu(),) if set(used) <= {"cpu"} else read_machine().devices
    models = {device.name: device for device in known}
    return "; ".join(_device(name, models[name].model, models[name].cores, models[name].memory_gib) for name in used if name in models)


def _device(name: str, model: str, cores: int, memory_gib: float | None) -> str:
    parts = [model, f"{cores} core{'s' if cores != 1 else ''}" if cores else "", f"{memory_gib:g} GiB" if memory_gib is not None else ""]
    return f"{name}: {', '.join(filter(None, parts))}"
