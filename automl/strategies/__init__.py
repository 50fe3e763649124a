"""How configurations are chosen."""

from __future__ import annotations

from typing import Protocol

from automl.events import Configuration
from automl.study import Study


class Strategy(Protocol):
    """Suggests configurations.

    A plain function of what has happened (waiting and running trials included) and the study's seed: it keeps no state that a
    restart would lose. Caches that are functions of the events are fine. The laws are in ``tests/contracts/strategy.py``:

    - every suggestion lies in the space and no configuration is suggested that the study knows already;
    - the same study gives the same suggestions in another process;
    - the n-th trial of a study depends on the study's events, its seed and n.
    """

    def suggest(self, study: Study, count: int) -> list[Configuration]:
        """Configurations of the trials ``len(study.trials)``, ``len(study.trials) + 1``, ...

        Fewer than ``count``: the space is used up.
        """
