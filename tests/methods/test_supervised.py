"""The method whose label is the data set's: loss, mixing on several devices, averaged weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxssl import data, losses, parallel, schedules
from jaxssl.augment import mixing, policies
from jaxssl.runs import pretrain
from jaxssl.training import step as training_step

ENCODER = tiny.ENCODERS["ViT"]
BATCH = tiny.batch("ViT", labelled=True)
PLAIN = tiny.method("Supervised")
EVERYTHING = dataclasses.replace(
    PLAIN,
    augment=dataclasses.replace(PLAIN.augment, jitter_prob=0.8),
    rand_augment=policies.RandAugment(num_operations=2),
    label_smoothing=0.1,
    mixup=0.8,
    cutmix=1.0,
    drop_path=0.3,
    ema_momentum=0.9,
)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)


def built(config, axis_name=None):
    return config.build(ENCODER.build(axis_name=axis_name), axis_name=axis_name)


@pytest.fixture(scope="module")
def begun():
    """Of everything at once: the method, its state on the host, and a step on one device."""
    method, optimizer = built(EVERYTHING), optax.sgd(0.05)
    state = jax.jit(lambda: training_step.init_state(method, optimizer, BATCH, seed=5))()
    step = training_step.make_step(method, optimizer, seed=5, total_steps=4)
    return jax.device_get((state, *jax.jit(step)(state, BATCH)))


@pytest.mark.parametrize("devices", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_step_of_everything_is_that_of_one_device(devices, begun):
    state, expected, expected_metrics = begun
    method = built(EVERYTHING, "data")
    step = training_step.make_step(method, optax.sgd(0.05), seed=5, total_steps=4, axis_name="data")
    mesh = parallel.mesh(axis_name="data", devices=jax.devices()[:devices])
    run = jax.shard_map(step, mesh=mesh, in_specs=(jax.P(), jax.P("data")), out_specs=jax.P())
    got, metrics = jax.jit(run)(state, BATCH)
    np.testing.assert_allclose(metrics["loss"], expected_metrics["loss"], rtol=1e-5)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1, np.abs(b).max()))


def test_the_average_moves_and_is_what_evaluation_reads(begun):
    _, after, _ = begun
    target = after.state["target"]["params"]
    method = built(EVERYTHING)
    exported = method.encoder(after.params, after.state)
    jax.tree.map(np.testing.assert_array_equal, exported["params"], target["encoder"])
    views = {"image": np.float32(BATCH["image"]) / 255, "label": BATCH["label"]}
    averaged = {"encoder": {}, "head": {}}
    np.testing.assert_array_equal(
        jax.jit(method.answer)(after.params, after.state, views),
        jax.jit(built(PLAIN).answer)(target, averaged, views),
    )
    assert np.any(target["head"]["layer1"]["kernel"] != after.params["head"]["layer1"]["kernel"])


def test_a_mixed_image_pays_by_its_share_for_the_label_of_the_mirrored_position():
    config = dataclasses.replace(PLAIN, mixup=0.8, cutmix=1.0)
    method = built(config)
    views, params, state = tiny.begun(method, BATCH, jax.random.key(0))
    values, _ = jax.jit(method.loss)(params, state, views, None, CLOCK)
    images, shares = mixing.apply(views["image"], views["image"][::-1], views["mix"])
    logits = jax.jit(built(PLAIN).answer)(params, state, {"image": images})
    labels = views["label"]
    own = losses.cross_entropy(logits, labels)
    theirs = losses.cross_entropy(logits, labels[::-1])
    np.testing.assert_allclose(values, shares * own + (1 - shares) * theirs, rtol=1e-5)
    assert 0 < shares.min() and shares.max() <= 1 and len(np.unique(shares)) > 8


@pytest.mark.parametrize("name", ["ViTClass", pytest.param("ResNet", marks=pytest.mark.slow)])
def test_with_a_grid_the_head_reads_the_means_of_cells_of_normalised_tokens(name):
    encoder = tiny.ENCODERS[name].build()
    method = dataclasses.replace(PLAIN, grid=2).build(encoder, axis_name=None)
    views, params, state = tiny.begun(method, tiny.batch(name, labelled=True), jax.random.key(0))
    # Off their first values, so that a token before the norm and one after it differ.
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    variables = {"params": params["encoder"], **state["encoder"]}
    tokens = np.asarray(encoder.apply(variables, views["image"], train=False).tokens, np.float64)
    side = round(tokens.shape[1] ** 0.5)
    maps = tokens.reshape(len(tokens), side, side, -1)
    half = side // 2
    assert side == 2 * half
    rows = slice(0, half), slice(half, side)
    cells = [maps[:, row, column].mean((1, 2)) for row in rows for column in rows]
    head = params["head"]["layer1"]
    assert head["kernel"].shape[0] == 4 * tokens.shape[2]
    kernel, bias = (np.asarray(head[each], np.float64) for each in ("kernel", "bias"))
    logits = np.concatenate(cells, -1) @ kernel + bias
    answers = jax.jit(method.answer)(params, state, views)
    np.testing.assert_allclose(answers, logits, rtol=1e-4, atol=1e-4)


def test_a_grid_has_no_more_cells_than_the_map():
    method = built(dataclasses.replace(PLAIN, grid=9))
    message = r"Supervised: grid must be in \[1, \d\]; got 9\. The encoder's map has no more"
    with pytest.raises(ValueError, match=message):
        tiny.begun(method, BATCH, jax.random.key(0))
    with pytest.raises(ValueError, match="Supervised: grid must be at least 1; got 0"):
        dataclasses.replace(PLAIN, grid=0)


def test_of_two_classes_at_least():
    with pytest.raises(ValueError, match=r"at least two classes; got 1: only\. A run takes"):
        built(PLAIN.with_classes(("only",)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "Supervised: the training split must be labelled; got arrays without labels"),
        ([0, 1, -1, 0], "every training example must have a class; got labels of -1 in arrays"),
    ],
)
def test_every_example_must_have_a_label(labels, message):
    labels = None if labels is None else np.array(labels)
    with pytest.raises(ValueError, match=message):
        pretrain.prepare(PLAIN, data.from_arrays(tiny.images(4), labels))


def test_classes_are_named_by_the_data_set():
    source = data.from_arrays(tiny.images(2), np.array([1, 0]), class_names=("cat", "dog"))
    assert pretrain.prepare(PLAIN, source).class_names == ("cat", "dog")


def test_stochastic_depth_takes_a_vit():
    config = dataclasses.replace(PLAIN, drop_path=0.1)
    with pytest.raises(ValueError, match="Supervised: drop_path must be 0 where the encoder is no"):
        config.build(tiny.ENCODERS["Small"].build(), axis_name=None)


def test_a_batch_holds_labels_for_who_asks():
    source = data.from_arrays(tiny.images(), BATCH["label"])
    for of in (source, data.take(source, np.arange(16))):
        with data.Loader(of, batch_size=8, seed=0, labels=True) as loader:
            batch = loader.batch(1)
        np.testing.assert_array_equal(batch["label"], BATCH["label"][batch["index"]])
        assert batch["label"].dtype == np.int32


def test_values_are_float32_of_any_label_type():
    method = built(PLAIN)
    views, params, state = tiny.begun(method, BATCH, jax.random.key(0))
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, None, CLOCK)
    assert values.dtype == jnp.float32 and 0 <= metrics["accuracy"] <= 1
