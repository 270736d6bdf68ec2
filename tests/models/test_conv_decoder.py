import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.models import conv_decoder

CODE = jax.random.normal(jax.random.key(0), (4, 6))


@pytest.mark.parametrize(
    "size, grid, num_doublings",
    [(1, 1, 0), (7, 7, 0), (8, 4, 1), (28, 7, 2), (30, 8, 2), (224, 7, 5)],
)
def test_the_grid_is_doubled_until_it_covers_the_image(size, grid, num_doublings):
    decoder = models.ConvDecoder(size=size, channels=3, width=2)
    output, variables = jax.eval_shape(
        lambda key: decoder.init_with_output(key, CODE), jax.random.key(1)
    )
    assert output.shape == (4, size, size, 3) and output.dtype == jnp.float32
    params = variables["params"]
    assert params["grid"]["kernel"].shape == (6, grid**2 * 2 * 2**num_doublings)
    convolutions = sorted(name for name in params if name.startswith("conv"))
    assert convolutions == [f"conv{n}" for n in range(1, num_doublings + 1)]
    if num_doublings:
        assert params[convolutions[-1]]["kernel"].shape == (3, 3, 4, 2)


@pytest.mark.parametrize("official", [False, True])
def test_evaluation_matches_the_loop(official):
    """One doubling, 5 x 5 to 10 x 10, cut to 9: sums over every cell by hand, in float64.

    The official context encoder's code passes BatchNorm and a leaky ReLU, its prediction a tanh.
    """
    decoder = models.ConvDecoder(
        size=9, channels=2, width=1, bottleneck_dim=2, activated=official, bounded=official
    )
    variables = jax.jit(decoder.init)(jax.random.key(1), CODE[:1])
    generator = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(generator.uniform(0.1, 1, leaf.shape), jnp.float32), variables
    )
    if official:  # one number of the code falls on either side of the ReLU's kink
        variables["params"]["bottleneck_norm"]["bias"] = jnp.array([-9.0, 9.0])
        variables["params"]["prediction"]["kernel"] /= 300  # tanh would be 1 everywhere
    got = jax.jit(decoder.apply)(variables, CODE[:1])[0]
    params, statistics = (
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables[name])
        for name in ("params", "batch_stats")
    )

    def normalized(x, name):
        centred = x - statistics[name]["mean"]
        scaled = centred / np.sqrt(statistics[name]["var"] + 1e-5)
        return scaled * params[name]["scale"] + params[name]["bias"]

    def activated(x, name):
        return np.maximum(0, normalized(x, name))

    def convolved(x, kernel):
        result = np.zeros((*x.shape[:2], kernel.shape[-1]))
        for row, column, down, right in np.ndindex(*x.shape[:2], 3, 3):
            source = (row + down - 1, column + right - 1)
            if 0 <= source[0] < len(x) and 0 <= source[1] < len(x):
                result[row, column] += x[source] @ kernel[down, right]
        return result

    code = np.asarray(CODE[0], np.float64) @ params["bottleneck"]["kernel"]
    if official:
        code = normalized(code, "bottleneck_norm")
        assert code[0] < 0 < code[1]
        code = np.array([number if number > 0 else 0.2 * number for number in code])
    else:
        code += params["bottleneck"]["bias"]
    x = activated((code @ params["grid"]["kernel"]).reshape(5, 5, 2), "grid_norm")
    doubled = np.zeros((10, 10, 2))
    for row, column in np.ndindex(10, 10):
        doubled[row, column] = x[row // 2, column // 2]
    x = activated(convolved(doubled, params["conv1"]["kernel"]), "norm1")
    x = convolved(x, params["prediction"]["kernel"]) + params["prediction"]["bias"]
    if official:
        x = np.tanh(x)
        assert 0.1 < np.abs(x).min() and np.abs(x).max() < 0.95
    np.testing.assert_allclose(got, x[:9, :9], rtol=1e-4, atol=1e-5)


def test_training_updates_the_statistics_of_every_normalisation():
    decoder = models.ConvDecoder(
        size=8, channels=1, width=2, bottleneck_dim=3, activated=True, bounded=True
    )
    variables = jax.jit(decoder.init)(jax.random.key(1), CODE)
    apply = jax.jit(lambda *args: decoder.apply(*args, train=True, mutable=["batch_stats"]))
    prediction, updated = apply(variables, 100 * CODE)
    assert np.abs(prediction).max() <= 1
    assert updated["batch_stats"].keys() == {"bottleneck_norm", "grid_norm", "norm1"}
    for name, statistics in updated["batch_stats"].items():
        assert np.any(statistics["mean"] != variables["batch_stats"][name]["mean"])


@pytest.mark.parametrize(
    "fields, code, message",
    [
        ({"size": 0}, CODE, r"ConvDecoder: size must be at least 1; got 0\."),
        ({"bottleneck_dim": 0}, CODE, r"ConvDecoder: bottleneck_dim must be at least 1; got 0\."),
        (
            {"activated": True},
            CODE,
            r"ConvDecoder: activated needs a bottleneck to follow; got bottleneck_dim None\. Give",
        ),
        ({"dtype": "float16"}, CODE, r"ConvDecoder: dtype must be one of 'float32', 'bfloat16'"),
        ({}, CODE[:, None], r"ConvDecoder: code must be \[B, D\]; got shape \(4, 1, 6\)\. Pool"),
    ],
)
def test_what_does_not_fit_is_named(fields, code, message):
    decoder = conv_decoder.ConvDecoder(**{"size": 8, "channels": 1, **fields})
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(decoder.init, jax.random.key(1), code)
