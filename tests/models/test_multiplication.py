"""Products are numpy's where torch's library holds back, and are the same."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info
from torch import Tensor, nn

from automl.models import multiplication
from automl.models.multiplication import Linear, multiply, multiplying, numpy_multiplies

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplication, "numpy_is_faster", lambda: True)


def results(layer: nn.Linear, x: Tensor, d: Tensor) -> list[Tensor | None]:
    """Outputs and all gradients."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(d)
    return [y.detach(), x.grad, layer.weight.grad, None if layer.bias is None else layer.bias.grad]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(64,), (4, 16), (2, 4, 8)], ids=str)
@pytest.mark.usefixtures("faster")
def test_a_layer_is_the_one_of_torch(shape: tuple[int, ...], dtype: torch.dtype, bias: bool) -> None:
    """Outputs and gradients, also of inputs and gradients that do not lie in order."""
    layer = Linear(128, 96, bias=bias, dtype=dtype)
    plain = nn.Linear(128, 96, bias=bias, dtype=dtype)
    plain.load_state_dict(layer.state_dict())
    for x, d in (
        (torch.randn(*shape, 128, dtype=dtype), torch.randn(*shape, 96, dtype=dtype)),
        (torch.randn(128, *shape, dtype=dtype).movedim(0, -1), torch.randn(96, *shape, dtype=dtype).movedim(0, -1)),
        (torch.randn(*shape, 128, dtype=dtype), torch.ones((), dtype=dtype).expand(*shape, 96)),
    ):
        with multiplying():
            assert layer(x.clone().requires_grad_()).grad_fn.name() == "_ProductBackward"
            found = results(layer, x, d)
        torch.testing.assert_close(found, results(plain, x, d))


@pytest.mark.usefixtures("faster")
def test_layers_that_are_small_or_outside_or_of_another_type_are_torch_s_own() -> None:
    layer, large = Linear(128, 96), torch.randn(64, 128)
    assert layer(large).grad_fn.name() == "AddmmBackward0"
    with multiplying():
        assert layer(large).grad_fn.name() == "_ProductBackward"
        assert layer(large[:8]).grad_fn.name() == "AddmmBackward0"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(large.bfloat16()).dtype == torch.bfloat16


def test_a_model_can_be_exported_and_compiled_for_any_number_of_samples() -> None:
    module, x = nn.Sequential(Linear(128, 96), nn.ReLU(), Linear(96, 4)), torch.randn(64, 128)
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("samples", min=2, max=4096)},)).module()
    compiled = torch.compile(module, fullgraph=True, backend="eager", dynamic=True)
    for samples in (x, x[:3], torch.randn(2000, 128)):
        torch.testing.assert_close(exported(samples), module(samples))
        torch.testing.assert_close(compiled(samples), module(samples))


@pytest.mark.usefixtures("faster")
def test_gradients_are_taken_only_where_they_are_wanted() -> None:
    layer, x = Linear(128, 96), torch.randn(64, 128)
    layer.weight.requires_grad_(False)
    with multiplying():
        layer(x).sum().backward()
        assert layer.weight.grad is None
        assert layer.bias.grad is not None
        with torch.no_grad():
            assert layer(x).grad_fn is None


@pytest.mark.usefixtures("faster")
def test_numbers_that_are_not_finite_are_no_warning() -> None:
    layer, x = Linear(128, 96), torch.full((64, 128), torch.inf)
    with warnings.catch_warnings(), multiplying():
        warnings.simplefilter("error")
        layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert not layer.weight.grad.isfinite().any()


@pytest.mark.usefixtures("faster")
def test_numpy_takes_one_thread_and_leaves_its_threads_as_they_were() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with multiplying():
        assert set(threads()) == {1}
    assert threads() == before


@pytest.mark.usefixtures("faster")
def test_only_one_thread_of_a_cpu_multiplies_with_numpy() -> None:
    assert not numpy_multiplies(CPU)
    with multiplying():
        assert numpy_multiplies(CPU)
        assert not numpy_multiplies(torch.device("cuda"))
    torch.set_num_threads(2)
    with multiplying():
        assert not numpy_multiplies(CPU)


@pytest.mark.parametrize(
    ("vendor", "capability", "faster"),
    [("AuthenticAMD", "AVX512", True), ("GenuineIntel", "AVX512", False), ("AuthenticAMD", "AVX2", False)],
)
def test_numpy_is_taken_where_torch_s_library_holds_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str, capability: str, faster: bool
) -> None:
    """As it is where torch has MKL and numpy OpenBLAS, which both wheels for x86 have."""
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("this torch is built without MKL")
    cpus = tmp_path / "cpuinfo"
    cpus.write_text(f"processor : 0\nvendor_id : {vendor}\n")
    monkeypatch.setattr(multiplication, "_CPUS", cpus)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert multiplication.numpy_is_faster.__wrapped__() is faster


@pytest.mark.parametrize("is_faster", [True, False])
def test_a_product_of_two(monkeypatch: pytest.MonkeyPatch, is_faster: bool) -> None:
    monkeypatch.setattr(multiplication, "numpy_is_faster", lambda: is_faster)
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    with multiplying():
        torch.testing.assert_close(multiply(a, b), a @ b)
