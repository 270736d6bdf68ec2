"""Floating-point operations of a function, counted in its jaxpr: exact for products, before XLA."""

import math
from collections.abc import Callable

import jax
from jax.extend import core


def count(function: Callable, *args) -> int:
    """Operations of all matrix products and convolutions in one call; 2 per multiply-add.

    Counted in the jaxpr rather than asked of XLA, whose count takes the body of a loop once however
    often it runs and differs between backends. Elementwise work is left out, as is usual.

    Args:
        function: traceable function, mapped over devices or not.
        *args: its arguments, or their shapes (jax.ShapeDtypeStruct).

    Returns:
        Operations summed over all devices the function is mapped over. Both branches of a
        conditional count as the dearer one; the body of a while loop counts once, since its length
        is unknown.
    """
    return count_jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def count_jaxpr(jaxpr: core.Jaxpr) -> int:
    """As ``count``, of a function that has been traced."""
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        output = math.prod(equation.outvars[0].aval.shape)
        return 2 * output * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        return _count_convolution(equation)
    inner = [
        count_jaxpr(value.jaxpr if isinstance(value, core.ClosedJaxpr) else value)
        for parameter in params.values()
        for value in (parameter if isinstance(parameter, tuple | list) else (parameter,))
        if isinstance(value, core.Jaxpr | core.ClosedJaxpr)
    ]
    if name == "cond":
        return max(inner)
    times = 1
    if name == "scan":
        times = params["length"]
    elif name == "shard_map":
        times = params["mesh"].size
    return times * sum(inner)


def _count_convolution(equation) -> int:
    """2 · output elements · kernel elements per output, without the zeros that dilation inserts."""
    params = equation.params
    kernel = equation.invars[1].aval.shape
    spec = params["dimension_numbers"]
    window = math.prod(kernel[axis] for axis in spec.rhs_spec[2:])
    channels = kernel[spec.rhs_spec[1]]
    output = math.prod(equation.outvars[0].aval.shape)
    return 2 * output * window * channels // math.prod(params["lhs_dilation"])
