"""The long study stays as cheap as it began, in counts and bytes; many workers are kept busy."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Any

import pytest

from automl.store import Store

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("soak")


@pytest.mark.long
@pytest.mark.parametrize(("strategy", "pruner"), [("random", "none"), ("sobol", "median"), ("bayesian", "asha")])
def test_a_trial_costs_at_the_end_what_it_cost_at_the_beginning(soak: Any, tmp_path: Path, strategy: str, pruner: str) -> None:
    trials = 5000 if strategy == "random" else 3000
    gauge = soak.soak(tmp_path / "s", trials, soak.SimulatedWorkers(8), strategy, pruner)
    assert gauge.calls["late"] <= 1.5 * gauge.calls["early"]
    assert gauge.growth < 5000
    assert (tmp_path / "s" / "study.db").stat().st_size < 3000 * trials
    with Store.read_only(tmp_path / "s") as store:
        assert store.study().ended == trials


@pytest.mark.long
def test_a_thousand_workers_are_used(soak: Any, tmp_path: Path) -> None:
    """Where every look that the driver takes at its workers costs it half a millisecond."""
    ticks = itertools.count()
    engine = soak.SimulatedWorkers(1000, lambda: next(ticks) * 0.00025)
    soak.soak(tmp_path / "s", 2000, engine)
    assert engine.used > 0.99
