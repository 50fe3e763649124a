"""The laws of the winner's end: tested once, kept whole, made again where it is not, and never at the cost of the study."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from automl import events
from automl.driver import Session, drive
from automl.durable import are_whole
from automl.engines.inline import InlineEngine
from automl.errors import AutomlError
from automl.events import Slot, TrialSpec, WorkerEvent
from automl.training.simulated import SimulatedTrainer
from automl.winner import crown, is_crowned
from contracts.driving import Rehearsed

SLOT = Slot(0, "cpu", 1, "cpu")


class Mortal(SimulatedTrainer):
    """Dies of every test for as long as ``lives`` lasts; writes what a real trainer would, a file of weights."""

    lives: list[str]

    def test(self, trial: TrialSpec) -> WorkerEvent:
        if self.lives:
            raise RuntimeError(self.lives.pop())
        return super().test(trial)

    def advance(self) -> list[WorkerEvent]:
        specs = {lane.trial.key: lane.trial for lane in self._training}
        answer = super().advance()
        for event in answer:
            if getattr(event, "saved", False):
                save(Path(specs[event.key].job.folder, "trials", str(event.key.trial), "weights.pt"))
        return answer


def save(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", b"weights" * 100)


def mortal(deaths: int) -> Callable[[str, str, int], Mortal]:
    lives = [f"death {number}" for number in range(deaths, 0, -1)]

    def make(device: str, worker: str, lanes: int) -> Mortal:
        trainer = Mortal(device, worker, lanes)
        trainer.lives = lives
        return trainer

    return make


@contextmanager
def driven(folder: Path, engine: InlineEngine) -> Iterator[Session]:
    """A study that is trained and not crowned yet."""
    rehearsed = Rehearsed(folder, trials=3)
    with rehearsed.open() as store:
        session = rehearsed.session(store)
        drive(engine, [session])
        yield session


def test_the_winner_is_tested_once_and_kept(tmp_path: Path) -> None:
    engine = InlineEngine(SLOT, mortal(0))
    with driven(tmp_path, engine) as session:
        assert not is_crowned(session.study, tmp_path)
        for _ in range(2):
            crown(session, tmp_path, lambda: engine, print)
            assert is_crowned(session.study, tmp_path)
        assert sum(isinstance(event, events.Tested) for _, event in session.store.events()) == 1


def test_a_worker_that_dies_of_the_test_is_replaced_once(tmp_path: Path) -> None:
    engine = InlineEngine(SLOT, mortal(1))
    with driven(tmp_path, engine) as session:
        crown(session, tmp_path, lambda: engine, print)
        assert is_crowned(session.study, tmp_path)


def test_a_test_that_kills_every_worker_is_an_error_that_costs_nothing_else(tmp_path: Path) -> None:
    engine = InlineEngine(SLOT, mortal(2))
    with driven(tmp_path, engine) as session:
        assert session.study.best is not None
        number = session.study.best.number
        message = (
            f"trial {number}: the winner must be tested, but could not be. The study is kept; the same command tries again. "
            "2 workers died of it: raised RuntimeError\nTraceback"
        )
        with pytest.raises(AutomlError, match=f"^{re.escape(message)}(?s:.*)RuntimeError: death 2$"):
            crown(session, tmp_path, lambda: engine, print)
        assert (session.study.ended, session.study.test) == (3, None)
        crown(session, tmp_path, lambda: engine, print)
        assert is_crowned(session.study, tmp_path)


def torn(whole: bytes) -> Iterator[bytes]:
    """What a power cut can leave of a file: less of it, nothing, or zeros where it had not been written yet."""
    yield from (whole[:length] for length in (0, 1, len(whole) // 2, len(whole) - 1))
    yield bytes(len(whole))
    yield whole[: len(whole) // 3] + bytes(50) + whole[len(whole) // 3 + 50 :]


@pytest.mark.parametrize("kind", range(6))
def test_torn_weights_are_those_that_are_not_there(tmp_path: Path, kind: int) -> None:
    """In ``best/`` they are copied again; where the trial's own are torn as well it is trained again."""
    engine, said = InlineEngine(SLOT, mortal(0)), []
    with driven(tmp_path, engine) as session:
        crown(session, tmp_path, lambda: engine, said.append)
        assert session.study.best is not None
        number = session.study.best.number
        kept, own = tmp_path / "best" / "weights.pt", tmp_path / "trials" / str(number) / "weights.pt"
        whole = own.read_bytes()
        for places in ([kept], [kept, own]):
            for place in places:
                place.write_bytes(list(torn(whole))[kind])
                assert not are_whole(place)
            assert not is_crowned(session.study, tmp_path)
            crown(session, tmp_path, lambda: engine, said.append)
            assert is_crowned(session.study, tmp_path)
        assert are_whole(own)
    assert said == [f"Trial {number} won, but its weights are not there any more: it is trained again."]


@pytest.mark.parametrize("name", ["config.yaml", "weights.pt"])
def test_a_best_folder_that_lacks_something_or_says_something_else_is_made_again(tmp_path: Path, name: str) -> None:
    engine = InlineEngine(SLOT, mortal(0))
    with driven(tmp_path, engine) as session:
        crown(session, tmp_path, lambda: engine, print)
        for change in (Path.unlink, lambda file: file.write_text("study: another\n"), lambda file: file.write_text("{")):
            change(tmp_path / "best" / name)
            assert not is_crowned(session.study, tmp_path)
            crown(session, tmp_path, lambda: engine, print)
            assert is_crowned(session.study, tmp_path)
