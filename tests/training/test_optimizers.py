import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl.training import optimizers
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import Plan

PLAN = Plan(batch_size=512, steps_per_epoch=10, total_steps=100)


def test_peak_is_scaled_by_the_batch():
    assert optimizers.peak_learning_rate(OptimizerConfig(base_learning_rate=0.3), 4096) == 4.8


def test_schedule_against_the_formula():
    config = OptimizerConfig(base_learning_rate=0.5, warmup_epochs=1, final_fraction=0.1)
    rate = optimizers.schedule(config, PLAN)
    got = np.array([rate(step) for step in range(101)])
    expected = []
    for step in range(101):
        if step < 10:
            expected.append(1.0 * (step + 1) / 10)
        else:
            cosine = 0.5 * (1 + np.cos(np.pi * (step - 10) / 90))
            expected.append(1.0 * (0.1 + 0.9 * cosine))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_schedule_without_warmup_starts_at_the_peak():
    rate = optimizers.schedule(OptimizerConfig(base_learning_rate=1, warmup_epochs=0), PLAN)
    assert rate(0) == 2.0


def test_only_kernels_decay_under_scan_too():
    params = {
        "block": {"kernel": jnp.ones((2, 3, 3)), "bias": jnp.ones((2, 3))},
        "class_token": jnp.ones((1, 1, 3)),
    }
    mask = optimizers.kernel_mask(params)
    assert mask == {"block": {"kernel": True, "bias": False}, "class_token": False}


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_zero_gradient_moves_decayed_leaves_only(name):
    config = OptimizerConfig(name=name, weight_decay=0.1, warmup_epochs=0)
    optimizer = optimizers.build(config, PLAN)
    params = {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}
    updates, _ = optimizer.update(
        jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params
    )
    assert np.all(np.asarray(updates["kernel"]) < 0)
    np.testing.assert_array_equal(updates["bias"], 0)


def one_update(config, gradient, params):
    optimizer = optimizers.build(config, PLAN)
    return optimizer.update(gradient, optimizer.init(params), params)[0]


def test_lars_first_step_against_the_formula():
    config = OptimizerConfig(
        name="lars", base_learning_rate=1, weight_decay=0.01, warmup_epochs=0,
        trust_coefficient=0.02,
    )  # fmt: skip
    params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([1.0, 1.0])}
    gradient = {"kernel": jnp.array([[0.5, 0.0]]), "bias": jnp.array([0.5, 0.0])}
    updates = one_update(config, gradient, params)
    decayed = np.array([[0.5, 0.0]]) + 0.01 * np.array([[3.0, 4.0]])
    trust = 0.02 * 5.0 / np.linalg.norm(decayed)
    np.testing.assert_allclose(updates["kernel"], -2.0 * trust * decayed, rtol=1e-5)
    np.testing.assert_allclose(updates["bias"], -2.0 * np.array([0.5, 0.0]), rtol=1e-6)


PARAMS = {
    "encoder": {"kernel": np.array([[1.0, -2.0]]), "bias": np.array([0.5, 0.25])},
    "predictor": {"kernel": np.array([[-0.5], [3.0]]), "bias": np.array([2.0])},
}


def gradients(step):
    random = np.random.default_rng(step)
    return jax.tree.map(lambda leaf: random.standard_normal(leaf.shape), PARAMS)


def run(config, num_steps=100):
    """Parameters after each step of a run; the order of leaves is that of ``oracle``."""
    optimizer = optimizers.build(config, PLAN)
    update = jax.jit(optimizer.update)
    params = jax.tree.map(jnp.float32, PARAMS)
    state = optimizer.init(params)
    history = []
    for step in range(num_steps):
        updates, state = update(jax.tree.map(jnp.float32, gradients(step)), state, params)
        params = jax.tree.map(jnp.add, params, updates)
        history.append(params)
    return history


def oracle(config, num_steps=100):
    """The same in float64, leaf by leaf and step by step, from the papers' formulas."""
    total, warmup_steps = PLAN.total_steps, round(config.warmup_epochs * PLAN.steps_per_epoch)
    peak = config.base_learning_rate * PLAN.batch_size / 256
    params = jax.tree.map(np.copy, PARAMS)
    memory = {}
    history = []
    for step in range(num_steps):
        all_gradients = gradients(step)
        new = {}
        for group, leaves in params.items():
            new[group] = {}
            for name, value in leaves.items():
                gradient = all_gradients[group][name]
                if step < warmup_steps:
                    rate = peak * (step + 1) / warmup_steps
                elif group in config.constant_rate:
                    rate = peak
                else:
                    done = (step - warmup_steps) / (total - warmup_steps)
                    rate = peak * 0.5 * (1 + np.cos(np.pi * done))
                decay = 0.0
                if name == "kernel":
                    decay, end = config.weight_decay, config.final_weight_decay
                    if end is not None:
                        decay = end + (decay - end) * 0.5 * (1 + np.cos(np.pi * step / total))
                else:
                    rate *= config.other_rate
                slot = memory.setdefault((group, name), [0.0, 0.0])
                if config.name == "adamw":
                    slot[0] = config.beta1 * slot[0] + (1 - config.beta1) * gradient
                    slot[1] = config.beta2 * slot[1] + (1 - config.beta2) * gradient**2
                    first = slot[0] / (1 - config.beta1 ** (step + 1))
                    second = slot[1] / (1 - config.beta2 ** (step + 1))
                    change = rate * (first / (np.sqrt(second) + 1e-8) + decay * value)
                elif config.name == "sgd":
                    slot[0] = config.momentum * slot[0] + gradient + decay * value
                    change = rate * slot[0]
                else:
                    gradient = gradient + decay * value
                    if name == "kernel":
                        ratio = np.linalg.norm(value) / np.linalg.norm(gradient)
                        gradient = config.trust_coefficient * ratio * gradient
                    slot[0] = config.momentum * slot[0] + rate * gradient
                    change = slot[0]
                new[group][name] = value - change
        params = new
        history.append(params)
    return history


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"final_weight_decay": 0.4},
        {"constant_rate": ("predictor",)},
        {"constant_rate": ("predictor",), "warmup_epochs": 0.0},
        {"other_rate": 0.024},
        {"final_weight_decay": 0.0, "constant_rate": ("encoder",), "other_rate": 3.0},
    ],
)
def test_a_whole_run_against_the_formulas(name, changes):
    options = {"base_learning_rate": 0.01, "weight_decay": 0.04, "trust_coefficient": 0.1}
    config = OptimizerConfig(name=name, **options | changes)
    got, expected = run(config), oracle(config)
    for step in (0, 4, 9, 10, 11, 50, 99):
        for ours, theirs in zip(*map(jax.tree.leaves, (got[step], expected[step])), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
    last = [
        jax.tree.map(np.subtract, history[99], history[98]) for history in (got, expected)
    ]  # where the rate has all but vanished, a constant one still moves
    for ours, theirs in zip(*map(jax.tree.leaves, last), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-2 * np.abs(theirs).max() + 1e-6)


OPTAX = {
    "adamw": lambda rate: optax.adamw(rate, 0.9, 0.999, weight_decay=0.05,
                                      mask=optimizers.kernel_mask),
    "sgd": lambda rate: optax.chain(
        optax.add_decayed_weights(0.05, mask=optimizers.kernel_mask),
        optax.sgd(rate, momentum=0.9),
    ),
    "lars": lambda rate: optax.lars(
        rate, weight_decay=0.05, weight_decay_mask=optimizers.kernel_mask,
        trust_ratio_mask=optimizers.kernel_mask,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTAX)
def test_the_plain_optimizer_is_that_of_optax_bit_for_bit_and_so_is_its_state(name):
    """A checkpoint restores by the tree of its state: none of a run without the options changes."""
    config = OptimizerConfig(name=name)
    ours, theirs = (
        optimizers.build(config, PLAN),
        OPTAX[name](optimizers.schedule(config, PLAN)),
    )
    params = jax.tree.map(jnp.float32, PARAMS)
    gradient = jax.tree.map(jnp.float32, gradients(0))
    states = ours.init(params), theirs.init(params)
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    results = [
        jax.jit(optimizer.update)(gradient, state, params)
        for optimizer, state in zip((ours, theirs), states, strict=True)
    ]
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_rates_that_differ_leave_the_tree_of_the_state():
    config = OptimizerConfig(constant_rate=("predictor",), other_rate=0.1)
    trees = [
        jax.tree.structure(optimizers.build(each, PLAN).init(PARAMS))
        for each in (config, OptimizerConfig())
    ]
    assert trees[0] == trees[1]


def test_groups_of_constant_rate_must_exist():
    optimizer = optimizers.build(OptimizerConfig(constant_rate=("predicter",)), PLAN)
    message = (
        r"optimizer\.constant_rate: must name groups of the parameters; got 'predicter'\. "
        r"There are encoder, predictor\."
    )
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(optimizer.init, PARAMS)


def test_clipping_bounds_the_global_norm():
    config = OptimizerConfig(name="sgd", base_learning_rate=0.5, weight_decay=0, warmup_epochs=0)
    gradient = {"kernel": jnp.array([[30.0, 40.0]])}
    params = jax.tree.map(jnp.ones_like, gradient)
    clipped = one_update(dataclasses.replace(config, clip_norm=1.0), gradient, params)
    np.testing.assert_allclose(clipped["kernel"], -np.array([[0.6, 0.8]]), rtol=1e-6)
    free = one_update(config, gradient, params)
    np.testing.assert_allclose(free["kernel"], -np.array([[30.0, 40.0]]), rtol=1e-6)


def test_each_layer_is_clipped_before_all_of_them_are():
    config = OptimizerConfig(
        name="sgd", base_learning_rate=0.5, weight_decay=0, warmup_epochs=0, clip_each=1.0
    )
    gradient = {"kernel": jnp.array([[30.0, 40.0]]), "bias": jnp.array([0.0, 0.6])}
    params = jax.tree.map(jnp.ones_like, gradient)
    each = one_update(config, gradient, params)
    np.testing.assert_allclose(each["kernel"], -np.array([[0.6, 0.8]]), rtol=1e-6)
    np.testing.assert_allclose(each["bias"], -np.array([0.0, 0.6]), rtol=1e-6)
    both = one_update(dataclasses.replace(config, clip_norm=0.5), gradient, params)
    factor = 0.5 / np.sqrt(1 + 0.6**2)
    np.testing.assert_allclose(both["kernel"], -factor * np.array([[0.6, 0.8]]), rtol=1e-6)
    np.testing.assert_allclose(both["bias"], -factor * np.array([0.0, 0.6]), rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("base_learning_rate", 0.0, "base_learning_rate: must be finite and above 0; got 0.0"),
        ("trust_coefficient", -1.0, "trust_coefficient: must be finite and above 0; got -1.0"),
        ("weight_decay", -0.1, "weight_decay: must be at least 0; got -0.1"),
        ("warmup_epochs", -1.0, "warmup_epochs: must be at least 0; got -1.0"),
        ("other_rate", 0.0, "other_rate: must be finite and above 0; got 0.0"),
        ("final_weight_decay", -0.1, "final_weight_decay: must be at least 0; got -0.1"),
        ("clip_norm", -1.0, "clip_norm: must be at least 0; got -1.0"),
        ("clip_each", -1.0, "clip_each: must be at least 0; got -1.0"),
        ("momentum", 1.0, r"momentum: must be in \[0, 1\); got 1.0"),
        ("beta1", 1.0, r"beta1: must be in \[0, 1\); got 1.0"),
        ("beta2", -0.1, r"beta2: must be in \[0, 1\); got -0.1"),
        ("final_fraction", 2.0, r"final_fraction: must be in \[0, 1\]; got 2.0"),
    ],
)
def test_wrong_hyper_parameters_are_named(field, value, text):
    with pytest.raises(ValueError, match=text):
        OptimizerConfig(**{field: value})


def test_warmup_must_be_shorter_than_the_run():
    with pytest.raises(ValueError, match=r"got 100 warm-up steps of 100 in all\. Lower it below"):
        optimizers.schedule(OptimizerConfig(warmup_epochs=10), PLAN)
