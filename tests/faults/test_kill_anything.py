"""Real studies, killed with SIGKILL at random moments and continued with the same command, until they are done.

Every moment is drawn from a seed. By hand, for longer, with a table of where the kills fell::

    AUTOML_KILLS=200 pytest -m long -rP tests/faults/test_kill_anything.py
"""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from contracts.killing import Kill, Plan, Victim, check_laws, killed, table

KILLS = int(os.environ.get("AUTOML_KILLS", "30"))
SEED = os.environ.get("AUTOML_KILLS_SEED", "0")
RECORD = os.environ.get("AUTOML_KILLS_RECORD")  # a file to which every kill is appended as a line of JSON
PLANS = [
    Plan("random"),
    Plan("bayesian", pruner="asha"),
    Plan("grid", workers=2),
    Plan("sobol", workers=2, lanes=6),
    Plan("random", lanes=4),
    Plan("random", has_server=True),
]


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.strategy}-{plan.workers}x{plan.lanes}{'-server' * plan.has_server}")
def test_a_study_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit with one lane; with several to what another order of the same sums may make of a short training."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    choose = random.Random(f"{SEED} {plan}")
    calm, began = Victim(tmp_path / "calm", plan), time.monotonic()
    with calm:
        calm.run()
        duration = time.monotonic() - began
        check_laws(calm, calm)
    kills: list[Kill] = []
    wanted = KILLS // len(PLANS)
    while len(kills) < wanted:
        with Victim(tmp_path / f"victim{len(list(tmp_path.iterdir()))}", plan) as victim:
            fallen = killed(victim, choose, duration, calm.length(), wanted - len(kills))
            kills += fallen
            victim.run()
            check_laws(victim, calm)
        _record(fallen)
    print(table(kills))


def _record(kills: list[Kill]) -> None:
    if RECORD:
        with Path(RECORD).open("a", encoding="utf-8") as record:
            record.writelines(json.dumps(asdict(kill)) + "\n" for kill in kills)
