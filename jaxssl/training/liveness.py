"""Bytes that a function holds at once, counted in its jaxpr: before a compiler is asked.

A jaxpr says which value is made when and read last when. What a compiler fuses into its readers
takes no memory of its own: element-wise operations with one reader, cheap ones of one array
whatever reads them (which computes them anew), and whatever only moves or repeats what is there;
their operands live as long as those readers. A loop holds what it stacks and what its costliest
turn holds.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, cast

from jax.extend import core

# Repeated for every reader rather than kept: they cost hardly anything.
_MOVES = frozenset(
    "broadcast_in_dim reshape squeeze expand_dims convert_element_type iota slice transpose copy "
    "rev stop_gradient pvary sharding_constraint name neg optimization_barrier "
    "reduce_precision".split()
)
# Fused into all readers where one operand is as large as what they make, else into an only one.
_CHEAP = frozenset(
    "add add_any sub mul max min square abs sign floor round select_n and or not xor eq ne lt le "
    "gt ge clamp is_finite shift_left shift_right_logical".split()
)
# Fused into their only reader.
_FUSES = _CHEAP | frozenset(
    "div exp exp2 expm1 log log1p tanh logistic erf erf_inv sqrt rsqrt pow integer_pow sin cos pad "
    "concatenate".split()
)
_REPEATS = frozenset({"broadcast_in_dim", "iota"})
_LOOPS = frozenset({"scan", "while", "cond"})
# What reads whole arrays from memory, beside loops: only how they lie is fused into it.
_PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})
_LIES = frozenset({"reshape", "transpose", "squeeze", "expand_dims", "name", "sharding_constraint"})


@dataclasses.dataclass(eq=False)
class _Value:
    """One array.

    Attributes:
        size: bytes.
        length: elements.
        given: whether it is an argument, which is held in any case.
        last_read: index of the last operation that reads it; -1: none does.
        num_readers: operations that read it.
        in_product: whether one of them is a product, which wants it in memory.
        repeats: whether it is made of fewer elements, so that nothing as large is read for it.
        is_virtual: whether it takes no memory of its own.
    """

    size: int
    length: int
    given: bool = False
    last_read: int = -1
    num_readers: int = 0
    in_product: bool = False
    repeats: bool = False
    is_virtual: bool = False


@dataclasses.dataclass
class _Operation:
    name: str
    reads: list[_Value]
    makes: list[_Value]
    inside: int = 0  # bytes that it holds beside what it reads and makes


def peak(jaxpr: core.Jaxpr, *, reuses: bool = False) -> int:
    """Most bytes that one call holds at once, beside its arguments.

    Args:
        jaxpr: of the function; what it maps over devices counts as one device's.
        reuses: whether results are written over arguments, as donated ones are, and count nothing.
    """
    values = {variable: _value(variable, given=True) for variable in _inputs(jaxpr)}
    operations = list(_operations(jaxpr, values))
    results = {values[variable] for variable in jaxpr.outvars if variable in values}
    operations = _needed(operations, results)
    for index, operation in enumerate(operations):
        for value in set(operation.reads):
            value.last_read = index
            value.num_readers += 1
            value.in_product |= operation.name in _PRODUCTS | _LOOPS
        if operation.name in _REPEATS | _MOVES | _FUSES:
            made = operation.makes[0]
            made.repeats = not any(_is_as_large(value, made) for value in operation.reads)
    for value in results:
        value.last_read = len(operations)
    for operation in reversed(operations):
        (first, *others) = operation.makes
        wide = [value for value in set(operation.reads) if _is_as_large(value, first)]
        single = operation.name in _FUSES and first.num_readers == 1
        single |= operation.name in _CHEAP and len(wide) == 1
        moves = operation.name in (_LIES if first.in_product else _MOVES)
        fuses = moves or (single and not first.in_product)
        if not others and first not in results and fuses:
            first.is_virtual = True
            for value in operation.reads:  # lives until that is read
                value.last_read = max(value.last_read, first.last_read)
                value.in_product |= first.in_product
    return _most(operations, results if reuses else set())


def _is_as_large(value: _Value, made: _Value) -> bool:
    """Whether an operand has an element of its own for each that is made."""
    return not value.repeats and value.length >= made.length


def _most(operations: list[_Operation], free: set[_Value]) -> int:
    """The most that is live at once, of what is made."""
    dies: list[list[_Value]] = [[] for _ in range(len(operations) + 1)]
    live = most = 0
    for index, operation in enumerate(operations):
        made = [each for each in operation.makes if not each.is_virtual and each not in free]
        for value in made:
            dies[max(value.last_read, index)].append(value)
        live += sum(value.size for value in made)
        most = max(most, live + operation.inside)
        live -= sum(value.size for value in dies[index])
    return most


def _operations(jaxpr: core.Jaxpr, values: dict) -> Iterator[_Operation]:
    """Those of a jaxpr and of what it calls, in order; ``values`` gets what they make."""
    for equation in jaxpr.eqns:
        reads = [values[each] for each in equation.invars if not isinstance(each, core.Literal)]
        name, inner = equation.primitive.name, _inner(equation)
        if inner and name not in _LOOPS:
            called = inner[0]
            passed = dict(zip(called.invars, equation.invars[-len(called.invars) :]))
            within = {variable: _value(variable) for variable in called.constvars}
            for variable, outer in passed.items():
                literal = isinstance(outer, core.Literal)
                within[variable] = _value(variable, given=True) if literal else values[outer]
                if name == "shard_map":  # one device's part of it
                    within[variable] = _value(variable, given=True)
            yield from _operations(called, within)
            for outer, made in zip(equation.outvars, called.outvars, strict=True):
                literal = isinstance(made, core.Literal)
                values[outer] = _value(outer) if literal else within[cast(core.Var, made)]
            continue
        makes = [_value(each) for each in equation.outvars]
        values.update(zip(equation.outvars, makes, strict=True))
        yield _Operation(name, reads, makes, max(map(peak, inner), default=0))


def _needed(operations: list[_Operation], results: set[_Value]) -> list[_Operation]:
    """Without what nobody reads."""
    needed, kept = set(results), []
    for operation in reversed(operations):
        if needed.intersection(operation.makes):
            needed.update(operation.reads)
            kept.append(operation)
    return kept[::-1]


def _inner(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    """The jaxprs that an equation runs."""
    return [
        value.jaxpr if isinstance(value, core.ClosedJaxpr) else value
        for parameter in equation.params.values()
        for value in (parameter if isinstance(parameter, tuple | list) else (parameter,))
        if isinstance(value, core.Jaxpr | core.ClosedJaxpr)
    ]


def _inputs(jaxpr: core.Jaxpr) -> list[core.Var]:
    return [*jaxpr.invars, *jaxpr.constvars]


def _value(variable: core.Var, *, given: bool = False) -> _Value:
    aval: Any = variable.aval  # of arrays and tokens alike
    itemsize = getattr(aval.dtype, "itemsize", 0)
    length = math.prod(aval.shape)
    return _Value(length * itemsize, length, given)
