"""Four float64 side by side as one value of compiled code, so that the models of a filter are worked out at once.

The three models run through the same arithmetic. Written with `LANES`, one operation does it for all, on any processor
that LLVM knows; a loop over models would be left to what the compiler makes of it. Every lane is rounded as the scalar
operation is: the bits are the same. Models take the first three lanes; the fourth repeats the first, so that nothing in
it is ever out of range, and nobody reads it.

Compiled code only: outside of it these names cannot be called.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import templates
from numba.extending import intrinsic, lower_builtin, models, register_model

# numba is half typed, and what its types say of these is wrong for compiled code.
kinds: Any = types
_utils: Any = cgutils
_templates: Any = templates
_intrinsic: Any = intrinsic
_lowers: Any = lower_builtin
_registers: Any = register_model

WIDTH = 4
_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
_INDEX = ir.IntType(32)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES: Any = _Lanes()
Lanes = Any  # a value of that type, for annotations
_BOTH = (LANES, LANES), (LANES, kinds.float64), (kinds.float64, LANES)


@_registers(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]  # numba is half typed


def _wide(builder: Any, value: Any) -> Any:
    """The value in every lane, where it is not of lanes already."""
    if value.type == _VECTOR:
        return value
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(_INDEX, 0))
    zeros = ir.Constant(ir.VectorType(_INDEX, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _by_llvm(builder: Any, name: str, value: Any) -> Any:
    """A function of one number that LLVM has for vectors."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR])
    return builder.call(_utils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f64"), [value])


def _operator(of: Any, name: str) -> None:
    class _Template(templates.ConcreteTemplate):
        cases = [_templates.signature(LANES, *pair) for pair in _BOTH]  # noqa: RUF012 - numba's way

    _templates.infer_global(of)(_Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, name)(*(_wide(builder, value) for value in args))

    for pair in _BOTH:
        _lowers(of, *pair)(lower)


for _of, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _operator(_of, _name)


@_templates.infer_global(math.sqrt)
class _Sqrt(templates.ConcreteTemplate):
    cases = [_templates.signature(LANES, LANES)]  # noqa: RUF012 - numba's way


@_lowers(math.sqrt, LANES)
def _sqrt(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _by_llvm(builder, "sqrt", args[0])


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())


@_intrinsic
def load(typing: Any, w: Any, place: Any) -> Any:
    """The lanes at w[place:]."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], *args), align=8)

    return LANES(w, kinds.int64), lower


@_intrinsic
def store(typing: Any, w: Any, place: Any, value: Any) -> Any:
    """Put lanes to w[place:]."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig.args[0], *args[:2]), align=8)
        return context.get_dummy_value()

    return kinds.void(w, kinds.int64, LANES), lower


@_intrinsic
def lanes(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Of three scalars."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = ir.Constant(_VECTOR, ir.Undefined)
        for at, one in enumerate((*args, args[0])):
            value = builder.insert_element(value, one, ir.Constant(_INDEX, at))
        return value

    return LANES(kinds.float64, kinds.float64, kinds.float64), lower


@_intrinsic
def apart(typing: Any, value: Any) -> Any:
    """The first three lanes as scalars."""
    three = kinds.UniTuple(kinds.float64, 3)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = [builder.extract_element(args[0], ir.Constant(_INDEX, at)) for at in range(3)]
        return context.make_tuple(builder, three, parts)

    return three(LANES), lower


@_intrinsic
def positive(typing: Any, value: Any) -> Any:
    """Nothing below 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(_VECTOR, [0.0] * WIDTH)
        return builder.select(builder.fcmp_ordered("<", args[0], zero), zero, args[0])

    return LANES(LANES), lower


def _sound(builder: Any, var: Any, nu: Any) -> Any:
    """Lanes where a variance is positive and finite and an innovation finite."""
    zero, most = ir.Constant(_VECTOR, [0.0] * WIDTH), ir.Constant(_VECTOR, [math.inf] * WIDTH)
    size = _by_llvm(builder, "fabs", nu)
    inside = builder.and_(builder.fcmp_ordered(">", var, zero), builder.fcmp_ordered("<", var, most))
    return builder.and_(inside, builder.fcmp_ordered("<", size, most))


@_intrinsic
def all_sound(typing: Any, var: Any, nu: Any) -> Any:
    """Is in every lane the variance positive and finite, and the innovation finite?"""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(_sound(builder, *args), ir.IntType(WIDTH))
        return builder.icmp_unsigned("==", bits, ir.Constant(ir.IntType(WIDTH), 2**WIDTH - 1))

    return kinds.boolean(LANES, LANES), lower


@_intrinsic
def where_sound(typing: Any, var: Any, nu: Any, value: Any, other: Any) -> Any:
    """`value` where variance and innovation are sound as in `all_sound`, else `other`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(_sound(builder, *args[:2]), args[2], _wide(builder, args[3]))

    return LANES(LANES, LANES, LANES, kinds.float64), lower
