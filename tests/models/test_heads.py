import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from jaxssl.models import heads


def _init(head, x):
    return jax.jit(head.init)(jax.random.key(0), x)


def _paths(tree):
    return {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)}


def test_forward_against_float64_loop():
    x = jax.random.normal(jax.random.key(1), (5, 3))
    head = heads.MLP((4, 6, 2), batch_norm_last=True, last_affine=False, activation="relu")
    variables = _init(head, x)
    apply = jax.jit(lambda v: head.apply(v, x, train=True, mutable=["batch_stats"]))
    got, _ = apply(variables)
    want = np.asarray(x, np.float64)
    for index in (1, 2, 3):
        want = want @ np.asarray(variables["params"][f"layer{index}"]["kernel"], np.float64)
        want = (want - want.mean(0)) / np.sqrt(want.var(0) + 1e-5)  # scale 1, bias 0 at the start
        if index < 3:
            want = np.maximum(want, 0)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_gelu_is_exact():
    x = jax.random.normal(jax.random.key(1), (5, 3))
    head = heads.MLP((4, 2), batch_norm=False, activation="gelu")
    variables = _init(head, x)
    params = variables["params"]
    hidden = x @ params["layer1"]["kernel"] + params["layer1"]["bias"][None]
    hidden = hidden * 0.5 * (1 + jax.scipy.special.erf(hidden / np.sqrt(2)))
    want = hidden @ params["layer2"]["kernel"] + params["layer2"]["bias"][None]
    np.testing.assert_allclose(head.apply(variables, x), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "biases", "norms"),
    [
        ({}, "2", "1"),  # a bias where no BatchNorm follows
        ({"last_bias": False}, "", "1"),
        ({"hidden_bias": True}, "12", "1"),
        ({"batch_norm": False}, "12", ""),
        ({"batch_norm_last": True}, "", "12"),
        ({"batch_norm_last": True, "last_bias": True}, "2", "12"),
    ],
)
def test_options_decide_which_parameters_exist(options, biases, norms):
    head = heads.MLP((4, 2), **options)
    variables = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((5, 3)))
    want = {"['layer1']['kernel']", "['layer2']['kernel']"}
    want |= {f"['layer{i}']['bias']" for i in biases}
    want |= {f"['norm{i}']['{leaf}']" for i in norms for leaf in ("scale", "bias")}
    assert _paths(variables["params"]) == want
    assert _paths(variables.get("batch_stats", {})) == {
        f"['norm{i}']['{leaf}']" for i in norms for leaf in ("mean", "var")
    }


@pytest.mark.parametrize(
    ("options", "learned"),
    [
        ({"last_affine": False}, set()),
        ({"last_affine": False, "last_center": False}, set()),
        ({"last_center": False}, {"scale"}),
    ],
)
def test_the_last_norm_learns_what_it_is_told_to_and_the_others_both(options, learned):
    head = heads.MLP((4, 2), batch_norm_last=True, **options)
    variables = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((5, 3)))
    assert variables["params"].get("norm2", {}).keys() == learned
    assert variables["params"]["norm1"].keys() == {"scale", "bias"}
    assert variables["batch_stats"]["norm2"].keys() == {"mean", "var"}


def test_one_width_is_a_linear_classifier():
    x = jax.random.normal(jax.random.key(1), (5, 3))
    head = heads.MLP((2,))
    variables = _init(head, x)
    assert _paths(variables) == {"['params']['layer1']['kernel']", "['params']['layer1']['bias']"}
    layer = variables["params"]["layer1"]
    want = x @ layer["kernel"] + layer["bias"][None]
    np.testing.assert_allclose(head.apply(variables, x), want, rtol=1e-6)


def test_bfloat16_keeps_float32_parameters_and_output():
    head = heads.MLP((4, 2), dtype="bfloat16")
    x = jax.random.normal(jax.random.key(1), (5, 3))
    variables = _init(head, x)
    y, state = head.apply(variables, x, train=True, mutable=["batch_stats"])
    dtypes = {leaf.dtype for leaf in jax.tree.leaves((variables, y, state))}
    assert dtypes == {jnp.dtype("float32")}
    exact = heads.MLP((4, 2)).apply(variables, x, train=True, mutable=["batch_stats"])[0]
    assert 1e-5 < float(jnp.abs(y - exact).max()) < 0.1


def test_evaluation_uses_and_keeps_the_running_averages():
    head = heads.MLP((4, 2))
    x = jax.random.normal(jax.random.key(1), (5, 3))
    variables = _init(head, x)
    y, state = head.apply(variables, x, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, state["batch_stats"], variables["batch_stats"])
    np.testing.assert_allclose(y[:1], head.apply(variables, x[:1]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", parity.MAPPED)
@pytest.mark.parametrize("devices", [2, 4])
def test_batch_norm_over_devices_equals_one_device(backend, devices):
    x = 3 + jax.random.normal(jax.random.key(1), (8, 3))
    variables = _init(heads.MLP((4, 2), batch_norm_last=True), x)

    def fn(params, x, axis_name):
        head = heads.MLP((4, 2), batch_norm_last=True, axis_name=axis_name)
        y, state = head.apply(
            {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        # The running averages enter the values, so that they are compared with their gradient.
        averages = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(state))
        return jnp.sum(jnp.sin(y), axis=-1) + averages

    got = parity.value_and_grad(fn, variables["params"], x, devices=devices, backend=backend)
    parity.assert_close(got, parity.unmapped(fn, variables["params"], x), tolerance=1e-4)


def test_errors():
    x = jnp.zeros((5, 3))
    with pytest.raises(ValueError, match=r"MLP: widths must name at least one layer; got \(\)"):
        jax.eval_shape(heads.MLP(()).init, jax.random.key(0), x)
    with pytest.raises(ValueError, match="MLP: activation must be one of 'relu', 'gelu'; got 'tan"):
        jax.eval_shape(heads.MLP((2,), activation="tanh").init, jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"MLP: dtype must be one of .* got 'half'"):
        jax.eval_shape(heads.MLP((2,), dtype="half").init, jax.random.key(0), x)
