"""Frozen parameters against loops that leave them out, as PyTorch's optimizers do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import parallel
from jaxssl.training import optimizers
from jaxssl.training import step as training_step
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import Method, Plan

THAW, AGAIN, NUM_STEPS = 40, (46, 48), 60
PLAN = Plan(batch_size=256, steps_per_epoch=10, total_steps=NUM_STEPS)
PARAMS = {
    "encoder": {"kernel": np.array([[1.0, -2.0]]), "bias": np.array([0.5, 0.25])},
    "prototypes": {"kernel": np.array([[-0.5], [3.0]])},
}
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 1, 1, 1), dtype=np.uint8)
OPTIONS = {"base_learning_rate": 0.01, "weight_decay": 0.1, "warmup_epochs": 0.5}


def is_frozen(step):
    return step < THAW or AGAIN[0] <= step < AGAIN[1]


def gradients():
    """Of each step before the factor that the images give, [NUM_STEPS, ...]."""
    random = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: random.standard_normal((NUM_STEPS, *leaf.shape)), PARAMS)


def method():
    """Values whose gradients are those of the table, times one number for each image."""
    table = jax.tree.map(jnp.float32, gradients())

    def loss(params, state, views, key, clock):
        del key
        products = jax.tree.map(lambda p, g: jnp.vdot(p, g[clock.step]), params, table)
        return views * sum(jax.tree.leaves(products)), (state, {})

    def frozen(params, clock):
        nowhere = jax.tree.map(lambda _: False, params)
        step = clock.step
        flag = (step < THAW) | ((step >= AGAIN[0]) & (step < AGAIN[1]))
        return nowhere | {"prototypes": {"kernel": flag}}

    return Method(
        view=lambda key, example: 1 + example["image"].reshape(()).astype(jnp.float32) / 255,
        init=lambda key, views: (jax.tree.map(jnp.float32, PARAMS), {}),
        loss=loss,
        advance=lambda params, state, clock: state,
        encoder=lambda params, state: params["encoder"],
        inputs=dict,
        frozen=frozen,
    )


def run(config, mapped=None):
    """The state after each step of a run, and how often the step was traced."""
    optimizer = optimizers.build(config, PLAN._replace(freezes=True))
    step = training_step.make_step(
        method(), optimizer, seed=0, axis_name=parallel.axis_of(mapped or "jit")
    )
    traces = []

    def counted(state, batch):
        traces.append(1)
        return step(state, batch)

    state = training_step.init_state(method(), optimizer, {"image": IMAGES[:1]}, seed=0)
    if mapped is None:
        go = jax.jit(counted)
    else:
        go, state = parallel.data_parallel(counted, backend=mapped), parallel.replicate(state)
    history = []
    for _ in range(NUM_STEPS):
        state, metrics = go(state, {"image": IMAGES})
        history.append(jax.device_get((state, metrics)))
    return history, len(traces)


@functools.cache
def run_one(name):
    return run(OptimizerConfig(name=name, **OPTIONS))


def oracle(config):
    """Parameters after each step in float64; a frozen one is left out of the step altogether."""
    factor = np.mean(1 + IMAGES / 255.0)
    table, params, memory, history = gradients(), jax.tree.map(np.copy, PARAMS), {}, []
    warmup_steps = round(config.warmup_epochs * PLAN.steps_per_epoch)
    for step in range(NUM_STEPS):
        done = (step - warmup_steps) / (NUM_STEPS - warmup_steps)
        rate = config.base_learning_rate * (
            (step + 1) / warmup_steps if step < warmup_steps else 0.5 * (1 + np.cos(np.pi * done))
        )
        params = {group: dict(leaves) for group, leaves in params.items()}
        for group, leaves in params.items():
            if group == "prototypes" and is_frozen(step):
                continue
            for name, value in leaves.items():
                gradient = factor * table[group][name][step]
                decay = config.weight_decay if name == "kernel" else 0.0
                slot = memory.setdefault((group, name), {"steps": 0, "first": 0.0, "second": 0.0})
                slot["steps"] += 1
                if config.name == "adamw":
                    slot["first"] = 0.9 * slot["first"] + 0.1 * gradient
                    slot["second"] = 0.999 * slot["second"] + 0.001 * gradient**2
                    first = slot["first"] / (1 - 0.9 ** slot["steps"])
                    second = slot["second"] / (1 - 0.999 ** slot["steps"])
                    change = rate * (first / (np.sqrt(second) + 1e-8) + decay * value)
                elif config.name == "sgd":
                    slot["first"] = 0.9 * slot["first"] + gradient + decay * value
                    change = rate * slot["first"]
                else:
                    gradient = gradient + decay * value
                    if name == "kernel":
                        ratio = np.linalg.norm(value) / np.linalg.norm(gradient)
                        gradient = config.trust_coefficient * ratio * gradient
                    slot["first"] = 0.9 * slot["first"] + rate * gradient
                    change = slot["first"]
                leaves[name] = value - change
        history.append(params)
    return history


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_a_thawed_parameter_begins_as_one_that_was_never_there(name):
    history, num_traces = run_one(name)
    assert num_traces == 1
    expected = [PARAMS, *oracle(OptimizerConfig(name=name, **OPTIONS))]
    got = [PARAMS, *(state.params for state, _ in history)]
    for step in (0, 1, THAW - 1, *range(THAW, NUM_STEPS)):
        changes = (
            jax.tree.map(np.subtract, history[step + 1], history[step])
            for history in (got, expected)
        )
        for ours, theirs in zip(*map(jax.tree.leaves, changes), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-6)
    for ours, theirs in zip(*map(jax.tree.leaves, (got[-1], expected[-1])), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_what_is_frozen_stays_to_the_last_bit_and_counts_in_no_norm(name):
    history, _ = run_one(name)
    prototypes = [state.params["prototypes"]["kernel"] for state, _ in history]
    np.testing.assert_array_equal(prototypes[THAW - 1], np.float32(PARAMS["prototypes"]["kernel"]))
    np.testing.assert_array_equal(prototypes[AGAIN[1] - 1], prototypes[AGAIN[0] - 1])

    def memory(step):
        leaves = jax.tree_util.tree_leaves_with_path(history[step][0].opt_state)
        return [leaf for path, leaf in leaves if "prototypes" in jax.tree_util.keystr(path)]

    assert memory(0)
    assert all(np.all(leaf == 0) for leaf in memory(THAW - 1))
    assert all(np.all(leaf != 0) for leaf in memory(THAW))
    for before, after in zip(memory(AGAIN[0] - 1), memory(AGAIN[1] - 1), strict=True):
        np.testing.assert_array_equal(after, before)
    norm = np.mean(1 + IMAGES / 255.0) * np.sqrt(
        sum(np.sum(leaf[3] ** 2) for leaf in jax.tree.leaves(gradients()["encoder"]))
    )
    np.testing.assert_allclose(history[3][1]["grad_norm"], norm, rtol=1e-5)


@pytest.mark.parametrize("backend", ["jit", "pmap", "shard_map"])
def test_thawing_is_equal_on_eight_devices(backend):
    one, _ = run_one("adamw")
    eight, num_traces = run(OptimizerConfig(**OPTIONS), mapped=backend)
    assert num_traces == 1
    for step in (THAW, NUM_STEPS - 1):
        leaves = (jax.tree.leaves(history[step][0]) for history in (one, eight))
        for ours, theirs in zip(*leaves, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-7)


def test_an_adam_that_counts_for_all_is_refused():
    optimizer = optax.adamw(0.01)
    state = training_step.init_state(method(), optimizer, {"image": IMAGES[:1]}, seed=0)
    step = training_step.make_step(method(), optimizer, seed=0)
    message = (
        r"make_step: where the method freezes parameters, Adam must count the steps of each; got "
        r"one count for all\. Use optimizers\.build\(\.\.\., freezes=True\)"
    )
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(step, state, {"image": IMAGES})
    never = method()._replace(frozen=None)
    jax.eval_shape(training_step.make_step(never, optimizer, seed=0), state, {"image": IMAGES})
