"""What every public function of the losses must hold; a new one is one row of ``LOSSES``."""

import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
from jax.sharding import AxisType
from loss_table import LOSSES, SIZES

from jaxssl import losses

USUAL, SLOW = [(8, "shard_map")], [(2, "pmap")]

EVERY = pytest.mark.parametrize("name", LOSSES)


def test_every_public_function_has_a_row():
    public = {getattr(losses, name) for name in losses.__all__}
    functions = {value for value in public if inspect.isfunction(value)}
    assert {loss.function for loss in LOSSES.values()} == functions


# Calling a row


def drawn(axes, seed):
    """Numbers for one argument, e.g. ``"B D"`` or ``"B <K"``."""
    generator = np.random.default_rng(seed)
    *letters, last = axes.split()
    if last.isalpha():
        letters, last = [*letters, last], ""
    shape = [SIZES[letter] for letter in letters]
    if last.startswith("<"):
        # As many of each as there can be: no group of examples is small.
        labels = generator.permutation(int(np.prod(shape))) % SIZES[last[1:]]
        return jnp.asarray(labels.reshape(shape), jnp.int32)
    numbers = generator.normal(size=shape)
    if last == "?":
        return jnp.asarray(numbers > 0)
    return jnp.asarray(np.abs(numbers) if last == "+" else numbers, jnp.float32)


def arrays_of(loss, seed=0):
    named = enumerate(loss.inputs.items())
    return {name: drawn(axes, 100 * seed + place) for place, (name, axes) in named}


def call(loss, arrays, axis_name=None):
    named = {"axis_name": axis_name} if takes_axis(loss) else {}
    return loss.then(loss.function(**arrays, **loss.options, **named))


@functools.cache
def compiled(name):
    """The row as a function of its arrays, its own: JAX keeps its caches by function."""
    return jax.jit(lambda arrays: call(LOSSES[name], arrays))


def takes_axis(loss):
    return "axis_name" in inspect.signature(loss.function).parameters


def floating(arrays):
    return {
        name: array for name, array in arrays.items() if jnp.issubdtype(array.dtype, jnp.floating)
    }


def cast(arrays, dtype):
    return arrays | {name: array.astype(dtype) for name, array in floating(arrays).items()}


def is_batch(loss, name):
    return loss.inputs[name].startswith("B")


def forms(loss):
    return (loss.output,) if isinstance(loss.output, str) else loss.output


# Any number of devices


def problem(loss):
    """What is equal on all devices, a bend of every feature with it, and the rows."""
    arrays = arrays_of(loss)
    batch = {name: array for name, array in arrays.items() if is_batch(loss, name)}
    shared = {name: array for name, array in arrays.items() if name not in batch}
    bend = {
        name: jnp.asarray(np.random.default_rng(9).uniform(0, 0.1, rows.shape[1:]), jnp.float32)
        for name, rows in floating(batch).items()
    }
    return {"shared": shared, "bend": bend}, batch


def values(loss, params, batch, axis_name):
    """One number an example, or one for all; each entry of an output counts for itself.

    A scale or a shift in place of the bend would have no gradient where features are standardised.
    """
    bent = {name: batch[name] * (1 + k[None] * batch[name]) for name, k in params["bend"].items()}
    output = call(loss, params["shared"] | batch | bent, axis_name)
    total = jnp.float32(0)
    for leaf, form in zip(jax.tree.leaves(output), forms(loss), strict=True):
        leaf = leaf.astype(jnp.float32)
        rest = leaf.shape[1:] if form.startswith("B") else leaf.shape
        weights = jnp.cos(jnp.arange(np.prod(rest, dtype=int), dtype=jnp.float32)).reshape(rest)
        if form.startswith("B"):
            total += jnp.sum(leaf * weights[None], axis=tuple(range(1, leaf.ndim)))
        else:
            total += jnp.sum(leaf * weights)
    return total


@functools.cache
def on_one_device(name):
    return parity.unmapped(functools.partial(values, LOSSES[name]), *problem(LOSSES[name]))


@pytest.mark.parametrize(
    ("name", "devices", "backend"),
    [
        pytest.param(name, *each, marks=parity.group(*each, usual=USUAL, slow=SLOW).marks)
        for name in LOSSES
        for each in itertools.product(parity.DEVICE_COUNTS, parity.MAPPED)
    ],
)
def test_value_and_gradient_are_those_of_one_device(name, devices, backend):
    loss = LOSSES[name]
    outcome = parity.value_and_grad(
        functools.partial(values, loss), *problem(loss), devices=devices, backend=backend
    )
    parity.assert_close(outcome, on_one_device(name), tolerance=2e-5)


@pytest.mark.parametrize("name", [name for name in LOSSES if "tiled" in name])
def test_value_and_gradient_without_checked_types(name):
    """A gradient written by hand sums over devices itself where JAX does not check types."""
    loss = LOSSES[name]
    outcome = parity.value_and_grad(
        functools.partial(values, loss), *problem(loss), devices=4, backend="shard_map",
        check_vma=False,
    )  # fmt: skip
    parity.assert_close(outcome, on_one_device(name), tolerance=2e-5)


@EVERY
def test_other_examples_matter_where_the_row_says_so(name):
    """So that local statistics would be seen above."""
    loss, (params, batch) = LOSSES[name], problem(LOSSES[name])
    run = jax.jit(lambda batch: values(loss, params, batch, None))
    alone, whole = run(jax.tree.map(lambda rows: rows[::2], batch)), run(batch)
    together = whole[::2] if whole.ndim else whole
    if loss.across:
        assert takes_axis(loss)
        assert np.max(np.abs(alone - together)) > 1e-3 * np.max(np.abs(together))
    else:
        np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


# Shapes, widths, compilation


@EVERY
def test_form_and_width_of_the_output_and_one_compilation(name):
    loss, run = LOSSES[name], compiled(name)
    output = jax.tree.leaves(run(arrays_of(loss)))
    before = run._cache_size()
    for seed in (1, 2):
        output = jax.tree.leaves(run(arrays_of(loss, seed)))
    assert run._cache_size() == before
    expected = [tuple(SIZES[letter] for letter in form.split()) for form in forms(loss)]
    assert [leaf.shape for leaf in output] == expected
    exact = name == "nearest_neighbours"  # indices have no width
    for leaf in output:
        assert leaf.dtype == (jnp.int32 if exact else jnp.float32)
    if exact:
        return
    for narrow in (jnp.bfloat16, jnp.float16):
        for leaf in jax.tree.leaves(jax.eval_shape(run, cast(arrays_of(loss), narrow))):
            assert leaf.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = jax.tree.leaves(jax.eval_shape(run, cast(arrays_of(loss), jnp.float64)))
        assert all(leaf.dtype == jnp.float64 for leaf in wide)


@EVERY
def test_half_precision_is_priced_in_float32(name):
    loss, run = LOSSES[name], compiled(name)
    narrow = cast(arrays_of(loss), jnp.bfloat16)
    wide = cast(narrow, jnp.float32)
    first = next(iter(floating(narrow)))
    for came in (narrow, wide | {first: narrow[first]}):
        jax.tree.map(np.testing.assert_array_equal, run(came), run(wide))


# Properties


@EVERY
def test_order_of_the_batch_does_not_matter(name):
    loss, arrays = LOSSES[name], arrays_of(LOSSES[name])
    order = np.random.default_rng(0).permutation(SIZES["B"])
    permuted = {
        name: array[order] if is_batch(loss, name) else array for name, array in arrays.items()
    }
    outputs = (jax.tree.leaves(compiled(name)(each)) for each in (permuted, arrays))
    for got, expected, form in zip(*outputs, forms(loss), strict=True):
        if form.startswith("B"):
            expected = expected[order]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


EXTREMES = {
    "zero": lambda rows: 0 * rows,
    "all alike": lambda rows: jnp.broadcast_to(rows[:1], rows.shape),
    "tiny": lambda rows: 1e-6 * rows,
    "huge": lambda rows: 1e4 * rows,
}


@EVERY
def test_value_and_gradient_stay_finite(name):
    loss, arrays = LOSSES[name], arrays_of(LOSSES[name])
    numbers = floating(arrays)

    @jax.jit
    def run(numbers):
        def total(numbers):
            leaves = jax.tree.leaves(call(loss, arrays | numbers))
            return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves)

        return jax.value_and_grad(total)(numbers)

    for extreme, change in EXTREMES.items():
        for leaf in jax.tree.leaves(run({name: change(rows) for name, rows in numbers.items()})):
            assert np.all(np.isfinite(leaf)), extreme


# Errors: each names the function, the argument and what came

ARGUMENTS = [
    (loss, argument)
    for (_, argument), loss in {
        (loss.function, argument): loss for loss in LOSSES.values() for argument in loss.inputs
    }.items()
]
EVERY_ARGUMENT = pytest.mark.parametrize(
    ("loss", "argument"), ARGUMENTS, ids=[f"{a.function.__name__}-{b}" for a, b in ARGUMENTS]
)


# Whose messages name the function that both go through.
NAMED_AS = {"vicreg_terms": "vicreg", "whitening_mse": "whiten"}


def refused(loss, error, argument, shape=None, dtype=None):
    """The message for one argument of another shape or dtype."""
    arrays = arrays_of(loss)
    right = arrays[argument]
    wrong = jax.ShapeDtypeStruct(right.shape if shape is None else shape, dtype or right.dtype)
    with pytest.raises(error) as caught:
        jax.eval_shape(functools.partial(call, loss), arrays | {argument: wrong})
    message = str(caught.value)
    function, _, rest = message.partition(": ")
    own = loss.function.__name__
    assert function in {own, NAMED_AS.get(own)}
    assert argument in rest.replace(",", " ").split(), message
    return message


@EVERY_ARGUMENT
def test_a_wrong_dtype_is_named(loss, argument):
    form = loss.inputs[argument]
    if "?" in form:
        pytest.skip("numbers are as good")
    message = refused(loss, TypeError, argument, dtype=jnp.float32 if "<" in form else jnp.int32)
    if "<" in form:
        assert f"{argument} must be integers; got float32. Pass class indices" in message
    else:
        assert f"{argument} must be floating; got int32. Cast it, e.g. {argument}.as" in message


@EVERY
@pytest.mark.parametrize(
    ("kind", "devices"),
    [
        parity.group(*each, slow=[(AxisType.Explicit, 8)])
        for each in itertools.product((AxisType.Explicit, AxisType.Auto), (4, 8))
    ],
)
def test_global_arrays_on_a_mesh_of_either_kind(name, kind, devices):
    """Under jit an array spread over devices is one array; JAX's own meshes are Explicit."""
    loss = LOSSES[name]
    arrays = arrays_of(loss)
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(kind,), devices=jax.devices()[:devices])
    spread = {
        name: jax.device_put(
            array, jax.NamedSharding(mesh, jax.P("data") if is_batch(loss, name) else jax.P())
        )
        for name, array in arrays.items()
    }

    def summed(numbers, others):
        output = call(loss, numbers | others)
        total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(output) if leaf.dtype != jnp.int32)
        return jnp.asarray(total, jnp.float32), output

    both = jax.jit(jax.value_and_grad(summed, has_aux=True))
    outcomes = []
    for named in (arrays, spread):
        numbers = floating(named)
        others = {name: array for name, array in named.items() if name not in numbers}
        outcomes.append(jax.device_get(both(numbers, others)))
    for expected, got in zip(*map(jax.tree.leaves, outcomes), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)


@EVERY_ARGUMENT
def test_a_missing_axis_is_named(loss, argument):
    message = refused(loss, ValueError, argument, shape=())
    assert "; got shape (). " in message or " and (). " in message or "; got () and " in message


@pytest.mark.parametrize(
    ("loss", "argument", "letter"),
    [
        pytest.param(loss, argument, letter, id=f"{loss.function.__name__}-{argument}-{letter}")
        for loss, argument in ARGUMENTS
        for letter in loss.inputs[argument].split()
        if letter.isalpha() and sum(letter in axes.split() for axes in loss.inputs.values()) > 1
    ],
)
def test_axes_that_must_agree_are_named(loss, argument, letter):
    axes = [axis for axis in loss.inputs[argument].split() if axis.isalpha()]
    shape = tuple(SIZES[axis] + (axis == letter) for axis in axes)
    assert " must have equal shapes; got (" in refused(loss, ValueError, argument, shape=shape)
