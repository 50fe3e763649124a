"""What code of a person's own changes for the whole process is undone, also where it loads torch for the first time."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, sys
from automl.surroundings import Own, Surroundings

assert "torch" not in sys.modules, "it is never loaded here"
own, before = Own(Surroundings.found()), os.getcwd()
with own.around():
    import torch
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    os.chdir("/")
assert (os.getcwd(), torch.get_default_dtype()) == (before, torch.float32)
assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
with own.around():
    assert (os.getcwd(), torch.get_default_dtype()) == ("/", torch.float64)
    assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark
print("undone")
"""


def test_torch_is_as_it_was_before_it_was_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("undone\n", "")
