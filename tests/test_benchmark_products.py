"""The benchmark of products answers for any shape."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from automl.models.multiplication import numpy_is_faster

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "products.py"


def test_both_libraries_have_a_rate_for_each_product() -> None:
    answer = subprocess.run(
        [sys.executable, BENCHMARK, "--samples", "8", "--units", "4,16", "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(answer.stdout)
    assert found["takes"] == ("numpy" if numpy_is_faster() else "torch")
    assert [(row["samples"], row["units"], row["product"]) for row in found["rates"]] == [
        (8, units, product) for units in (4, 16) for product in ("forward", "gradient of the weights", "gradient of the inputs")
    ]
    assert all(min(row["torch"], row["numpy"]) > 0 for row in found["rates"])
