import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import towers


@pytest.fixture(scope="module")
def head():
    module = towers.Towers(width=5, num_classes=7)
    features = jax.random.normal(jax.random.key(1), (4, 9, 6))
    return module, features, jax.jit(module.init)(jax.random.key(0), features)


def test_towers_are_those_of_the_formula(head):
    module, features, variables = head
    variables = jax.tree.map(
        lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(2), leaf.shape) ** 2, variables
    )
    params, stats = (
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables[name])
        for name in ("params", "batch_stats")
    )
    tower, norm = params["tower"], stats["tower"]["norm1"]
    classifier = params["classifier"]["layer1"]
    for example, got in zip(np.asarray(features, np.float64), module.apply(variables, features)):
        together = []
        for tile in example:
            y = tile @ tower["layer1"]["kernel"]
            y = (y - norm["mean"]) / np.sqrt(norm["var"] + 1e-5)
            together.extend(np.maximum(y * tower["norm1"]["scale"] + tower["norm1"]["bias"], 0))
        expected = np.array(together) @ classifier["kernel"] + classifier["bias"]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_all_tiles_share_a_tower_and_the_classifier_tells_them_apart(head):
    _, _, variables = head
    shapes = jax.tree.map(lambda leaf: leaf.shape, variables["params"])
    assert shapes["tower"]["layer1"] == {"kernel": (6, 5)}
    assert shapes["classifier"]["layer1"] == {"kernel": (45, 7), "bias": (7,)}


def test_batch_norm_counts_every_tile_as_an_example(head):
    module, features, variables = head
    _, updated = module.apply(variables, features, train=True, mutable=["batch_stats"])
    y = np.asarray(features).reshape(-1, 6) @ variables["params"]["tower"]["layer1"]["kernel"]
    mean = updated["batch_stats"]["tower"]["norm1"]["mean"]
    np.testing.assert_allclose(mean, 0.1 * y.mean(axis=0), atol=1e-6)


def test_bfloat16_gives_float32_logits(head):
    _, features, variables = head
    module = towers.Towers(width=5, num_classes=7, dtype="bfloat16")
    assert module.apply(variables, features).dtype == jnp.float32


def test_features_without_an_axis_of_tiles_are_refused(head):
    module, features, variables = head
    with pytest.raises(
        ValueError, match=r"Towers: features must be \[B, V, D\]; got shape \(4, 6\)"
    ):
        module.apply(variables, features[:, 0])
