"""The arithmetic of a network of a person's own: counted right, without leaving a trace, and what a step's threads follow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automl.events import Code, Finished, TrialSpec
from automl.inputs import Inputs
from automl.training import Trainer
from automl.training.lanes.trainer import LaneTrainer
from automl.training.own.arithmetic import counting
from automl.training.own.factory import OwnNetwork, own_network
from automl.training.solo import SoloTrainer
from contracts.owncode import module
from contracts.training import finish, job, trial

_STEPS = torch.zeros(2, 10, 8)  # two samples of ten steps
_LAYERS: dict[str, tuple[Callable[[Tensor], object], Tensor, int]] = {
    "perceptron": (nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3)), torch.zeros(2, 20), 2 * (20 * 64 + 64 * 3)),
    "convolutions": (
        nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Conv2d(16, 32, 3, groups=4), nn.MaxPool2d(2)),
        torch.zeros(2, 3, 12, 12),
        2 * (10 * 10 * 16 * 27 + 8 * 8 * 32 * 36),
    ),
    "transposed": (nn.ConvTranspose1d(10, 4, 3), _STEPS, 2 * 8 * 10 * 4 * 3),
    "rnn": (nn.RNN(8, 16, batch_first=True), _STEPS, 2 * 10 * 16 * 24),
    "gru": (nn.GRU(8, 16, batch_first=True), _STEPS, 2 * 10 * 3 * 16 * 24),
    "lstm": (nn.LSTM(8, 16, 2, bidirectional=True, batch_first=True), _STEPS, 2 * 10 * 2 * 4 * 16 * (24 + 48)),
    "cell": (nn.LSTMCell(8, 16), _STEPS[:, 0], 2 * 4 * 16 * 24),
    "attention": (nn.TransformerEncoderLayer(8, 2, 32, batch_first=True), _STEPS, 2 * 10 * (4 * 64 + 2 * 10 * 8 + 2 * 8 * 32)),
    "normalised weights": (nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)), _STEPS, 2 * 10 * 8 * 3),
    "products": (lambda x: torch.einsum("abc,adc->abd", x, x).sqrt().relu_(), _STEPS, 2 * 10 * 10 * 8),
    "vectorised": (lambda x: torch.vmap(lambda one: one @ one.T)(x), _STEPS, 2 * 10 * 10 * 8),
}


@pytest.mark.parametrize("name", _LAYERS)
def test_the_multiplications_of_a_layer(name: str) -> None:
    run, x, expected = _LAYERS[name]
    if isinstance(run, nn.Module):
        run.eval()
    with torch.no_grad(), counting() as arithmetic:
        run(x)
    assert arithmetic.counted == expected


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x.relu(),
        lambda x: torch.linalg.svd(x @ x.mT),
        lambda x: x @ x.mT + torch.cdist(x, x),
        lambda x: nn.functional.bilinear(x @ x.mT, x, torch.zeros(3, 10, 8)),
    ],
    ids=["nothing to count", "decomposition", "distances", "bilinear"],
)
def test_arithmetic_that_is_not_known_is_no_number(run: Callable[[Tensor], object]) -> None:
    with torch.no_grad(), counting() as arithmetic:
        run(_STEPS)
    assert arithmetic.counted is None


def test_an_operation_of_a_library_of_another_is_not_known() -> None:
    @torch.library.custom_op("automl_tests::twice", mutates_args=())
    def twice(x: Tensor) -> Tensor:
        return 2 * x

    with torch.no_grad(), counting() as arithmetic:
        twice(_STEPS @ _STEPS.mT)
    assert arithmetic.counted is None


def test_counting_leaves_the_compiler_alone() -> None:
    """Its import takes a second of every worker."""
    code = (
        "import sys, torch; from automl.training.own.arithmetic import counting\n"
        "with torch.no_grad(), counting() as found: torch.nn.Linear(2, 3)(torch.zeros(4, 2))\n"
        "print(found.counted, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["24", "False"]


def network_of(folder: Path, code: str, shape: tuple[int, ...] = (6,)) -> OwnNetwork:
    given = Inputs("pictures" if len(shape) == 3 else "table", shape)
    return own_network(f"{module(folder, code)}:build", Code("factory", (str(folder),)), {}, given, 3, 0)


STATEFUL = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return self.body(x)

    def build():
        return Net()
"""


def test_counting_changes_neither_the_network_nor_what_is_drawn_next(tmp_path: Path) -> None:
    """It is called once, as every new network is to see what it gives."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    found = network_of(tmp_path, STATEFUL)
    assert torch.equal(torch.rand(3), expected)
    assert found.multiply_adds == 6 * 8 + 8 * 3
    assert found.module.training
    assert found.module.calls == 1
    norm: Any = found.module.body[1]  # type: ignore[index, union-attr]
    assert (int(norm.num_batches_tracked), float(norm.running_mean.abs().max()), float(norm.running_var.min())) == (0, 0.0, 1.0)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_network_that_cannot_run_counted_runs_uncounted(tmp_path: Path) -> None:
    code = """
        import torch
        from torch import nn
        class Net(nn.Linear):
            def forward(self, x):
                if torch._C._len_torch_dispatch_stack():
                    raise RuntimeError("not in here")
                return super().forward(x)
        def build():
            return Net(6, 3)
    """
    found = network_of(tmp_path, code)
    assert found.multiply_adds is None
    assert isinstance(found.module, nn.Linear)


def test_pictures_and_lazy_layers(tmp_path: Path) -> None:
    code = """
        from torch import nn
        def build():
            return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    """
    assert network_of(tmp_path, code, (1, 8, 8)).multiply_adds == 6 * 6 * 4 * 9 + 6 * 6 * 4 * 3


THREADS = """
    import torch
    from torch import nn

    seen = []

    class Net(nn.Sequential):
        def forward(self, x):
            if self.training:
                seen.append(torch.get_num_threads())
            return super().forward(x){end}

    def build(width, dropout=0.0, *, input_shape, outputs):
        return Net(nn.Flatten(), nn.Linear(input_shape[0], width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))
"""
SMALL, MEDIUM, LARGE = 8, 10_000, 100_000  # 6 operations for each of 8 weights a unit and each of 65 samples: 25 kFLOP, 31 and 312 MFLOP


def own_trial(folder: Path, width: int, number: int = 0, *, end: str = "") -> TrialSpec:
    study = replace(job(folder), model=f"{module(folder, THREADS.format(end=end))}:build", code=Code("factory", (str(folder),)))
    return trial(study, {"width": width, "batch_size": 1000, "learning_rate": 0.01}, number, epochs=1)


@pytest.fixture
def two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def threads_of(trainer: Trainer, *specs: TrialSpec) -> list[int]:
    """Of each call of the networks in training."""
    for spec in specs:
        trainer.start(spec)
    assert sum(isinstance(event, Finished) for event in finish(trainer)) == len(specs)
    return list(sys.modules[specs[0].job.model.partition(":")[0]].seen)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("width", "end", "expected"), [(SMALL, "", 1), (LARGE, "", 2), (SMALL, " + torch.linalg.det(torch.eye(2)) - 1", 2)]
)
def test_a_step_of_a_network_of_ones_own_takes_as_many_threads_as_it_is_worth(tmp_path: Path, width: int, end: str, expected: int) -> None:
    """All where its arithmetic is not known."""
    assert set(threads_of(SoloTrainer("cpu", "worker-0"), own_trial(tmp_path, width, end=end))) == {expected}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("lanes", "is_one"), [(1, True), (2, False)])
def test_lanes_take_as_many_as_all_their_steps_are_worth(tmp_path: Path, lanes: int, is_one: bool) -> None:
    """Networks are tried out with all threads."""
    first = own_trial(tmp_path, MEDIUM)
    specs = [replace(first, key=replace(first.key, trial=number)) for number in range(lanes)]
    assert (1 in threads_of(LaneTrainer("cpu", "worker-0", 4), *specs)) == is_one
