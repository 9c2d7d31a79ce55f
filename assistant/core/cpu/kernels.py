"""CPU kernels (numba) for decoding one token.

Decoding is memory-bound, so each weight is read once, as fast as memory delivers.

numba compiles these for the processor they run on, when they are first used, and keeps the result
beside this file, or in the user's cache folder where that can't be written. All of it is in one
file, because numba compiles again when the file has changed, but not when an imported one has.
``split``, ``join``, ``gate_rows`` and ``rotate_rows`` are for many rows: the passes over
activations between the products of a prefill.

A matrix [N, K] is float32, float16, bfloat16 (seen as uint16) or int8 with a scale for each of its
rows; other formats have no scales, an array of none. A row of activations is float32 and stays so:
only the matrix is narrow. With int8 it is rounded to the 16 bits that a prefill gives it, so that
both compute the same. :func:`can_multiply` tells the shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import config, prange, set_num_threads, types

from assistant.core.cpu.compiler import compiled, has, instruction, on_all_cores

LANES = 16
"""Numbers that are multiplied at once: one register of AVX-512, two of AVX, four of NEON."""

INT8_LANES = 64
"""The same of int8."""

ROWS = 8
"""Rows of a matrix that are read side by side, with the next as many on their way: so memory is
never waited for. Measured in tests/bench/README.md."""

STEPS = 127 * 256
"""Steps of an activation from zero to the largest of its row, where the weights are int8."""

TILE = 4096
"""Positions of which attention weights stay in the nearest cache, and values in the next, until
they are used."""

ZERO = 128 * 256 + 128
"""Steps of a zero before it is split: terms of 0 are then the most negative number."""

Array = np.ndarray[Any, Any]

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT, _HALF, _BYTES = ir.FloatType(), ir.HalfType(), _I8.as_pointer()
_HELD_AS = {types.float32: _FLOAT, types.int16: _HALF, types.uint16: _I16, types.int8: _I8}


class LayerArrays(NamedTuple):
    """The weights of one decoder layer; norms are float32."""

    input_norm: Array
    qkv: Array
    qkv_scales: Array
    o: Array
    o_scales: Array
    post_norm: Array
    gate_up: Array
    gate_up_scales: Array
    down: Array
    down_scales: Array


def use_threads(count: int) -> None:
    """Run on ``count`` threads, when called from the one that calls this."""
    set_num_threads(min(count, config.NUMBA_NUM_THREADS))


def can_multiply(rows: int, columns: int, *, is_int8: bool) -> bool:
    """Whether a matrix [rows, columns] has the shape that these kernels read."""
    return rows >= ROWS and columns % (INT8_LANES if is_int8 else LANES) == 0


def can_attend(head_dim: int) -> bool:
    """Whether heads are as wide as :func:`attend` takes them."""
    return head_dim >= ROWS and head_dim % 4 == 0


@instruction
def _dots(context: Any, matrix: Any, first: Any, x: Any) -> tuple[Any, Callable[..., Any]]:
    """Rows ``first`` to ``first + ROWS`` of ``matrix`` times ``x``: ROWS sums. len(x) > 0."""
    sums_type = types.UniTuple(types.float32, ROWS)

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        w = context.make_array(signature.args[0])(context, b, arguments[0])
        row = context.make_array(signature.args[2])(context, b, arguments[2])
        held = _HELD_AS[signature.args[0].dtype]
        product = _sums_of(held)
        K, stride = b.extract_value(row.shape, 0), b.extract_value(w.strides, 0)
        start = b.bitcast(w.data, _BYTES)
        starts = [b.gep(start, [b.mul(stride, b.add(arguments[1], _I64(i)))]) for i in range(ROWS)]
        next_block = b.mul(stride, _I64(ROWS))
        prefetch = _llvm(b, "llvm.prefetch.p0", ir.VoidType(), [_BYTES, _I32, _I32, _I32])
        size = _I64(held.get_abi_size(context.target_data))

        # 1) parts of a row, no longer than the running totals hold
        before, part, loop, after, done = b.block, *(b.append_basic_block() for _ in range(4))
        b.branch(part)
        b.position_at_end(part)
        first = b.phi(_I64)
        first.add_incoming(_I64(0), before)
        found = [b.phi(_FLOAT) for _ in starts]
        limit = K
        if product.longest is not None:
            limit = b.add(first, _I64(product.longest))
            limit = b.select(b.icmp_signed("<", limit, K), limit, K)
        b.branch(loop)
        # 2) ``step`` numbers of each row at a time
        b.position_at_end(loop)
        k = b.phi(_I64)
        k.add_incoming(first, part)
        sums = [[b.phi(kind) for kind in product.kinds] for _ in starts]
        xs = product.activations(b, b.gep(row.data, [k]))
        ends = []
        for start, totals in zip(starts, sums, strict=True):
            place = b.gep(start, [b.mul(k, size)])
            # read, keep in every cache, data: the same place in the next block of rows
            b.call(prefetch, [b.gep(place, [next_block]), _I32(0), _I32(3), _I32(1)])
            ends.append(product.add(b, totals, place, xs))
            for total, end in zip(totals, ends[-1], strict=True):
                total.add_incoming(ir.Constant(total.type, None), part)
                total.add_incoming(end, loop)
        following = b.add(k, _I64(product.step))
        k.add_incoming(following, loop)
        b.cbranch(b.icmp_signed("<", following, limit), loop, after)
        # 3) the totals of a part, added to those before
        b.position_at_end(after)
        more = [b.fadd(one, product.end(b, end)) for one, end in zip(found, ends, strict=True)]
        for one, end in zip(found, more, strict=True):
            one.add_incoming(_FLOAT(0), before)
            one.add_incoming(end, after)
        first.add_incoming(following, after)
        b.cbranch(b.icmp_signed("<", following, K), part, done)
        b.position_at_end(done)
        return context.make_tuple(b, sums_type, more)

    return sums_type(matrix, types.intp, x), generate


class _FloatSums:
    """Code that sums up a row, LANES numbers at a time, widened to float32.

    ``step`` numbers are taken at once, ``longest`` add up before a total is full, and ``kinds`` are
    the types of the running totals; ``activations`` and ``add`` write the inside of the loop,
    ``end`` what follows it.
    """

    step, longest = LANES, None

    def __init__(self, held: Any) -> None:
        self._held = held
        self.kinds = [_lanes(_FLOAT)]

    def activations(self, b: Any, place: Any) -> Any:
        return b.load(b.bitcast(place, _lanes(_FLOAT).as_pointer()), align=4)

    def add(self, b: Any, totals: list[Any], place: Any, xs: Any) -> list[Any]:
        lanes = _lanes(_FLOAT)
        fma = _llvm(b, f"llvm.fma.v{LANES}f32", lanes, [lanes] * 3)
        numbers = b.load(b.bitcast(place, _lanes(self._held).as_pointer()), align=1)
        return [b.call(fma, [_widened(b, numbers), xs, totals[0]])]

    def end(self, b: Any, totals: list[Any]) -> Any:
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        add_up = _llvm(b, name, _FLOAT, [_FLOAT, _lanes(_FLOAT)])
        return b.call(add_up, [_FLOAT(-0.0), totals[0]], fastmath=["reassoc"])


class _IntegerSums:
    """The same for 64 bytes of an int8 row at a time, by VNNI; activations are whole, of 16 bits.

    It multiplies unsigned by signed bytes: the activations, ZERO more than they are, as two
    unsigned bytes. What that adds, ZERO for each weight, is taken off again by the third sum, of
    the weights alone. Exact: no sum leaves 32 bits (255 x 127 x 8192 is 2^28).
    """

    step, longest = INT8_LANES, None
    kinds = (ir.VectorType(_I32, LANES),) * 3

    def activations(self, b: Any, place: Any) -> Any:
        floats, integers = ir.VectorType(_FLOAT, self.step), ir.VectorType(_I32, self.step)
        whole = b.fptosi(b.load(b.bitcast(place, floats.as_pointer()), align=4), integers)
        shifted = b.add(whole, ir.Constant(integers, [ZERO] * self.step))
        upper = b.lshr(shifted, ir.Constant(integers, [8] * self.step))
        registers, octets = self.kinds[0], ir.VectorType(_I8, self.step)
        terms = [b.bitcast(b.trunc(term, octets), registers) for term in (upper, shifted)]
        return [*terms, ir.Constant(registers, [0x01010101] * LANES)]

    def add(self, b: Any, totals: list[Any], place: Any, xs: Any) -> list[Any]:
        registers = self.kinds[0]
        multiply_add = _llvm(b, "llvm.x86.avx512.vpdpbusd.512", registers, [registers] * 3)
        weights = b.load(b.bitcast(place, registers.as_pointer()), align=1)
        pairs = zip(totals, xs, strict=True)
        return [b.call(multiply_add, [total, x, weights]) for total, x in pairs]

    def end(self, b: Any, totals: list[Any]) -> Any:
        add_up = _llvm(b, f"llvm.vector.reduce.add.v{LANES}i32", _I32, [self.kinds[0]])
        upper, lower, weights = (b.sext(b.call(add_up, [total]), _I64) for total in totals)
        both = b.add(b.mul(upper, _I64(256)), lower)
        return b.sitofp(b.sub(both, b.mul(weights, _I64(ZERO))), _FLOAT)


class _PairSums:
    """The same by AVX2: weights widened to 16 bits, products of neighbours added in 32 bits.

    :mod:`assistant.core.cpu.many_rows` has the arithmetic, and why a sum is full after ``longest``.
    """

    step, longest = INT8_LANES, 4096
    kinds = (ir.VectorType(_I32, LANES // 2),)
    _registers = INT8_LANES // LANES

    def activations(self, b: Any, place: Any) -> Any:
        wide, narrow = _lanes(_I32), _lanes(_I16)
        places = [b.gep(place, [_I64(i * LANES)]) for i in range(self._registers)]
        floats = [b.load(b.bitcast(one, _lanes(_FLOAT).as_pointer()), align=4) for one in places]
        return [b.trunc(b.fptosi(one, wide), narrow) for one in floats]

    def add(self, b: Any, totals: list[Any], place: Any, xs: Any) -> list[Any]:
        octets, wide = _lanes(_I8), _lanes(_I16)
        multiply_add = _llvm(b, "llvm.x86.avx2.pmadd.wd", self.kinds[0], [wide, wide])
        total = totals[0]
        for i, x in enumerate(xs):
            numbers = b.load(
                b.bitcast(b.gep(place, [_I64(i * LANES)]), octets.as_pointer()), align=1
            )
            total = b.add(total, b.call(multiply_add, [b.sext(numbers, wide), x]))
        return [total]

    def end(self, b: Any, totals: list[Any]) -> Any:
        floats = ir.VectorType(_FLOAT, LANES // 2)
        name = f"llvm.vector.reduce.fadd.v{LANES // 2}f32"
        add_up = _llvm(b, name, _FLOAT, [_FLOAT, floats])
        return b.call(add_up, [_FLOAT(-0.0), b.sitofp(totals[0], floats)], fastmath=["reassoc"])


def _sums_of(held: Any) -> Any:
    """Choose the code for a matrix held in this type, by what the processor has."""
    if held == _I8 and has("avx512vnni"):
        return _IntegerSums()
    if held == _I8 and has("avx2"):
        return _PairSums()
    return _FloatSums(held)


def _lanes(element: Any) -> Any:
    return ir.VectorType(element, LANES)


def _llvm(b: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """One of LLVM's own functions."""
    declared = b.module.globals.get(name)
    return declared or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def _widened(b: Any, numbers: Any) -> Any:
    """Widen a vector in the format of a matrix to float32, exactly."""
    held = numbers.type.element
    if held == _I8:
        return b.sitofp(numbers, _lanes(_FLOAT))
    if held == _I16:  # bfloat16 is the upper half of a float32
        upper = b.shl(b.zext(numbers, _lanes(_I32)), ir.Constant(_lanes(_I32), [16] * LANES))
        return b.bitcast(upper, _lanes(_FLOAT))
    return b.fpext(numbers, _lanes(_FLOAT)) if held == _HALF else numbers


@compiled
def _step(x: Array) -> np.float32:
    """Return the size of a step of a row of activations."""
    largest = np.float32(1e-30)
    for i in range(len(x)):
        largest = max(largest, abs(x[i]))
    return largest / np.float32(STEPS)


@compiled
def _in_steps(x: Array, whole: Array) -> np.float32:
    """``whole`` = ``x`` in whole steps, rounded as :func:`split` does; returns a step's size."""
    step = _step(x)
    for i in range(len(x)):
        whole[i] = np.floor(x[i] / step + np.float32(ZERO + 0.5)) - np.float32(ZERO)
    return step


@on_all_cores
def split(rows: Array, terms: Array, steps: Array) -> None:
    """``rows`` [S, K] in whole steps as two int8 terms, 256 a + b: ``terms`` [2, S, K].

    ``steps`` [S] are their sizes.
    """
    for s in prange(len(rows)):
        steps[s] = step = _step(rows[s])
        for i in range(rows.shape[1]):
            number = np.int32(rows[s, i] / step + np.float32(ZERO + 0.5))  # cut off: rounded
            terms[0, s, i] = (number >> 8) - 128
            terms[1, s, i] = (number & 255) - 128


@on_all_cores
def join(products: Array, scales: Array, steps: Array, out: Array) -> None:
    """``out`` [S, N] of the two terms' products [2, S, N] int32."""
    for s in prange(len(out)):
        for n in range(out.shape[1]):
            whole = np.float32(256) * products[0, s, n] + np.float32(products[1, s, n])
            out[s, n] = whole * scales[n] * steps[s]


@on_all_cores
def multiply(matrix: Array, scales: Array, rows: Array, out: Array) -> None:
    """``out`` [S, N] = ``rows`` [S, K] times ``matrix`` [N, K], for few rows: read once for all."""
    S, N, whole = len(rows), len(matrix), len(scales) > 0
    x, steps = rows, np.ones(S, np.float32)
    if whole:
        x = np.empty_like(rows)
        for s in range(S):
            steps[s] = _in_steps(rows[s], x[s])
    for block in prange((N + ROWS - 1) // ROWS):
        first = min(block * ROWS, N - ROWS)
        for s in range(S):
            sums = _dots(matrix, first, x[s])
            for i in range(ROWS):
                out[s, first + i] = sums[i] * scales[first + i] * steps[s] if whole else sums[i]


@compiled
def _product(matrix: Array, scales: Array, x: Array) -> Array:
    out = np.empty((1, len(matrix)), np.float32)
    multiply(matrix, scales, x.reshape(1, -1), out)
    product: Array = out[0]
    return product


@instruction
def _power_of_two(context: Any, exponent: Any) -> tuple[Any, Callable[..., Any]]:
    """2 to the power of a whole number from -126 to 127, from the bits of a float32."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        return b.bitcast(b.shl(b.add(arguments[0], _I32(127)), _I32(23)), _FLOAT)

    return types.float32(types.int32), generate


@compiled
def _exp(x: np.float32) -> np.float32:
    """Return e to the power of ``x`` <= 0, to one unit in the last place.

    Without branches, so that LLVM vectorizes loops over it, as it does not over numba's own.
    x = n ln 2 + r; the series of e^r to the 7th power of |r| <= ln 2 / 2. Below e^-87 is e^-87.
    """
    x = max(x, np.float32(-87))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)  # ln 2 in two parts
    e = np.float32(1 / 5040)
    e = e * r + np.float32(1 / 720)
    e = e * r + np.float32(1 / 120)
    e = e * r + np.float32(1 / 24)
    e = e * r + np.float32(1 / 6)
    e = e * r + np.float32(0.5)
    e = e * r + np.float32(1)
    e = e * r + np.float32(1)
    scaled: np.float32 = e * _power_of_two(np.int32(n))
    return scaled


@compiled
def _silu(x: np.float32) -> np.float32:
    """Return ``x`` times the logistic function of ``x``."""
    e = _exp(-abs(x))
    share = (np.float32(1) if x >= 0 else e) / (np.float32(1) + e)
    return x * share


@compiled
def normed(x: Array, weight: Array, eps: np.float32) -> Array:
    """Phi3RMSNorm of ``x`` [hidden]."""
    squares = np.float32(0)
    for i in range(len(x)):
        squares += x[i] * x[i]
    scale = np.float32(1 / np.sqrt(squares / np.float32(len(x)) + eps))
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = x[i] * scale * weight[i]
    return out


@compiled
def _rotate(x: Array, cos: Array, sin: Array, out: Array) -> None:
    """``out`` = the head ``x`` [D], turned; the first half of the sines is negated."""
    half = len(x) // 2
    low, high = x[:half], x[half:]
    low_out, low_cos, low_sin = out[:half], cos[:half], sin[:half]
    high_out, high_cos, high_sin = out[half:], cos[half:], sin[half:]
    for i in range(half):
        low_out[i] = low[i] * low_cos[i] + high[i] * low_sin[i]
    for i in range(half):
        high_out[i] = high[i] * high_cos[i] + low[i] * high_sin[i]


@compiled
def until_attention(
    layer: LayerArrays, hidden: Array, eps: np.float32, cos: Array, sin: Array
) -> Array:
    """Return queries, keys (both rotated) and values [3 H D] of the token ``hidden``.

    ``cos``, ``sin`` [D] have the first half of the sines negated.
    """
    qkv = _product(layer.qkv, layer.qkv_scales, normed(hidden, layer.input_norm, eps))
    D = len(cos)
    turned = np.empty_like(cos)
    for start in range(0, len(qkv) // 3 * 2, D):
        row = qkv[start : start + D]
        _rotate(row, cos, sin, turned)
        row[:] = turned
    return qkv


@compiled
def _attend_head(
    q: Array, key: Array, value: Array, keys: Array, values: Array, length: int, out: Array
) -> None:
    D, used = len(q), length + 1
    keys[:, length] = key
    values[:, length] = value
    weights = np.zeros(used, np.float32)
    scaling = np.float32(1 / np.sqrt(D))
    for start in range(0, used, TILE):
        tile, end = weights[start : start + TILE], min(start + TILE, used)
        for d in range(0, D, 4):  # four at a time: the weights are read and written less often
            q0, q1, q2, q3 = (
                q[d] * scaling,
                q[d + 1] * scaling,
                q[d + 2] * scaling,
                q[d + 3] * scaling,
            )
            k0, k1, k2, k3 = keys[d], keys[d + 1], keys[d + 2], keys[d + 3]
            k0, k1, k2, k3 = k0[start:end], k1[start:end], k2[start:end], k3[start:end]
            for p in range(end - start):
                tile[p] += q0 * k0[p] + q1 * k1[p] + q2 * k2[p] + q3 * k3[p]
    largest = weights[0]
    for p in range(used):
        largest = max(largest, weights[p])
    total = np.float32(0)
    for p in range(used):
        weights[p] = _exp(weights[p] - largest)
        total += weights[p]
    out[:] = 0
    whole = used // LANES * LANES
    for start in range(0, whole, TILE):
        end = min(start + TILE, whole)
        for block in range((D + ROWS - 1) // ROWS):
            first = min(block * ROWS, D - ROWS)
            sums = _dots(values[:, start:end], first, weights[start:end])
            for i in range(block * ROWS - first, ROWS):
                out[first + i] += sums[i]
    for d in range(D):
        for p in range(whole, used):
            out[d] += weights[p] * values[d, p]
        out[d] /= total


@on_all_cores
def attend(qkv: Array, keys: Array, values: Array, length: int) -> Array:
    """Write a token's keys and values at ``length`` and return its attention [H D] up to there.

    ``keys`` and ``values`` are [H, D, capacity].
    """
    H, D, _ = keys.shape
    qkv = qkv.reshape(3, H, D)
    out = np.empty((H, D), np.float32)
    for h in prange(H):
        _attend_head(qkv[0, h], qkv[1, h], qkv[2, h], keys[h], values[h], length, out[h])
    return out.reshape(-1)


@on_all_cores
def _gated(gate_up: Array, scales: Array, x: Array) -> Array:
    """silu(gate) * up [M], of both products at once."""
    M, whole, step = len(gate_up) // 2, len(scales) > 0, np.float32(1)
    if whole:
        steps = np.empty_like(x)
        step = _in_steps(x, steps)
        x = steps
    out = np.empty(M, np.float32)
    for block in prange((M + ROWS - 1) // ROWS):
        first = min(block * ROWS, M - ROWS)
        gates = _dots(gate_up, first, x)
        ups = _dots(gate_up, M + first, x)
        for i in range(ROWS):
            gate, up = gates[i], ups[i]
            if whole:
                gate *= scales[first + i] * step
                up *= scales[M + first + i] * step
            out[first + i] = _silu(gate) * up
    return out


@compiled
def _gate(gate: Array, up: Array, out: Array) -> None:
    for i in range(len(out)):
        out[i] = _silu(gate[i]) * up[i]


@on_all_cores
def gate_rows(gate_up: Array, out: Array) -> None:
    """``out`` [S, M] = silu(gate) * up of ``gate_up`` [S, 2 M]."""
    M = out.shape[1]
    for s in prange(len(out)):
        _gate(gate_up[s, :M], gate_up[s, M:], out[s])


@on_all_cores
def rotate_rows(qkv: Array, cos: Array, sin: Array, out: Array) -> None:
    """``qkv`` [S, 3 H D] by head, queries and keys rotated: ``out`` [3 H, S, D].

    ``cos``, ``sin`` [S, D] have the first half of the sines negated.
    """
    heads, S, D = out.shape
    turned = heads // 3 * 2
    for s in prange(S):
        for head in range(heads):
            x, y = qkv[s, head * D : head * D + D], out[head, s]
            if head < turned:
                _rotate(x, cos[s], sin[s], y)
            else:
                for i in range(D):
                    y[i] = x[i]


@compiled
def after_attention(layer: LayerArrays, hidden: Array, attended: Array, eps: np.float32) -> Array:
    """Compute the rest of a layer after ``attended`` [H D]: the new hidden state."""
    hidden = hidden + _product(layer.o, layer.o_scales, attended)
    x = normed(hidden, layer.post_norm, eps)
    gated = _gated(layer.gate_up, layer.gate_up_scales, x)
    return hidden + _product(layer.down, layer.down_scales, gated)


@compiled
def decode_layer(
    layer: LayerArrays,
    hidden: Array,
    eps: np.float32,
    cos: Array,
    sin: Array,
    keys: Array,
    values: Array,
    length: int,
) -> Array:
    """Compute a layer over a float cache laid out by channel, in one call from Python."""
    qkv = until_attention(layer, hidden, eps, cos, sin)
    return after_attention(layer, hidden, attend(qkv, keys, values, length), eps)
