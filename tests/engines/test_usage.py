"""How busy devices are, as the machine says; and nothing where it says nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from automl.engines.usage import Usage, Use, cpu_seconds, read_gpu_use


def test_the_csv_of_nvidia_smi_is_read_and_what_it_does_not_know_is_none() -> None:
    table = "GPU-1, 87, 12288, 143771\nGPU-2, [N/A], [N/A], 143771\n\nnonsense\n"
    assert read_gpu_use(table) == {"GPU-1": Use(0.87, 12.0, 143771 / 1024), "GPU-2": Use(None, None, 143771 / 1024)}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc, which is not there")
def test_cpu_time_of_a_process_counts_what_it_does_and_what_its_children_do() -> None:
    before = cpu_seconds(os.getpid())
    assert before is not None
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = cpu_seconds(os.getpid())
    assert after is not None
    assert after - before >= 0.03  # in ticks of a hundredth of a second
    parent = cpu_seconds(os.getppid())
    assert parent is None or parent >= after - 0.02


def test_of_a_process_that_is_not_there_nothing_is_said(tmp_path: Path) -> None:
    assert cpu_seconds(2**30) is None
    assert cpu_seconds(1, tmp_path) is None
    usage = Usage(2**30)
    usage.start()
    usage.stop()
    assert usage.of == {}
