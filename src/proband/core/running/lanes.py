"""Sixteen float32 numbers as one value of compiled code, for kernels that must use a core's widest registers.

Numba has no such type. A loop over array elements becomes vectors only as the compiler sees fit, with checks
for overlapping arrays and odd lengths around it; these become vectors always, on every processor (as two or
four registers where they are narrower), and every sum is taken in the order in which it is written. Arrays
are read and written by the flat place of the first number, which must lie in a contiguous array of float32;
bounds are not checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
"""Numbers in one value: a line of the processor's cache, a register of AVX-512."""
_NUMBER, _WHOLE = ir.FloatType(), ir.IntType(32)
_VECTOR, _WHOLES = ir.VectorType(_NUMBER, LANES), ir.VectorType(_WHOLE, LANES)
_EXPONENT_BIAS, _MANTISSA_BITS = 127, 23


class LanesType(types.Type):
    """Numba's type of :data:`LANES` numbers."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


_lanes = LanesType()


def _wholes(numbers: Sequence[int]) -> Any:
    return ir.Constant(_WHOLES, list(numbers))


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.gep(cgutils.create_struct_proxy(kind)(context, builder, array).data, [at])


def _everywhere(builder: Any, number: Any) -> Any:
    undefined = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    return builder.shuffle_vector(
        builder.insert_element(undefined, number, _WHOLE(0)), undefined, _wholes([0] * LANES)
    )


def _call(builder: Any, name: str, arguments: Sequence[Any]) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, arguments)


@intrinsic
def load(typing_context: Any, array: Any, at: Any) -> Any:
    """Numbers ``at`` and after."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=4)

    return _lanes(array, types.int64), generate


@intrinsic
def store(typing_context: Any, array: Any, at: Any, value: Any) -> Any:
    """Write numbers ``at`` and after."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], builder.bitcast(place, _VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, _lanes), generate


@intrinsic
def broadcast(typing_context: Any, number: Any) -> Any:
    """One number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _everywhere(builder, arguments[0])

    return _lanes(types.float32), generate


@intrinsic
def broadcast_from(typing_context: Any, array: Any, at: Any) -> Any:
    """The number ``at`` in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _everywhere(builder, builder.load(_pointer(context, builder, signature.args[0], *arguments)))

    return _lanes(array, types.int64), generate


@intrinsic
def prefetch(typing_context: Any, array: Any, at: Any) -> Any:
    """Ask for the line of the cache that holds the number ``at``, which may lie anywhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, byte = _pointer(context, builder, signature.args[0], *arguments), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _WHOLE, _WHOLE, _WHOLE])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        read, near, data_cache = _WHOLE(0), _WHOLE(2), _WHOLE(1)
        builder.call(function, [builder.bitcast(place, byte), read, near, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once where the processor can."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "fmuladd", arguments)

    return _lanes(_lanes, _lanes, _lanes), generate


@intrinsic
def largest(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger of each two numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "maxnum", arguments)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def smallest(typing_context: Any, a: Any, b: Any) -> Any:
    """The smaller of each two numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "minnum", arguments)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def floor(typing_context: Any, a: Any) -> Any:
    """The whole number at or below each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "floor", arguments)

    return _lanes(_lanes), generate


@intrinsic
def power_of_two(typing_context: Any, exponent: Any) -> Any:
    """``2 ** exponent`` for whole exponents from -126 to 127, and 0 for -127."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        exponent = builder.fptosi(arguments[0], _WHOLES)
        biased = builder.add(exponent, _wholes([_EXPONENT_BIAS] * LANES))
        return builder.bitcast(builder.shl(biased, _wholes([_MANTISSA_BITS] * LANES)), _VECTOR)

    return _lanes(_lanes), generate


@intrinsic
def between(typing_context: Any, a: Any, low: Any, high: Any, other: Any) -> Any:
    """``a`` in the lanes from ``low`` until before ``high``, ``other`` in the rest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, low, high, other = arguments
        low, high = (_everywhere(builder, builder.trunc(item, _WHOLE)) for item in (low, high))
        each = _wholes(range(LANES))
        inside = builder.and_(builder.icmp_signed(">=", each, low), builder.icmp_signed("<", each, high))
        return builder.select(inside, a, _everywhere(builder, other))

    return _lanes(_lanes, types.int64, types.int64, types.float32), generate


def _over_halves(join: Callable[[Any, Any, Any], Any]) -> Any:
    """A function of all lanes that joins the two halves, then their quarters, and so on."""

    @intrinsic
    def reduce(typing_context: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (value,), half = arguments, LANES // 2
            while half:
                turned = _wholes([(lane + half) % LANES for lane in range(LANES)])
                value = join(builder, value, builder.shuffle_vector(value, value, turned))
                half //= 2
            return builder.extract_element(value, _WHOLE(0))

        return types.float32(_lanes), generate

    return reduce


reduce_sum = _over_halves(lambda builder, a, b: builder.fadd(a, b))
"""The sum over the lanes."""
highest = _over_halves(lambda builder, a, b: _call(builder, "maxnum", [a, b]))
"""The largest number of the lanes."""


def _define(sign: Callable[[Any, Any], Any], instruction: str) -> None:
    """Let an operator work on lanes."""

    @intrinsic
    def both(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return _lanes(_lanes, _lanes), generate

    @overload(sign)
    def of_lanes(a, b):  # without types, since numba compares it with the function below
        if isinstance(a, LanesType) and isinstance(b, LanesType):
            return lambda a, b: both(a, b)
        return None


for _sign, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_sign, _instruction)
