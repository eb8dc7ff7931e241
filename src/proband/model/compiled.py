"""Attention of single positions over pages, compiled by numba: each key and value is read once, in order.

What bounds such attention is memory: a position's keys and values are fetched for two multiply-adds each. So
the next page is asked for while one is worked on, a third faster where pages lie outside the caches.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from proband.core.compiled import compiled

_LOG2_E = 1 / math.log(2)
_LOWEST = np.float32(-1e30)  # below any score; its weight is exactly 0
_LINE = 16  # float32 numbers in a line of the processor's cache
# Reassociated sums may use the processor's fused multiply-add and widest registers.
_compiled = functools.partial(compiled, fastmath=("reassoc", "contract", "nsz"))


@intrinsic
def _prefetch(typing_context: Any, array: Any) -> Any:
    """Ask for the cache line of an array's first number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        read, near, data_cache = number(0), number(2), number(1)
        builder.call(function, [builder.bitcast(data, pointer), read, near, data_cache])
        return context.get_dummy_value()

    return numba.types.void(array), generate


@_compiled
def _score(x: Any, k: Any, ahead: Any, s: Any) -> None:
    """``s = x @ k`` for x (head_dim) and k (head_dim, page), while ``ahead``, of k's shape, is fetched."""
    size, page = k.shape
    s[:] = 0
    for d in range(0, size, 4):
        for e in range(4):
            for line in range(0, page, _LINE):
                _prefetch(ahead[d + e, line:])
        x0, x1, x2, x3 = x[d], x[d + 1], x[d + 2], x[d + 3]
        k0, k1, k2, k3 = k[d], k[d + 1], k[d + 2], k[d + 3]
        for t in range(page):
            s[t] += (x0 * k0[t] + x1 * k1[t]) + (x2 * k2[t] + x3 * k3[t])


@_compiled
def _exponentials(s: Any, top: Any, base: Any, bits: Any, powers: Any) -> Any:
    """``s = 2 ** ((s - top) * base)`` in place, 0 below 2 ** -126; returns the sum.

    A polynomial of relative error 2e-7 for the fraction of the exponent, times a power of two made of its
    bits; ``powers`` are ``bits`` read as float32.
    """
    for t in range(len(s)):
        power = max((s[t] - top) * base, np.float32(-127))
        whole = math.floor(power)
        y = np.float32(power - whole)
        p = np.float32(1.8775767e-3)
        p = p * y + np.float32(8.9893397e-3)
        p = p * y + np.float32(5.5826318e-2)
        p = p * y + np.float32(2.4015361e-1)
        p = p * y + np.float32(6.9315308e-1)
        s[t] = p * y + np.float32(0.99999994)
        bits[t] = (np.int32(whole) + np.int32(127)) << 23
    total = np.float32(0)
    for t in range(len(s)):
        s[t] *= powers[t]
        total += s[t]
    return total


@_compiled
def _add_values(s: Any, v: Any, used: int, ahead: Any, mixed: Any) -> None:
    """``mixed += s @ v`` for the first ``used`` positions of v (page, head_dim), eight at a time."""
    size = v.shape[1]
    for t in range(0, used, 8):
        for e in range(8):
            for line in range(0, size, _LINE):
                _prefetch(ahead[t + e, line:])
        s0, s1, s2, s3 = s[t], s[t + 1], s[t + 2], s[t + 3]
        s4, s5, s6, s7 = s[t + 4], s[t + 5], s[t + 6], s[t + 7]
        v0, v1, v2, v3 = v[t], v[t + 1], v[t + 2], v[t + 3]
        v4, v5, v6, v7 = v[t + 4], v[t + 5], v[t + 6], v[t + 7]
        for d in range(size):
            mixed[d] += ((s0 * v0[d] + s1 * v1[d]) + (s2 * v2[d] + s3 * v3[d])) + (
                (s4 * v4[d] + s5 * v5[d]) + (s6 * v6[d] + s7 * v7[d])
            )


@_compiled
def attend_paged(
    q: Any,
    q_lead: Any,
    k: Any,
    v: Any,
    keys: Any,
    values: Any,
    table: Any,
    used: Any,
    begin: Any,
    skip: Any,
    count: Any,
    num_lead: int,
    scale: float,
    out: Any,
) -> None:
    """Softmax attention of row r to the pages ``table[r, :num_lead]`` and ``table[r, begin[r]:count[r]]``.

    Args:
        q: Queries (rows, heads, head_dim), float32; head_dim is a multiple of 4.
        q_lead: Queries for the leading pages.
        k: Each row's own key, written to the last position in use.
        v: Its value.
        keys: (pages, heads, head_dim, page), page a multiple of 16.
        values: (pages, heads, page, head_dim).
        table: Page numbers (rows, width).
        used: Positions in use per page (rows, width).
        begin: First page after the leading ones that is read.
        skip: Positions of that page that are not read.
        count: End of the pages in use.
        num_lead: Leading pages, read by every row.
        scale: Of the scores.
        out: Written: (rows, heads, head_dim); zero where ``count`` is 0.
    """
    rows, heads, _ = q.shape
    page, width = keys.shape[3], table.shape[1]
    scores = np.empty((width, heads, page), np.float32)
    bits = np.empty((heads, page), np.int32)
    powers = bits.view(np.float32)
    top, total = np.empty(heads, np.float32), np.empty(heads, np.float32)
    read = np.empty(width, np.int64)
    base = np.float32(scale * _LOG2_E)
    for r in range(rows):
        out[r] = 0
        num = 0
        for j in range(count[r]):
            if j < num_lead or j >= begin[r]:
                read[num] = j
                num += 1
        if num == 0:
            continue
        own, at = np.uint64(table[r, count[r] - 1]), used[r, count[r] - 1] - 1
        keys[own, :, :, at] = k[r]
        values[own, :, at] = v[r]
        top[:] = _LOWEST
        for i in range(num):
            j = read[i]
            here, ahead = np.uint64(table[r, j]), np.uint64(table[r, read[min(i + 1, num - 1)]])
            for h in range(heads):
                s = scores[i, h]
                _score(q_lead[r, h] if j < num_lead else q[r, h], keys[here, h], keys[ahead, h], s)
                s[used[r, j] :] = _LOWEST
                if j == begin[r]:
                    s[: skip[r]] = _LOWEST
                top[h] = max(top[h], s.max())
        total[:] = 0
        for i in range(num):
            j = read[i]
            here, ahead = np.uint64(table[r, j]), np.uint64(table[r, read[min(i + 1, num - 1)]])
            for h in range(heads):
                s = scores[i, h]
                total[h] += _exponentials(s, top[h], base, bits[h], powers[h])
                _add_values(s, values[here, h], used[r, j], values[ahead, h], out[r, h])
        for h in range(heads):
            out[r, h] /= total[h]
