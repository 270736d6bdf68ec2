"""MoCo v1, v2 and v3 against loops in float64; what momentum encoder and queue must hold."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxssl import methods, schedules, types
from jaxssl.models import layers
from jaxssl.training import freezing
from jaxssl.training import step as training_step

TINY = {"MoCoV1": {"queue_size": 24}, "MoCoV2": {"queue_size": 24}}

BATCH_SIZE = 4
SIZE = 4
CLOCK = schedules.clock_at(2, steps_per_epoch=4, total_steps=8)
KEY = jax.random.key(0)


@dataclasses.dataclass(frozen=True)
class FlatConfig:
    dtype: str = "float32"


class Flat(nn.Module):
    """An encoder of one matrix and batch norm, which a loop can follow."""

    config: FlatConfig = FlatConfig()
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.Dense(6, use_bias=False, name="map")(images.reshape(len(images), -1))
        x = layers.batch_norm(
            x, train=train, axis_name=self.axis_name, dtype="float32", name="norm"
        )
        return types.Features(x, x[:, None], (x,))


def config_of(name, **changes):
    return dataclasses.replace(tiny.method(name), **changes)


def views_of(seed):
    images = np.random.default_rng(seed).uniform(size=(2, BATCH_SIZE, SIZE, SIZE, 1))
    view_a, view_b = images.astype(np.float32)
    return {"a": view_a, "b": view_b}


def moved(params, seed):
    """Parameters after a step of any optimizer."""
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype(np.float32), params
    )


# What the builder's heads of two and three layers learn.
LAYERS = {
    2: {"layer1", "norm1", "layer2"},
    3: {"layer1", "norm1", "layer2", "norm2", "layer3"},
}


def two_steps(config):
    """What came in and out of two steps, in float64: (params, state, views, values, next state)."""
    method = config.build(Flat(), axis_name=None)
    loss, advance = jax.jit(method.loss), jax.jit(method.advance)
    params, state = method.init(KEY, views_of(0))
    steps = []
    for seed in (1, 2):
        views = views_of(seed)
        before = params, state
        values, (state, _) = loss(*before, views, KEY, CLOCK)
        params = moved(params, seed)
        state = advance(params, state, CLOCK)
        after = *before, views, values, params, state
        steps.append(jax.tree.map(lambda x: np.asarray(x, np.float64), after))
    return steps


def normalised(x, state, params, *, running):
    """Batch norm of [B, D], and its running statistics afterwards."""
    mean, var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for d in range(x.shape[1]):
        mean[d] = sum(x[:, d]) / len(x)
        var[d] = sum((x[:, d] - mean[d]) ** 2) / len(x)
    if running:
        mean, var, after = state["mean"], state["var"], state
    else:
        after = {
            "mean": 0.9 * state["mean"] + 0.1 * mean,
            "var": 0.9 * state["var"] + 0.1 * var,
        }
    out = (x - mean) / np.sqrt(var + 1e-5)
    if params is not None:  # without scale and bias
        out = out * params["scale"] + params["bias"]
    return out, after


def encoded(images, params, state, *, running=False):
    x = images.reshape(len(images), -1) @ params["encoder"]["map"]["kernel"]
    norm = state["encoder"]["batch_stats"]["norm"]
    return normalised(x, norm, params["encoder"]["norm"], running=running)


def projected(x, params):
    """The projector of v1 and v2."""
    for index in range(1, len(params) + 1):
        layer = params[f"layer{index}"]
        x = x @ layer["kernel"] + layer["bias"]
        if index < len(params):
            x = np.maximum(x, 0)
    return x


def headed(x, params, *, num_layers, last_bn):
    """``_build_mlp`` of the authors' moco/builder.py in training mode: linear maps without bias."""
    assert params.keys() == LAYERS[num_layers]
    for index in range(1, num_layers + 1):
        layer, norm = params[f"layer{index}"], params.get(f"norm{index}")
        assert layer.keys() == {"kernel"}
        x = x @ layer["kernel"]
        if index < num_layers:
            x = (x - x.mean(0)) / np.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-5)
            x = np.maximum(x * norm["scale"] + norm["bias"], 0)
        elif last_bn:  # affine=False
            x = (x - x.mean(0)) / np.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-5)
    return x


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def price(query, positive, negatives, temperature):
    """-log softmax of the positive, of one query."""
    scores = [query @ positive / temperature] + [query @ n / temperature for n in negatives]
    return np.log(sum(np.exp(score) for score in scores)) - scores[0]


def assert_trees_close(got, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), got, expected)


@pytest.mark.parametrize(
    "name, key_statistics, queue_size",
    [("MoCoV1", "moving", 6), ("MoCoV2", "batch", 6), ("MoCoV2", "moving", 3)],
)
def test_two_steps_with_a_queue_are_those_of_a_loop(name, key_statistics, queue_size):
    """Values, queue and momentum encoder; a queue may be smaller than the batch."""
    config = config_of(
        name,
        key_statistics=key_statistics,
        queue_size=queue_size,
        target_momentum=0.7,
        temperature=0.3,
    )
    moving = key_statistics == "moving"
    for params, state, views, values, new_params, new_state in two_steps(config):
        target = state["target"]
        features, online_norm = encoded(views["a"], params, state)
        query = unit(projected(features, params["projector"]))
        features, target_norm = encoded(
            views["b"], target["params"], target["state"], running=moving
        )
        keys = unit(projected(features, target["params"]["projector"]))
        # The negatives are the queue as it was: no key of this batch is among them.
        expected = [price(*pair, state["queue"], 0.3) for pair in zip(query, keys)]
        np.testing.assert_allclose(values, expected, rtol=1e-5)

        # Newest first, in the order of the batch.
        rows = [*keys, *state["queue"]][:queue_size]
        np.testing.assert_allclose(new_state["queue"], rows, atol=2e-6)

        assert_trees_close(new_state["encoder"]["batch_stats"]["norm"], online_norm)
        kept = {part: new_params[part] for part in ("encoder", "projector")}
        assert_trees_close(
            new_state["target"]["params"],
            jax.tree.map(lambda old, new: 0.7 * old + 0.3 * new, target["params"], kept),
        )
        if moving:  # at step 2, the momentum that has risen to 3 / 12
            target_norm = jax.tree.map(
                lambda old, new: 0.25 * old + 0.75 * new, target_norm, online_norm
            )
        assert_trees_close(
            new_state["target"]["state"]["encoder"]["batch_stats"]["norm"], target_norm
        )


def test_two_steps_of_v3_are_those_of_a_loop():
    """Symmetric, scaled by 2 T, against the other keys of the batch; momentum along a cosine.

    The heads are those of the builder's MoCo_ResNet: the predictor ends without batch norm.
    """
    config = config_of("MoCoV3", target_momentum=0.6, temperature=0.4)
    momentum = 1 - 0.4 * (1 + np.cos(np.pi * 2 / 8)) / 2
    for params, state, views, values, new_params, new_state in two_steps(config):
        target, queries, keys = state["target"], {}, {}
        for view, images in views.items():
            features, _ = encoded(images, params, state)
            projection = headed(features, params["projector"], num_layers=2, last_bn=True)
            prediction = headed(projection, params["predictor"], num_layers=2, last_bn=False)
            queries[view] = unit(prediction)
            features, _ = encoded(images, target["params"], target["state"])
            projector = target["params"]["projector"]
            keys[view] = unit(headed(features, projector, num_layers=2, last_bn=True))
        for i in range(BATCH_SIZE):
            expected = 0.0
            for own, other in (("a", "b"), ("b", "a")):
                negatives = [keys[other][j] for j in range(BATCH_SIZE) if j != i]
                expected += price(queries[own][i], keys[other][i], negatives, 0.4)
            np.testing.assert_allclose(values[i], 2 * 0.4 * expected, rtol=1e-4)
        kept = {part: new_params[part] for part in ("encoder", "projector")}
        assert_trees_close(
            new_state["target"]["params"],
            jax.tree.map(
                lambda old, new: momentum * old + (1 - momentum) * new, target["params"], kept
            ),
        )


@pytest.mark.parametrize("name", ["MoCoV1", "MoCoV3"])
def test_no_gradient_flows_into_the_momentum_encoder(name):
    method = config_of(name).build(Flat(), axis_name=None)
    params, state = method.init(KEY, views_of(0))

    def objective(target_params):
        target = state["target"] | {"params": target_params}
        return method.loss(params, state | {"target": target}, views_of(1), KEY, CLOCK)[0].mean()

    gradients = jax.jit(jax.grad(objective))(moved(state["target"]["params"], 3))
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradients))


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_the_patch_embedding_of_a_vit_stays_as_it_was():
    """In spite of weight decay, and so does the momentum encoder's; everything else moves."""
    encoder = dataclasses.replace(tiny.ENCODERS["ViT"], depth=1).build()
    method = config_of("MoCoV3").build(encoder, axis_name=None)
    optimizer = optax.chain(
        freezing.scale_by_adam(), optax.add_decayed_weights(0.1), optax.scale_by_learning_rate(0.01)
    )
    batch = {"image": tiny.images(2), "index": np.arange(2)}

    def both():
        before = training_step.init_state(method, optimizer, batch, seed=0)
        return before, training_step.make_step(method, optimizer, seed=0)(before, batch)[0]

    before, after = jax.jit(both)()
    for path, leaf in jax.tree_util.tree_leaves_with_path(before.params["encoder"]):
        is_embedding = path[0].key == "patch_embedding"
        for tree in (after.params, after.state["target"]["params"]):
            new = tree["encoder"]
            for entry in path:
                new = new[entry.key]
            assert np.array_equal(new, leaf) == is_embedding, path


def test_nothing_else_is_frozen():
    """Neither an encoder without patches, nor a patch embedding that shall be trained."""
    vit = tiny.ENCODERS["ViT"].build()
    assert config_of("MoCoV3").build(Flat(), axis_name=None).frozen is None
    config = config_of("MoCoV3", freeze_patch_embedding=False)
    assert config.build(vit, axis_name=None).frozen is None


@pytest.mark.parametrize(
    ("encoder", "num_layers", "predictor_norms"),
    [(tiny.ENCODERS["ViT"].build(), 3, {"norm1", "norm2"}), (Flat(), 2, {"norm1"})],
    ids=["MoCo_ViT", "MoCo_ResNet"],
)
def test_the_heads_of_v3_are_those_of_the_authors_builder(encoder, num_layers, predictor_norms):
    """On a ViT the projector has a layer more, and the predictor's last layer a batch norm."""
    init = config_of("MoCoV3").build(encoder, axis_name=None).init
    views = jax.tree.map(lambda x: jnp.zeros((2, 16, 16, 3)), {"a": 0, "b": 0})
    params, state = jax.eval_shape(init, KEY, views)
    assert params["projector"].keys() == LAYERS[num_layers]
    assert params["predictor"].keys() == LAYERS[2]
    norms = {f"norm{index}" for index in range(1, num_layers + 1)}
    assert state["projector"]["batch_stats"].keys() == norms
    assert state["predictor"]["batch_stats"].keys() == predictor_norms
    for head in (params["projector"], params["predictor"]):
        assert all(head[name].keys() == {"kernel"} for name in head if name.startswith("layer"))


@pytest.mark.parametrize(
    "name, fields, message",
    [
        ("MoCoV1", {"queue_size": 0}, r"MoCoV1: queue_size must be at least 1; got 0\."),
        ("MoCoV2", {"temperature": 0.0}, r"MoCoV2: temperature must be .* above 0; got 0\.0\."),
        ("MoCoV2", {"target_momentum": 1.5}, r"MoCoV2: target_momentum must be in \[0, 1\]; got"),
        ("MoCoV1", {"key_statistics": "none"}, r"MoCoV1: key_statistics must be one of 'moving', "),
        ("MoCoV3", {"temperature": -1.0}, r"MoCoV3: temperature must be .* above 0; got -1\.0\."),
        ("MoCoV3", {"target_momentum": -0.1}, r"MoCoV3: target_momentum must be in \[0, 1\]; got"),
    ],
)
def test_wrong_numbers_are_refused(name, fields, message):
    with pytest.raises(ValueError, match=message):
        methods.all_configs()[name](**fields)
