"""What is known of a checkpoint before anything trains: a look at it in a process of its own, and what a network on top of it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from automl.errors import UsageError
from automl.events import Checkpoint, Configuration
from automl.families import complete
from automl.families.costs import Cost, dense
from automl.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Looked:
    """A checkpoint that fits: its ``stages``, how many numbers it makes of a picture, and what it costs without a head."""

    stages: int
    features: int
    cost: Cost

    def measures(self, outputs: int, values: Configuration) -> Mapping[str, float]:
        """The parameters (all, frozen ones as well) and multiply-adds with a head of this configuration."""
        settings = complete("finetune", values)
        units = int(settings["head_units"] or 0) if settings["head"] == "mlp" else 0
        head = dense(self.features, units) + dense(units, outputs) if units else dense(self.features, outputs)
        cost = self.cost + head
        return {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds}


def looked_at(checkpoint: Checkpoint, inputs: Inputs) -> Looked:
    """Read it and build its network. Raises UsageError where they do not fit together."""
    request = json.dumps({"checkpoint": asdict(checkpoint), "shape": inputs.shape})
    command = [sys.executable, "-m", "automl.training.pretrained"]
    answer = subprocess.run(command, input=request, capture_output=True, text=True, check=False, errors="replace")
    try:
        found = json.loads("{" + answer.stdout.rpartition("\n{")[2])
    except ValueError:
        words = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise UsageError(f"checkpoint: {checkpoint.name}: must be readable, but the process that read it ended ({words[0]}).") from None
    if "problem" in found:
        raise UsageError(found["problem"])
    return Looked(found["stages"], found["features"], Cost(found["parameters"], found["multiply_adds"]))
