"""The laws of ``automl.training.Trainer``, for every trainer to inherit.

The reference is always a ``SoloTrainer`` that has the trial to itself, in float64, so that rounding hides nothing.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from automl.data import Task
from automl.errors import DiskError
from automl.events import (
    Diverged,
    Failed,
    Finished,
    Measure,
    Reported,
    Started,
    Tested,
    TrialKey,
    TrialSpec,
    WorkerEvent,
)
from automl.training import Trainer
from automl.training.checkpoints import CHECKPOINT_SECONDS
from automl.training.solo import SoloTrainer
from contracts.training import (
    EPOCHS,
    FOLDED,
    FOLDS,
    PICTURES,
    PLAIN,
    VARIETY,
    ScarceMemory,
    curve,
    finish,
    folded_job,
    job,
    kinds,
    of,
    one_fold_alone,
    trial,
)


class TrainerContract:
    """Inherit, and give ``make``. ``tolerance`` is the relative difference that another order of the same sums may make."""

    tolerance = 1e-9

    def make(self, lanes: int = 1, checkpoint_seconds: float = math.inf) -> Trainer:
        """A trainer on the CPU that calculates in float64."""
        raise NotImplementedError

    def alone(self, spec: TrialSpec) -> list[WorkerEvent]:
        """All events of a trial that has a SoloTrainer to itself."""
        study = replace(spec.job, folder=f"{spec.job.folder}-alone")
        solo = SoloTrainer("cpu", "reference", dtype=torch.float64, checkpoint_seconds=math.inf)
        solo.start(replace(spec, job=study))
        return of(finish(solo), spec)

    def same(self, left: Mapping[int, Mapping[str, float]], right: Mapping[int, Mapping[str, float]]) -> None:
        assert left.keys() == right.keys()
        for epoch, values in left.items():
            assert values == pytest.approx(right[epoch], rel=self.tolerance, abs=self.tolerance), epoch

    # what is said, and in which order

    def test_the_events_of_a_trial_are_started_its_reports_and_finished(self, tmp_path: Path) -> None:
        trainer, spec = self.make(), trial(job(tmp_path), PLAIN)
        trainer.start(spec)
        events = finish(trainer)
        assert kinds(events) == [Started, *[Reported] * EPOCHS, Finished]
        assert list(curve(events, spec)) == [1, 2, 3, 4]
        assert all(event.key == spec.key for event in events)
        assert [event.at for event in events] == sorted(event.at for event in events)

    def test_nothing_to_train_is_nothing_to_say(self) -> None:
        assert self.make().advance() == []

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_every_epoch_reports_exactly_the_metrics_of_the_job(self, tmp_path: Path, task: Task) -> None:
        trainer, study = self.make(), job(tmp_path, task)
        spec = trial(study, PLAIN)
        trainer.start(spec)
        for values in curve(finish(trainer), spec).values():
            assert set(values) == set(study.metrics)
            assert all(math.isfinite(value) for value in values.values())

    def test_reports_say_how_long_the_device_was_used(self, tmp_path: Path) -> None:
        trainer = self.make()
        trainer.start(trial(job(tmp_path), PLAIN))
        assert all(event.seconds > 0 for event in finish(trainer) if isinstance(event, Reported))

    def test_more_trials_than_lanes_wait_in_their_order(self, tmp_path: Path) -> None:
        trainer, study = self.make(), job(tmp_path)
        specs = [trial(study, PLAIN, number) for number in range(3)]
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        assert [event.key.trial for event in events if isinstance(event, Started)] == [0, 1, 2]
        assert all(kinds(of(events, spec))[-1] is Finished for spec in specs)

    # the numbers of a trial are its own

    @pytest.mark.parametrize("name", [*VARIETY, *PICTURES])
    def test_numbers_depend_on_the_specification_alone(self, tmp_path: Path, name: str) -> None:
        """Admitted late, among seven others of which two are stopped: the same curve as alone."""
        variety, study = (PICTURES, job(tmp_path, model="cnn")) if name in PICTURES else (VARIETY, job(tmp_path))
        others = [trial(study, variety[other], 1 + number) for number, other in enumerate([*variety, *variety][:7])]
        spec = trial(study, variety[name])
        trainer = self.make(lanes=4)
        for other in others[:4]:
            trainer.start(other)
        events = trainer.advance() + trainer.advance()
        for other in (spec, *others[4:]):
            trainer.start(other)
        trainer.stop(others[0].key)
        events += trainer.advance()
        trainer.stop(others[5].key)
        events += finish(trainer)
        assert kinds(of(events, spec)) == kinds(self.alone(spec))
        self.same(curve(events, spec), curve(self.alone(spec), spec))

    @pytest.mark.parametrize("task", ["binary", "regression"])
    def test_numbers_are_the_same_as_alone_for_every_task(self, tmp_path: Path, task: Task) -> None:
        study = job(tmp_path, task)
        specs = [trial(study, configuration, number) for number, configuration in enumerate(VARIETY.values())]
        trainer = self.make(lanes=len(specs))
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        for spec in specs:
            self.same(curve(events, spec), curve(self.alone(spec), spec))

    def test_the_same_trial_twice_has_the_same_numbers_to_the_bit(self, tmp_path: Path) -> None:
        curves = []
        for folder in ("a", "b"):
            trainer, spec = self.make(), trial(job(tmp_path / folder), VARIETY["dropout"])
            trainer.start(spec)
            curves.append(curve(finish(trainer), spec))
        assert curves[0] == curves[1]

    def test_another_seed_has_other_numbers(self, tmp_path: Path) -> None:
        study = job(tmp_path)
        trainer, specs = self.make(lanes=2), [trial(study, PLAIN, number) for number in (0, 1)]
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        assert curve(events, specs[0])[1] != curve(events, specs[1])[1]

    # folds

    @pytest.mark.parametrize(
        ("task", "layout", "model"),
        [("multiclass", "pool", "mlp"), ("regression", "apart", "mlp"), ("binary", "wider", "mlp"), ("multiclass", "pool", "cnn")],
    )
    def test_every_fold_of_every_trial_has_the_numbers_that_it_has_alone(self, tmp_path: Path, task: Task, layout: str, model: str) -> None:
        """Side by side, and admitted while others train: as a training on data that hold nothing but this fold."""
        study = folded_job(tmp_path, task, layout, model)
        variety = PICTURES if model == "cnn" else FOLDED
        whole = [
            replace(trial(study, configuration, number, 2), key=TrialKey(study.study, number, replicate), seed=10 * number + replicate)
            for number, configuration in enumerate(variety.values())
            for replicate in range(FOLDS)
        ]
        trainer = self.make(lanes=len(whole))
        for spec in whole[::2]:
            trainer.start(spec)
        events = trainer.advance()
        for spec in whole[1::2]:
            trainer.start(spec)
        events += finish(trainer)
        for number, spec in enumerate(whole):
            self.same(curve(events, spec), curve(self.alone(one_fold_alone(tmp_path / str(number), spec)), spec))

    def test_replicates_after_the_folds_begin_with_the_first_fold_again(self, tmp_path: Path) -> None:
        study = folded_job(tmp_path, "multiclass", "pool")
        specs = [replace(trial(study, PLAIN), key=TrialKey(study.study, 0, replicate)) for replicate in (1, 1 + FOLDS)]
        trainer = self.make(lanes=2)
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        self.same(curve(events, specs[0]), curve(events, specs[1]))

    # stopping

    def test_a_stopped_trial_says_nothing_more(self, tmp_path: Path) -> None:
        trainer, study = self.make(lanes=2), job(tmp_path)
        running, waiting, other = (trial(study, PLAIN, number) for number in range(3))
        for spec in (running, waiting, other):
            trainer.start(spec)
        trainer.advance()
        trainer.stop(running.key)
        trainer.stop(waiting.key)
        events = finish(trainer)
        assert not of(events, running)
        assert not of(events, waiting)
        self.same(curve(events, other), curve(self.alone(other), other))

    def test_stopping_what_is_not_there_is_nothing(self, tmp_path: Path) -> None:
        trainer = self.make()
        trainer.stop(TrialKey("study", 7))
        assert trainer.advance() == []

    def test_a_stopped_trial_can_be_started_again_from_its_beginning(self, tmp_path: Path) -> None:
        trainer, spec = self.make(checkpoint_seconds=0), trial(job(tmp_path), PLAIN)
        trainer.start(spec)
        for _ in range(3):
            trainer.advance()
        trainer.stop(spec.key)
        trainer.start(spec)
        self.same(curve(finish(trainer), spec), curve(self.alone(spec), spec))

    # how many lanes pay

    def test_measuring_finds_a_number_of_lanes_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        study, trainer = job(tmp_path), self.make(lanes=4)
        examples = [trial(study, configuration, number) for number, configuration in enumerate(VARIETY.values())]
        rates = trainer.measure(Measure(tuple(examples), 4, epochs=math.inf)).rates
        assert set(rates) <= {1, 2, 4}
        assert all(rate > 0 for rate in rates.values())
        assert trainer.advance() == []
        assert not Path(study.folder).exists()
        spec = trial(study, PLAIN)
        trainer.start(spec)
        self.same(curve(finish(trainer), spec), curve(self.alone(spec), spec))

    # what goes wrong stays where it is

    def test_a_trial_that_fails_touches_no_other(self, tmp_path: Path) -> None:
        study = job(tmp_path)
        broken = trial(replace(study, data=str(tmp_path / "nowhere")), PLAIN, 1)
        specs = [trial(study, PLAIN, 0), broken, trial(study, PLAIN, 2)]
        trainer = self.make(lanes=3)
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        failed = of(events, broken)[-1]
        assert isinstance(failed, Failed)
        assert failed.reason == "error"
        assert "nowhere" in failed.detail
        assert "nowhere" in (Path(study.folder) / "trials/1/log.txt").read_text()
        for spec in (specs[0], specs[2]):
            self.same(curve(events, spec), curve(self.alone(spec), spec))

    def test_a_trial_that_diverges_ends_at_once_and_touches_no_other(self, tmp_path: Path) -> None:
        study = job(tmp_path)
        wild = trial(study, {**VARIETY["momentum"], "learning_rate": 1e200, "schedule": "constant"}, 1)
        specs = [trial(study, VARIETY["momentum"], 0), wild, trial(study, VARIETY["momentum"], 2)]
        trainer = self.make(lanes=3)
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        diverged = of(events, wild)[-1]
        assert kinds(of(events, wild)) == [Started, Diverged]
        assert isinstance(diverged, Diverged)
        assert diverged.epoch == 1
        for spec in (specs[0], specs[2]):
            self.same(curve(events, spec), curve(self.alone(spec), spec))

    def test_a_quiet_trial_that_need_not_be_kept_writes_nothing(self, tmp_path: Path) -> None:
        trainer, spec = self.make(), replace(trial(job(tmp_path), PLAIN), save_if_beats=1.0)
        trainer.start(spec)
        last = finish(trainer)[-1]
        assert isinstance(last, Finished)
        assert not last.saved
        assert not Path(spec.job.folder).exists()

    # when memory does not suffice

    @pytest.mark.parametrize("name", ["plain", "deep", "dropout", "layer_norm", "clipped", "whole", "cnn", "rmsprop"])
    def test_a_trial_that_runs_out_of_memory_goes_on_in_smaller_pieces_to_the_same_numbers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """A device on which more than five samples at once do not fit, from the second epoch on."""
        study = job(tmp_path, model="cnn") if name in PICTURES else job(tmp_path)
        spec = trial(study, (PICTURES if name in PICTURES else VARIETY)[name])
        alone = self.alone(spec)
        scarce = ScarceMemory(monkeypatch, most=5, first_epoch=1)
        trainer = self.make()
        trainer.start(spec)
        events = finish(trainer)
        assert scarce.refused
        assert kinds(events) == [Started, *[Reported] * EPOCHS, Finished]
        for epoch, values in curve(alone, spec).items():
            assert curve(events, spec)[epoch] == pytest.approx(values, rel=1e-9), epoch  # sums in another order
        log = (Path(spec.job.folder) / "trials/0/log.txt").read_text()
        assert "out of memory (no room for " in log
        assert "tried again alone, with at most " in log

    def test_a_trial_for_which_one_sample_at_a_time_is_too_much_ran_out_of_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study = job(tmp_path)
        trainer, specs = self.make(lanes=2), [trial(study, PLAIN, 0), trial(study, {**PLAIN, "layers": 2}, 1)]
        ScarceMemory(monkeypatch, most=0, only_layers=2)
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        failed = of(events, specs[1])[-1]
        assert isinstance(failed, Failed)
        assert failed.reason == "out_of_memory"
        assert "no room for 1 samples" in failed.detail
        self.same(curve(events, specs[0]), curve(self.alone(specs[0]), specs[0]))

    def test_batches_of_batch_normalisation_are_not_cut_into_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its numbers are those of the whole batch: the trial fails rather than become another."""
        spec = trial(job(tmp_path), VARIETY["batch_norm"])
        ScarceMemory(monkeypatch, most=5)
        trainer = self.make()
        trainer.start(spec)
        failed = finish(trainer)[-1]
        assert isinstance(failed, Failed)
        assert failed.reason == "out_of_memory"

    # going on after an interruption

    def test_trials_that_were_interrupted_together_end_with_the_same_numbers(self, tmp_path: Path) -> None:
        """After any number of epochs; the second trainer knows nothing but the checkpoints."""
        names = ["dropout", "batch_norm", "rmsprop", "adamw"]
        for epochs in (1, 3):
            study = job(tmp_path / str(epochs))
            specs = [trial(study, VARIETY[name], number, epochs=5) for number, name in enumerate(names)]
            first, second = self.make(4, checkpoint_seconds=0), self.make(4, checkpoint_seconds=0)
            for spec in specs:
                first.start(spec)
            before: list[WorkerEvent] = []
            while len(curve(before, specs[0])) < epochs + 1:
                before += first.advance()
            for spec in specs:
                second.start(spec)
            after = finish(second)
            assert min(curve(after, specs[0])) > epochs
            for spec in specs:
                self.same({**curve(before, spec), **curve(after, spec)}, curve(self.alone(spec), spec))

    def test_a_trial_that_is_trained_again_in_no_time_writes_no_checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written: list[Path] = []
        monkeypatch.setattr("automl.training.files.save", lambda values, file: written.append(file))
        trainer = self.make(lanes=2, checkpoint_seconds=CHECKPOINT_SECONDS)
        for number in (0, 1):
            trainer.start(trial(job(tmp_path), PLAIN, number, epochs=30))
        finish(trainer)
        assert {file.name for file in written} == {"weights.pt"}

    def test_a_checkpoint_with_a_flipped_bit_is_ignored(self, tmp_path: Path) -> None:
        spec = trial(job(tmp_path), PLAIN)
        first = self.make(checkpoint_seconds=0)
        first.start(spec)
        for _ in range(3):
            first.advance()
        file = Path(spec.job.folder) / "trials/0/checkpoint.pt"
        content = bytearray(file.read_bytes())
        with zipfile.ZipFile(file) as archive:  # in the middle of the largest tensor
            largest = max(archive.infolist(), key=lambda info: info.file_size)
        content[largest.header_offset + 100 + largest.file_size // 2] ^= 64
        file.write_bytes(content)
        second = self.make()
        second.start(spec)
        events = finish(second)
        assert min(curve(events, spec)) == 1
        self.same(curve(events, spec), curve(self.alone(spec), spec))

    @pytest.mark.parametrize("name", ["dropout", "batch_norm", "momentum", "rmsprop", "adamw"])
    def test_a_trial_that_was_interrupted_ends_with_the_same_numbers(self, tmp_path: Path, name: str) -> None:
        """To the bit: the second trainer knows nothing but the checkpoint."""
        study = job(tmp_path)
        spec = trial(study, {**VARIETY[name], "early_stopping": 5}, epochs=6)
        first = self.make(checkpoint_seconds=0)
        first.start(spec)
        before = [event for _ in range(4) for event in first.advance()]
        second = self.make(checkpoint_seconds=0)
        second.start(spec)
        after = finish(second)
        uninterrupted = self.make()
        uninterrupted.start(replace(spec, job=replace(study, folder=str(tmp_path / "other"))))
        whole = finish(uninterrupted)
        assert kinds(after)[0] is Started
        assert min(curve(after, spec)) > 1
        assert {**curve(before, spec), **curve(after, spec)} == curve(whole, spec)
        saved = [torch.load(Path(folder) / "trials/0/weights.pt", weights_only=True) for folder in (study.folder, tmp_path / "other")]
        assert saved[0].keys() == saved[1].keys()
        assert all(torch.equal(value, saved[1][key]) for key, value in saved[0].items())

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
    def test_a_checkpoint_that_cannot_be_read_is_ignored(self, tmp_path: Path, content: bytes) -> None:
        spec = trial(job(tmp_path), PLAIN)
        file = Path(spec.job.folder) / "trials/0/checkpoint.pt"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        trainer = self.make()
        trainer.start(spec)
        self.same(curve(finish(trainer), spec), curve(self.alone(spec), spec))

    def test_a_checkpoint_of_another_configuration_is_ignored(self, tmp_path: Path) -> None:
        spec = trial(job(tmp_path), PLAIN)
        first = self.make(checkpoint_seconds=0)
        first.start(spec)
        for _ in range(3):
            first.advance()
        assert (Path(spec.job.folder) / "trials/0/checkpoint.pt").exists()
        other = replace(spec, configuration={**PLAIN, "learning_rate": 0.02})
        second = self.make()
        second.start(other)
        self.same(curve(finish(second), other), curve(self.alone(other), other))

    def test_a_checkpoint_from_beyond_the_reports_that_the_study_has_is_ignored(self, tmp_path: Path) -> None:
        """A power cut has taken the study's last events and left the checkpoint: every report is made again."""
        spec = trial(job(tmp_path), PLAIN)
        first = self.make(checkpoint_seconds=0)
        first.start(spec)
        while len(curve(before := first.advance(), spec)) == 0 or max(curve(before, spec)) < 3:
            pass
        content = (Path(spec.job.folder) / "trials/0/checkpoint.pt").read_bytes()
        for reported, expected in ((1, 1), (2, 3)):  # it was written after epoch 2
            (Path(spec.job.folder) / "trials/0").mkdir(exist_ok=True)
            (Path(spec.job.folder) / "trials/0/checkpoint.pt").write_bytes(content)
            second = self.make()
            second.start(replace(spec, reported=reported))
            events = finish(second)
            assert min(curve(events, spec)) == expected
            assert max(curve(events, spec)) == EPOCHS

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full here")
    def test_a_full_disk_is_no_fault_of_the_trial_which_goes_on_later(self, tmp_path: Path) -> None:
        spec = trial(job(tmp_path), PLAIN)
        weights = Path(spec.job.folder) / "trials/0/weights.pt"
        first = self.make(checkpoint_seconds=0)
        first.start(spec)
        before: list[WorkerEvent] = []
        while len(curve(before, spec)) < EPOCHS - 1:
            before += first.advance()
        (weights.parent / ".weights.pt.unfinished").symlink_to("/dev/full")
        with pytest.raises(DiskError) as error:
            finish(first)
        assert str(error.value) == (
            f"{weights}: must be readable and writable, but no space left on device. "
            "All that was written before is kept; the same command goes on with it."
        )
        assert [path.name for path in weights.parent.iterdir()] == ["checkpoint.pt"]
        second = self.make()
        second.start(spec)
        after = finish(second)
        assert kinds(after)[-1] is Finished
        assert weights.exists()
        self.same({**curve(before, spec), **curve(after, spec)}, curve(self.alone(spec), spec))

    @pytest.mark.parametrize("how", ["ends", "is stopped"])
    def test_no_checkpoint_outlives_its_trial(self, tmp_path: Path, how: str) -> None:
        spec = replace(trial(job(tmp_path), PLAIN), save_if_beats=1.0)
        trainer = self.make(checkpoint_seconds=0)
        trainer.start(spec)
        for _ in range(3):
            trainer.advance()
        assert (Path(spec.job.folder) / "trials/0/checkpoint.pt").exists()
        if how == "is stopped":
            trainer.stop(spec.key)
        finish(trainer)
        assert not (Path(spec.job.folder) / "trials/0").exists()

    # what is kept

    def test_the_weights_of_the_best_epoch_are_kept_and_tested(self, tmp_path: Path) -> None:
        """With one split for all, the test repeats what the best epoch reported."""
        study = job(tmp_path, shared=True)
        spec = trial(study, {**PLAIN, "learning_rate": 0.3}, epochs=12)
        trainer = self.make()
        trainer.start(spec)
        events = finish(trainer)
        best = max(curve(events, spec).values(), key=lambda values: (values["accuracy"], -values["loss"]))
        tested = trainer.test(spec)
        assert isinstance(events[-1], Finished)
        assert events[-1].saved
        assert isinstance(tested, Tested)
        assert tested.split == "training data (there is no other)"
        assert dict(tested.metrics) == pytest.approx({name: value for name, value in best.items() if name != "train_loss"})

    def test_weights_are_kept_only_when_they_beat_what_they_have_to(self, tmp_path: Path) -> None:
        study = job(tmp_path, "regression")
        specs = [replace(trial(study, PLAIN, number), save_if_beats=bar) for number, bar in enumerate((None, 1e9, 1e-9))]
        trainer = self.make(lanes=3)
        for spec in specs:
            trainer.start(spec)
        events = finish(trainer)
        saved = {event.key.trial: event.saved for event in events if isinstance(event, Finished)}
        assert saved == {0: True, 1: True, 2: False}
        assert sorted(path.parent.name for path in Path(study.folder).glob("trials/*/weights.pt")) == ["0", "1"]

    def test_what_is_asked_for_is_tested_at_the_end_and_kept_only_if_it_may_be(self, tmp_path: Path) -> None:
        """The same numbers as of weights that were kept and are tested later."""
        spec = trial(job(tmp_path), {**PLAIN, "learning_rate": 0.1}, epochs=6)
        kept, trainer = self.make(), self.make()
        kept.start(spec)
        finish(kept)
        later = kept.test(spec)
        trainer.start(replace(spec, key=replace(spec.key, replicate=3), save_if_beats=math.inf, tested=True))
        *_, tested, finished = finish(trainer)
        assert isinstance(later, Tested)
        assert isinstance(tested, Tested)
        assert (tested.split, tested.key.replicate) == (later.split, 3)
        assert dict(tested.metrics) == pytest.approx(dict(later.metrics), rel=1e-9)
        assert finished == Finished(tested.key, finished.at)
        assert [path.name for path in Path(spec.job.folder).glob("trials/0/*")] == ["weights.pt"]

    def test_replicates_of_a_trial_keep_apart(self, tmp_path: Path) -> None:
        spec = trial(job(tmp_path), PLAIN)
        again = replace(spec, key=replace(spec.key, replicate=2), seed=5)
        trainer = self.make(lanes=2)
        trainer.start(spec)
        trainer.start(again)
        events = finish(trainer)
        assert curve(events, spec)[1] != curve(events, again)[1]
        assert sorted(path.name for path in Path(spec.job.folder).glob("trials/0/*")) == ["weights-2.pt", "weights.pt"]

    def test_a_test_without_weights_is_a_failure_that_says_so(self, tmp_path: Path) -> None:
        failed = self.make().test(trial(job(tmp_path), PLAIN))
        assert isinstance(failed, Failed)
        assert "weights.pt" in failed.detail

    def test_early_stopping_ends_a_trial_complete(self, tmp_path: Path) -> None:
        """Patience 2: the trial ends two epochs after its best one."""
        spec = trial(job(tmp_path), {**PLAIN, "learning_rate": 1e-12, "early_stopping": 2}, epochs=30)
        trainer = self.make()
        trainer.start(spec)
        events = finish(trainer)
        assert kinds(events) == [Started, Reported, Reported, Reported, Finished]
        assert isinstance(events[-1], Finished)
        assert events[-1].stopped_early

    def test_an_objective_that_is_not_defined_fails_the_trial_with_the_reason(self, tmp_path: Path) -> None:
        """The area under the ROC curve of a validation split with one class."""
        study = replace(job(tmp_path, "binary"), objective="roc_auc")
        np.save(Path(study.data) / "y_validation.npy", np.ones(24, dtype=np.int64))
        trainer, spec = self.make(), trial(study, PLAIN)
        trainer.start(spec)
        failed = finish(trainer)[-1]
        assert isinstance(failed, Failed)
        assert failed.detail == "roc_auc: must be a finite number on the validation split, but is nan. Choose another objective."
