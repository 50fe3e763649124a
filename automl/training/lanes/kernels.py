"""Training and measuring one fully connected network on a CPU, compiled: a whole run of batches in one call.

Every function here is numba's, which compiles it when it is first called with a type of numbers, and keeps what it made on disk. All of
them are in this file, since numba looks only at the file of a function to see whether what it kept is still good. Products are
OpenBLAS's. Vectors hold matrices row by row; a network's weight matrices stand turned in them, inputs first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from automl.training.lanes.cache import Cache

Function = TypeVar("Function", bound=Callable[..., Any])
Array = np.ndarray[Any, Any]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "sigmoid", "silu", "gelu")
NORMALIZATIONS = ("none", "batch", "layer")
TASKS = ("multiclass", "binary", "regression")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
WEIGHT, BIAS, NORM_WEIGHT, NORM_BIAS, MEAN, VARIANCE = range(6)
NOWHERE = -1

_RELU, _LEAKY_RELU, _ELU, _TANH, _SIGMOID, _SILU, _GELU = range(len(ACTIVATIONS))
_NONE, _BATCH, _LAYER = range(len(NORMALIZATIONS))
_MULTICLASS, _BINARY, _REGRESSION = range(len(TASKS))
_ADAM, _ADAMW, _SGD, _RMSPROP = range(len(OPTIMIZERS))

_SQUARE, _FEW_SAMPLES, _MANY_SAMPLES = 32, 64, 128  # of pieces that OpenBLAS's shorter way is fast with
_SLOPE = 0.01  # of leaky_relu
_NORM_EPSILON, _NORM_MOMENTUM = 1e-5, 0.1
_EPSILON, _RMSPROP_DECAY = 1e-8, 0.99
_CLIP_EPSILON = 1e-6
_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_COLUMNS, _ROWS_A_STEP = np.uint64(0xD1B54A32D192ED03), np.uint64(2**32)


class Blas(NamedTuple):
    """Where the product of two matrices lies (``sgemm`` or ``dgemm``), and up to how many multiplications it takes a shorter way."""

    gemm: int
    small: int


class Net(NamedTuple):
    """A network: ``widths`` of its inputs, hidden layers and outputs; of each layer ``places[layer]`` where its parts begin, the first four
    in the weights, the others in the statistics. ``activation``, ``normalization`` and ``task`` count the names above."""

    widths: Array
    places: Array
    activation: int
    normalization: int
    task: int
    blas: Blas


class Rule(NamedTuple):
    """How weights move; ``optimizer`` counts the names above."""

    optimizer: int
    momentum: float
    nesterov: bool
    beta1: float
    beta2: float
    decay: float
    l1: float
    clip_norm: float


class Draw(NamedTuple):
    """Dropout of a trial: a key for each hidden layer, and what ``automl.training.randomness.keep_masks`` takes. ``smoothing`` is that of
    the labels."""

    keys: Array
    threshold: int
    share: float
    smoothing: float


class State(NamedTuple):
    """The numbers of a network that move, vectors: weights, their gradients, running statistics, and what its optimiser remembers."""

    weights: Array
    gradients: Array
    statistics: Array
    first: Array
    second: Array
    velocity: Array


def _compiled(function: Function) -> Function:
    """Sums may be taken in any order. Nothing is assumed of numbers that are not finite: they tell that a trial has diverged."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "nsz", "arcp", "contract"}}
    compiled: Any = njit(**options)(function)
    with suppress(RuntimeError):  # neither beside this file nor in the person's cache can anything be kept
        compiled._cache = Cache(function)  # type: ignore[no-untyped-call]  # as its enable_caching does
    return compiled  # type: ignore[no-any-return]


# numbers: of float32 without calls, so that eight or sixteen are computed at once


@intrinsic
def _bits_as_float(typingctx: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


def _exp(x: Any) -> Any: ...


@overload(_exp, jit_options={"fastmath": {"contract"}})
def _exp_of(x: Any) -> Any:
    """Source for float32: Moshier, Cephes, expf: a polynomial around 0, times a power of two."""

    def exp64(x: Any) -> Any:
        return math.exp(x)

    if x != types.float32:
        return exp64
    low, high, per_ln2, ln2, half, one = map(np.float32, (-87.0, 88.0, 1.44269504, 0.693147182, 0.5, 1.0))
    c0, c1, c2, c3, c4, c5 = map(np.float32, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5))
    bias, mantissa = np.int32(127), np.int32(23)
    float_of_bits: Any = _bits_as_float  # whose first argument is numba's affair

    def exp32(x: Any) -> Any:
        x = low if x < low else x
        x = high if x > high else x
        power = np.float32(math.floor(x * per_ln2 + half))
        r = x - power * ln2
        p = (((((c0 * r + c1) * r + c2) * r + c3) * r + c4) * r + c5) * (r * r) + r + one
        return p * float_of_bits((np.int32(power) + bias) << mantissa)

    return exp32


def _tanh(x: Any) -> Any: ...


@overload(_tanh, jit_options={"fastmath": {"contract"}})
def _tanh_of(x: Any) -> Any:
    """Source for float32: Moshier, Cephes, tanhf: a polynomial up to 0.625, and beyond by the exponential."""

    def tanh64(x: Any) -> Any:
        return math.tanh(x)

    if x != types.float32:
        return tanh64
    one, two, near = map(np.float32, (1.0, 2.0, 0.625))
    c0, c1, c2, c3, c4 = map(np.float32, (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1))

    def tanh32(x: Any) -> Any:
        size = -x if x < 0 else x
        square = x * x
        inner = ((((c0 * square + c1) * square + c2) * square + c3) * square + c4) * square * x + x
        outer = one - two / (_exp(size + size) + one)
        return inner if size < near else (-outer if x < 0 else outer)

    return tanh32


def _erf(x: Any) -> Any: ...


@overload(_erf, jit_options={"fastmath": {"contract"}})
def _erf_of(x: Any) -> Any:
    """Sources for float32: Moshier, Cephes, erff, up to 1, and beyond Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26."""

    def erf64(x: Any) -> Any:
        return math.erf(x)

    if x != types.float32:
        return erf64
    one, p = np.float32(1.0), np.float32(0.3275911)
    a0, a1, a2, a3 = map(np.float32, (7.853861353153693e-5, -8.010193625184903e-4, 5.188327685732524e-3, -2.685381193529856e-2))
    a4, a5, a6 = map(np.float32, (1.128358514861418e-1, -3.761262582423300e-1, 1.128379165726710))
    c1, c2, c3, c4, c5 = map(np.float32, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429))

    def erf32(x: Any) -> Any:
        size, square = (-x if x < 0 else x), x * x
        inner = x * ((((((a0 * square + a1) * square + a2) * square + a3) * square + a4) * square + a5) * square + a6)
        t = one / (one + p * size)
        outer = one - ((((c5 * t + c4) * t + c3) * t + c2) * t + c1) * t * _exp(-square)
        return inner if size < one else (-outer if x < 0 else outer)

    return erf32


@_compiled
def _hash(counter: Any, key: Any) -> Any:
    """As ``automl.training.randomness.hashed``, of uint64."""
    z = counter * _GOLDEN + key
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@_compiled
def hashes(count: Any, key: Any) -> Any:
    """Those of the numbers up to ``count``, as int64."""
    found = np.empty(count, np.int64)
    for k in range(count):
        found[k] = np.int64(_hash(np.uint64(k), key))
    return found


# products: BLAS's, which counts rows as columns, so that a matrix of ours is the transposed one there


@intrinsic
def _gemm(
    typingctx: Any,
    gemm: Any,
    a_turned: Any,
    b_turned: Any,
    m: Any,
    n: Any,
    k: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    c: Any,
    ldc: Any,
    one: Any,
) -> Any:
    """``c = a b`` by the routine at ``gemm``; ``a``, ``b`` and ``c`` are addresses too, ``one`` is of the type of the numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        gemm, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, one = args

        def placed(value: Any) -> Any:
            return cgutils.alloca_once_value(builder, value)  # type: ignore[no-untyped-call]

        def letter(is_turned: Any) -> Any:
            return placed(builder.select(is_turned, ir.Constant(ir.IntType(8), ord("T")), ir.Constant(ir.IntType(8), ord("N"))))

        def number(value: Any) -> Any:
            return placed(builder.trunc(value, ir.IntType(32)))

        def matrix(address: Any) -> Any:
            return builder.inttoptr(address, one.type.as_pointer())

        given = [letter(a_turned), letter(b_turned), number(m), number(n), number(k), placed(one), matrix(a), number(lda)]
        given += [matrix(b), number(ldb), placed(ir.Constant(one.type, 0.0)), matrix(c), number(ldc)]
        function = ir.FunctionType(ir.VoidType(), [argument.type for argument in given])
        builder.call(builder.inttoptr(gemm, function.as_pointer()), given)
        return context.get_dummy_value()

    flag, size, address = types.boolean, types.int64, types.uintp
    return types.void(address, flag, flag, size, size, size, address, size, address, size, address, size, one), generate


_multiply: Any = _gemm  # whose first argument is numba's affair


@_compiled
def _outputs(blas: Any, x: Any, w: Any, y: Any) -> None:
    """``y = x w``, in pieces where that is the shorter way: some samples of all units where these are few, else some units."""
    samples, inputs, units, size, one = len(x), w.shape[0], w.shape[1], w.itemsize, w.dtype.type(1)
    high, wide = samples, units
    if blas.small > 0 and samples * w.size > blas.small:
        if units <= 2 * _SQUARE:
            rows = blas.small // w.size // 8 * 8
            high = rows if rows > 0 else samples
        else:
            rows = blas.small // (inputs * _SQUARE) // 8 * 8
            if 2 * rows >= min(samples, _MANY_SAMPLES):
                high, wide = rows, _SQUARE
    for r in range(0, samples, high):
        count, at = min(high, samples - r), x.ctypes.data + r * inputs * size
        for u in range(0, units, wide):
            columns, of_w, to = min(wide, units - u), w.ctypes.data + u * size, y.ctypes.data + (r * units + u) * size
            _multiply(blas.gemm, False, False, columns, count, inputs, of_w, units, at, inputs, to, units, one)


@_compiled
def _weight_gradients(blas: Any, x: Any, d: Any, gradient: Any) -> None:
    """``gradient = x' d``, some inputs after others where that is the shorter way."""
    samples, inputs, units, size, one = len(x), x.shape[1], d.shape[1], d.itemsize, d.dtype.type(1)
    step = blas.small // d.size // 8 * 8
    step = inputs if step == 0 else min(step, inputs)
    for i in range(0, inputs, step):
        count, at, to = min(step, inputs - i), x.ctypes.data + i * size, gradient.ctypes.data + i * units * size
        _multiply(blas.gemm, False, True, units, count, samples, d.ctypes.data, units, at, inputs, to, units, one)


@_compiled
def _input_gradients(blas: Any, d: Any, w: Any, before: Any, turned: Any) -> None:
    """``before = d w'``. The shorter way is slow with a matrix that is turned, but in squares; elsewhere a turned copy, for which there is
    room in the vector ``turned``, takes less time than it saves."""
    samples, inputs, units, size, one = len(d), w.shape[0], w.shape[1], w.itemsize, w.dtype.type(1)
    if blas.small > 0 and (samples > _FEW_SAMPLES or units <= _SQUARE):
        copy = turned[: w.size].reshape(units, inputs)
        for u in range(units):
            for i in range(inputs):
                copy[u, i] = w[i, u]
        _outputs(blas, d, copy, before)
        return
    wide, high = (min(_SQUARE, inputs), min(_SQUARE, samples)) if blas.small > 0 else (inputs, samples)
    for r in range(0, samples, high):
        rows, of_d = min(high, samples - r), d.ctypes.data + r * units * size
        for i in range(0, inputs, wide):
            count, at, to = min(wide, inputs - i), w.ctypes.data + i * units * size, before.ctypes.data + (r * inputs + i) * size
            _multiply(blas.gemm, True, False, count, rows, units, at, units, of_d, units, to, inputs, one)


# what stands between products, all of it on matrices ``[samples, units]``


@_compiled
def _add_bias(x: Any, bias: Any) -> None:
    for r in range(x.shape[0]):
        for u in range(x.shape[1]):
            x[r, u] += bias[u]


@_compiled
def _add_up(x: Any, sums: Any) -> None:
    sums[:] = 0
    for r in range(x.shape[0]):
        for u in range(x.shape[1]):
            sums[u] += x[r, u]


@_compiled
def _activate(kind: Any, x: Any, y: Any) -> None:
    zero, one, half = y.dtype.type(0), y.dtype.type(1), y.dtype.type(0.5)
    slope, root_half = y.dtype.type(_SLOPE), y.dtype.type(math.sqrt(0.5))
    if kind == _RELU:
        for k in range(x.size):
            y[k] = zero if x[k] <= zero else x[k]
    elif kind == _LEAKY_RELU:
        for k in range(x.size):
            y[k] = x[k] * slope if x[k] <= zero else x[k]
    elif kind == _ELU:
        for k in range(x.size):
            y[k] = _exp(x[k]) - one if x[k] <= zero else x[k]
    elif kind == _TANH:
        for k in range(x.size):
            y[k] = _tanh(x[k])
    elif kind == _SIGMOID:
        for k in range(x.size):
            y[k] = one / (one + _exp(-x[k]))
    elif kind == _SILU:
        for k in range(x.size):
            y[k] = x[k] / (one + _exp(-x[k]))
    else:
        for k in range(x.size):
            y[k] = x[k] * half * (one + _erf(x[k] * root_half))


@_compiled
def _deactivate(kind: Any, x: Any, d: Any) -> None:
    """From the loss by the outputs of an activation to that by its inputs ``x``, in the same place."""
    zero, one, half = d.dtype.type(0), d.dtype.type(1), d.dtype.type(0.5)
    slope, root_half, density = d.dtype.type(_SLOPE), d.dtype.type(math.sqrt(0.5)), d.dtype.type(1 / math.sqrt(2 * math.pi))
    if kind == _RELU:
        for k in range(x.size):
            d[k] = zero if x[k] <= zero else d[k]
    elif kind == _LEAKY_RELU:
        for k in range(x.size):
            d[k] = d[k] * slope if x[k] <= zero else d[k]
    elif kind == _ELU:
        for k in range(x.size):
            d[k] = d[k] * _exp(x[k]) if x[k] <= zero else d[k]
    elif kind == _TANH:
        for k in range(x.size):
            y = _tanh(x[k])
            d[k] *= one - y * y
    elif kind == _SIGMOID:
        for k in range(x.size):
            y = one / (one + _exp(-x[k]))
            d[k] *= y * (one - y)
    elif kind == _SILU:
        for k in range(x.size):
            y = one / (one + _exp(-x[k]))
            d[k] *= y * (one + x[k] * (one - y))
    else:
        for k in range(x.size):
            d[k] *= half * (one + _erf(x[k] * root_half)) + x[k] * density * _exp(-half * x[k] * x[k])


@_compiled
def _bits_of_row(step: Any, row: Any, key: Any) -> Any:
    return np.uint32(_hash(np.uint64(step) * _ROWS_A_STEP + np.uint64(row), key) >> np.uint64(32)) & np.uint32(0xFFFFFFFE)


@_compiled
def _drop(x: Any, units: Any, key: Any, step: Any, threshold: Any, scale: Any) -> None:
    """Set units to 0 or scale them, by the bits of their columns ``units`` and of the places of their rows."""
    zero = x.dtype.type(0)
    for r in range(x.shape[0]):
        row = _bits_of_row(step, r, key)
        for u in range(x.shape[1]):
            bits = np.uint32(row + units[u])
            bits = np.uint32(bits * bits)
            x[r, u] = x[r, u] * scale if np.int32(bits) >= threshold else zero


@_compiled
def _rectify(x: Any, bias: Any, units: Any, key: Any, step: Any, threshold: Any, scale: Any, drops: Any) -> None:
    """A bias, the rectifier and dropout in one pass."""
    zero = x.dtype.type(0)
    if not drops:
        for r in range(x.shape[0]):
            for u in range(x.shape[1]):
                y = x[r, u] + bias[u]
                x[r, u] = zero if y <= zero else y
        return
    for r in range(x.shape[0]):
        row = _bits_of_row(step, r, key)
        for u in range(x.shape[1]):
            y = x[r, u] + bias[u]
            y = zero if y <= zero else y * scale
            bits = np.uint32(row + units[u])
            bits = np.uint32(bits * bits)
            x[r, u] = y if np.int32(bits) >= threshold else zero


@_compiled
def _rectify_back(y: Any, d: Any, scale: Any, bias_gradient: Any) -> None:
    """From the loss by the outputs ``y`` of ``_rectify`` to that by its inputs, in the same place: what was dropped is 0 as well."""
    zero = d.dtype.type(0)
    bias_gradient[:] = 0
    for r in range(d.shape[0]):
        for u in range(d.shape[1]):
            passed = zero if y[r, u] <= zero else d[r, u] * scale
            d[r, u] = passed
            bias_gradient[u] += passed


@_compiled
def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, rate: Any, y: Any) -> None:
    for r in range(x.shape[0]):
        for u in range(x.shape[1]):
            y[r, u] = (x[r, u] - mean[u]) * rate[u] * weight[u] + bias[u]


@_compiled
def _running_rates(variance: Any, rate: Any) -> None:
    for u in range(len(rate)):
        rate[u] = 1 / math.sqrt(variance[u] + _NORM_EPSILON)


@_compiled
def _measure_batch(x: Any, mean: Any, rate: Any, running_mean: Any, running_variance: Any) -> None:
    """Mean and 1 / standard deviation of every unit; their running means follow."""
    samples, units = x.shape
    share, rest = x.dtype.type(1 / samples), x.dtype.type(1 / (samples - 1))
    new, old = x.dtype.type(_NORM_MOMENTUM), x.dtype.type(1 - _NORM_MOMENTUM)
    _add_up(x, mean)
    for u in range(units):
        mean[u] *= share
    rate[:] = 0
    for r in range(samples):
        for u in range(units):
            rate[u] += (x[r, u] - mean[u]) * (x[r, u] - mean[u])
    for u in range(units):
        running_mean[u] = old * running_mean[u] + new * mean[u]
        running_variance[u] = old * running_variance[u] + new * rate[u] * rest
        rate[u] = 1 / math.sqrt(rate[u] * share + _NORM_EPSILON)


@_compiled
def _batch_norm_back(x: Any, weight: Any, mean: Any, rate: Any, d: Any, weight_gradient: Any, bias_gradient: Any) -> None:
    samples, units = x.shape
    _add_up(d, bias_gradient)
    weight_gradient[:] = 0
    for r in range(samples):
        for u in range(units):
            weight_gradient[u] += d[r, u] * (x[r, u] - mean[u]) * rate[u]
    share = x.dtype.type(1 / samples if samples > 1 else 0)  # one sample is normalised by what it does not change
    for r in range(samples):
        for u in range(units):
            others = bias_gradient[u] + (x[r, u] - mean[u]) * rate[u] * weight_gradient[u]
            d[r, u] = (d[r, u] - others * share) * weight[u] * rate[u]


@_compiled
def _layer_norm(x: Any, weight: Any, bias: Any, mean: Any, rate: Any, y: Any) -> None:
    share = x.dtype.type(1 / x.shape[1])
    for r in range(x.shape[0]):
        total = x.dtype.type(0)
        for u in range(x.shape[1]):
            total += x[r, u]
        mean[r] = total * share
        squares = x.dtype.type(0)
        for u in range(x.shape[1]):
            squares += (x[r, u] - mean[r]) * (x[r, u] - mean[r])
        rate[r] = 1 / math.sqrt(squares * share + _NORM_EPSILON)
        for u in range(x.shape[1]):
            y[r, u] = (x[r, u] - mean[r]) * rate[r] * weight[u] + bias[u]


@_compiled
def _layer_norm_back(x: Any, weight: Any, mean: Any, rate: Any, d: Any, weight_gradient: Any, bias_gradient: Any) -> None:
    share = x.dtype.type(1 / x.shape[1])
    weight_gradient[:] = 0
    bias_gradient[:] = 0
    for r in range(x.shape[0]):
        total, along = x.dtype.type(0), x.dtype.type(0)
        for u in range(x.shape[1]):
            normal = (x[r, u] - mean[r]) * rate[r]
            weight_gradient[u] += d[r, u] * normal
            bias_gradient[u] += d[r, u]
            total += d[r, u] * weight[u]
            along += d[r, u] * weight[u] * normal
        for u in range(x.shape[1]):
            normal = (x[r, u] - mean[r]) * rate[r]
            d[r, u] = rate[r] * (d[r, u] * weight[u] - (total + normal * along) * share)


@_compiled
def _lose(task: Any, outputs: Any, targets: Any, smoothing: Any, d: Any) -> float:
    """The sum of the samples' losses; ``d`` becomes what their mean changes by with the outputs. Targets are ``[samples, 1]``, those of a
    regression ``[samples, outputs]``."""
    samples, classes = outputs.shape
    real = outputs.dtype.type
    zero, one, share = real(0), real(1), real(1 / samples)
    total = 0.0
    if task == _MULTICLASS:
        kept, spread = real(1 - smoothing), real(smoothing / classes)
        most, flat = np.empty(samples, outputs.dtype), d.reshape(-1)
        for r in range(samples):
            highest = outputs[r, 0]
            for c in range(1, classes):
                highest = highest if outputs[r, c] <= highest else outputs[r, c]
            for c in range(classes):
                d[r, c] = outputs[r, c] - highest
            most[r] = highest
        for k in range(flat.size):
            flat[k] = _exp(flat[k])
        for r in range(samples):
            sum_of = zero
            for c in range(classes):
                sum_of += d[r, c]
            right, logarithm, rate = int(targets[r, 0]), real(math.log(sum_of)) + most[r], one / sum_of
            loss = kept * (logarithm - outputs[r, right])
            if smoothing > 0:
                for c in range(classes):
                    loss += spread * (logarithm - outputs[r, c])
            total += loss
            for c in range(classes):
                d[r, c] = (d[r, c] * rate - spread) * share
            d[r, right] -= kept * share
    elif task == _BINARY:
        kept, spread = real(1 - smoothing), real(smoothing / 2)
        for r in range(samples):
            x, target = outputs[r, 0], targets[r, 0] * kept + spread
            small = _exp(x if x < zero else -x)
            total += (zero if x <= zero else x) - x * target + real(math.log1p(small))
            d[r, 0] = ((one if x >= zero else small) / (one + small) - target) * share
    else:
        of_outputs = real(1 / classes)
        for r in range(samples):
            loss = zero
            for c in range(classes):
                difference = outputs[r, c] - targets[r, c]
                loss += difference * difference
                d[r, c] = (difference + difference) * of_outputs * share
            total += loss * of_outputs
    return total


@_compiled
def judge(outputs: Any, targets: Any) -> tuple[float, int]:
    """Of several classes the sum of the samples' losses, and how many have the largest output where they should."""
    hits = 0
    for r in range(len(outputs)):
        called = 0
        for c in range(1, outputs.shape[1]):
            called = c if outputs[r, c] > outputs[r, called] else called
        hits += called == int(targets[r, 0])
    return _lose(_MULTICLASS, outputs, targets, 0.0, np.empty_like(outputs)), hits


@_compiled
def _step(rule: Any, state: Any, rate: Any, number: Any) -> None:
    """Move the weights by their gradients; ``number`` counts the steps from 1.

    Sources: Kingma and Ba (arXiv 1412.6980), algorithm 1; Loshchilov and Hutter (arXiv 1711.05101), algorithm 2; Sutskever et al. (ICML
    2013), with the momentum outside of the learning rate; Tieleman and Hinton, lecture 6.5 (2012). All as torch has them.
    """
    weights, gradients, first, second, velocity = state.weights, state.gradients, state.first, state.second, state.velocity
    real = weights.dtype.type
    zero, one, decay, pace, epsilon, momentum = real(0), real(1), real(rule.decay), real(rate), real(_EPSILON), real(rule.momentum)
    if rule.l1 > 0:
        weight = real(rule.l1)
        for k in range(weights.size):
            gradients[k] += weight if weights[k] > zero else (-weight if weights[k] < zero else zero)
    if rule.clip_norm > 0:
        squares = zero
        for k in range(weights.size):
            squares += gradients[k] * gradients[k]
        shorter = real(rule.clip_norm / (math.sqrt(squares) + _CLIP_EPSILON))
        if not shorter >= one:
            for k in range(weights.size):
                gradients[k] *= shorter
    if rule.optimizer == _ADAM or rule.optimizer == _ADAMW:
        keep1, new1, keep2, new2 = real(rule.beta1), real(1 - rule.beta1), real(rule.beta2), real(1 - rule.beta2)
        of_first, of_second = real(rate / (1 - rule.beta1**number)), real(1 / math.sqrt(1 - rule.beta2**number))
        shrunk = zero if rule.optimizer == _ADAM else decay * pace
        decay = decay if rule.optimizer == _ADAM else zero
        for k in range(weights.size):
            g = gradients[k] + decay * weights[k]
            first[k] = keep1 * first[k] + new1 * g
            second[k] = keep2 * second[k] + new2 * g * g
            weights[k] -= shrunk * weights[k] + of_first * first[k] / (math.sqrt(second[k]) * of_second + epsilon)
        return
    if rule.optimizer == _RMSPROP:
        keep2, new2 = real(_RMSPROP_DECAY), real(1 - _RMSPROP_DECAY)
        for k in range(weights.size):
            g = gradients[k] + decay * weights[k]
            second[k] = keep2 * second[k] + new2 * g * g
            gradients[k] = g / (math.sqrt(second[k]) + epsilon)
        decay = zero
    if velocity.size == 0:
        for k in range(weights.size):
            weights[k] -= pace * (gradients[k] + decay * weights[k])
        return
    for k in range(weights.size):
        g = gradients[k] + decay * weights[k]
        velocity[k] = momentum * velocity[k] + g
        weights[k] -= pace * (g + momentum * velocity[k] if rule.nesterov else velocity[k])


# a network


@_compiled
def _matrix(vector: Any, start: Any, rows: Any, columns: Any) -> Any:
    return vector[start : start + rows * columns].reshape(rows, columns)


@_compiled
def _linear(net: Any, weights: Any, layer: Any, x: Any, y: Any) -> None:
    inputs, units, places = net.widths[layer], net.widths[layer + 1], net.places[layer]
    _outputs(net.blas, x, _matrix(weights, places[WEIGHT], inputs, units), y)
    if places[BIAS] != NOWHERE:
        _add_bias(y, weights[places[BIAS] : places[BIAS] + units])


@_compiled
def train(
    net: Any, rule: Any, draw: Any, state: Any, x: Any, rows: Any, targets: Any, chosen: Any, batch_size: Any, rates: Any, step: Any
) -> float:
    """Train on some samples, a batch after the other; the sum of their losses.

    The inputs of the samples are these ``rows`` of ``x`` ``[..., inputs]``, their targets those that are ``chosen`` of ``targets``, which
    are as ``_lose`` takes them. ``rates`` are the learning rate of each batch, ``step`` how many there were before in the training.
    """
    widths, hidden, most = net.widths, len(net.widths) - 2, min(batch_size, len(rows))
    weights, gradients, statistics = state.weights, state.gradients, state.statistics
    starts = np.empty(hidden + 2, np.int64)
    starts[0] = 0
    for layer in range(hidden + 1):
        starts[layer + 1] = starts[layer] + most * widths[layer + 1]
    products, d = np.empty(starts[-1], x.dtype), np.empty(starts[-1], x.dtype)
    normal = np.empty(starts[-1] if net.normalization != _NONE else 0, x.dtype)
    is_plain = net.activation == _RELU and net.normalization == _NONE
    outputs = products if is_plain else np.empty(starts[-1], x.dtype)
    taken, asked = np.empty((most, widths[0]), x.dtype), np.empty((most, targets.shape[1]), x.dtype)
    longest, turned = max(most, widths.max()), np.empty(max(widths[1:-1] * widths[2:]) if hidden else 0, x.dtype)
    means, spreads = np.empty((hidden, longest), x.dtype), np.empty((hidden, longest), x.dtype)
    units = np.empty((hidden, longest), np.uint32)
    scale, drops = x.dtype.type(1 / (1 - draw.share)), draw.share > 0
    if drops:
        for layer in range(hidden):
            for u in range(widths[layer + 1]):
                units[layer, u] = np.uint32(_hash(np.uint64(u), draw.keys[layer] ^ _COLUMNS) >> np.uint64(32)) | np.uint32(1)
    total = 0.0
    for batch in range(len(rates)):
        first = batch * batch_size
        samples = min(batch_size, len(rows) - first)
        given, wanted = taken[:samples], asked[:samples]
        for r in range(samples):
            row, target = rows[first + r], chosen[first + r]
            for i in range(x.shape[1]):
                given[r, i] = x[row, i]
            for i in range(targets.shape[1]):
                wanted[r, i] = targets[target, i]
        h = given
        for layer in range(hidden):
            width, places, start = widths[layer + 1], net.places[layer], starts[layer]
            z, y = _matrix(products, start, samples, width), _matrix(outputs, start, samples, width)
            if is_plain:
                _outputs(net.blas, h, _matrix(weights, places[WEIGHT], widths[layer], width), z)
                bias_of = weights[places[BIAS] : places[BIAS] + width]
                _rectify(z, bias_of, units[layer], draw.keys[layer], step + batch, draw.threshold, scale, drops)
                h = z
                continue
            _linear(net, weights, layer, h, z)
            a = z
            if net.normalization != _NONE:
                a = _matrix(normal, start, samples, width)
                weight, bias = places[NORM_WEIGHT], places[NORM_BIAS]
                weight_of, bias_of = weights[weight : weight + width], weights[bias : bias + width]
                if net.normalization == _LAYER:
                    _layer_norm(z, weight_of, bias_of, means[layer], spreads[layer], a)
                else:
                    mean, rate = means[layer, :width], spreads[layer, :width]
                    running = statistics[places[MEAN] : places[MEAN] + width]
                    variance = statistics[places[VARIANCE] : places[VARIANCE] + width]
                    if samples > 1:
                        _measure_batch(z, mean, rate, running, variance)
                    else:
                        mean[:] = running
                        _running_rates(variance, rate)
                    _batch_norm(z, weight_of, bias_of, mean, rate, a)
            _activate(net.activation, a.reshape(-1), y.reshape(-1))
            if drops:
                _drop(y, units[layer], draw.keys[layer], step + batch, draw.threshold, scale)
            h = y
        z = _matrix(products, starts[hidden], samples, widths[hidden + 1])
        d_outputs = _matrix(d, starts[hidden], samples, widths[hidden + 1])
        _linear(net, weights, hidden, h, z)
        total += _lose(net.task, z, wanted, draw.smoothing, d_outputs)
        for layer in range(hidden, -1, -1):
            inputs, width, places = widths[layer], widths[layer + 1], net.places[layer]
            d_own = _matrix(d, starts[layer], samples, width)
            h = _matrix(outputs, starts[layer - 1], samples, inputs) if layer else given
            _weight_gradients(net.blas, h, d_own, _matrix(gradients, places[WEIGHT], inputs, width))
            if places[BIAS] != NOWHERE and not (is_plain and layer < hidden):
                _add_up(d_own, gradients[places[BIAS] : places[BIAS] + width])
            if layer == 0:
                break
            d_before, before, start = _matrix(d, starts[layer - 1], samples, inputs), net.places[layer - 1], starts[layer - 1]
            _input_gradients(net.blas, d_own, _matrix(weights, places[WEIGHT], inputs, width), d_before, turned)
            if is_plain:
                _rectify_back(h, d_before, scale, gradients[before[BIAS] : before[BIAS] + inputs])
                continue
            if drops:
                _drop(d_before, units[layer - 1], draw.keys[layer - 1], step + batch, draw.threshold, scale)
            z = _matrix(products, start, samples, inputs)
            if net.normalization == _NONE:
                _deactivate(net.activation, z.reshape(-1), d_before.reshape(-1))
                continue
            _deactivate(net.activation, _matrix(normal, start, samples, inputs).reshape(-1), d_before.reshape(-1))
            weight, bias = before[NORM_WEIGHT], before[NORM_BIAS]
            of_weight, of_bias = gradients[weight : weight + inputs], gradients[bias : bias + inputs]
            if net.normalization == _LAYER:
                _layer_norm_back(z, weights[weight : weight + inputs], means[layer - 1], spreads[layer - 1], d_before, of_weight, of_bias)
            else:
                _batch_norm_back(z, weights[weight : weight + inputs], means[layer - 1], spreads[layer - 1], d_before, of_weight, of_bias)
        _step(rule, state, rates[batch], step + batch + 1)
    return total


@_compiled
def outputs_of(net: Any, weights: Any, statistics: Any, x: Any) -> Any:
    """``[samples, inputs]`` to ``[samples, outputs]``, of samples that nothing is learnt from."""
    h = x
    for layer in range(len(net.widths) - 2):
        width, places = net.widths[layer + 1], net.places[layer]
        z = np.empty((len(x), width), x.dtype)
        _linear(net, weights, layer, h, z)
        if net.normalization != _NONE:
            weight, bias = places[NORM_WEIGHT], places[NORM_BIAS]
            weight_of, bias_of = weights[weight : weight + width], weights[bias : bias + width]
            if net.normalization == _LAYER:
                _layer_norm(z, weight_of, bias_of, np.empty(len(x), x.dtype), np.empty(len(x), x.dtype), z)
            else:
                rate = np.empty(width, x.dtype)
                _running_rates(statistics[places[VARIANCE] : places[VARIANCE] + width], rate)
                _batch_norm(z, weight_of, bias_of, statistics[places[MEAN] : places[MEAN] + width], rate, z)
        _activate(net.activation, z.reshape(-1), z.reshape(-1))
        h = z
    outputs = np.empty((len(x), net.widths[-1]), x.dtype)
    _linear(net, weights, len(net.widths) - 2, h, outputs)
    return outputs
