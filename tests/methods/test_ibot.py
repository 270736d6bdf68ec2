"""iBOT against float64 loops over the tokens of its own networks."""

import dataclasses
import functools
import math

import embedding_oracles
import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, losses, models, schedules
from jaxssl.methods.shared import hidden_crops, teacher

TINY = {"IBOT": {"num_prototypes": 8}}
TINY_ENCODER = {"IBOT": "ViTClass"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(4, steps_per_epoch=4, total_steps=12)
MODULE = tiny.ENCODERS["ViTClass"].build()
CONFIG = dataclasses.replace(
    tiny.method("IBOT"),
    num_prototypes=6,
    student_temperature=0.2,
    teacher_temperature=0.5,
    patch_temperature=0.7,
    warmup_temperature=0.1,
    warmup_epochs=2.0,
    class_weight=0.5,
    patch_weight=2.0,
)


@pytest.fixture(scope="module")
def made():
    """The method, views of six images, params that have left the teacher behind, and state."""
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(6)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 6)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.1 * random.normal(size=x.shape)), params)
    for name in ("class_center", "patch_center"):
        state[name] = random.normal(size=6).astype(np.float32)
    return method, views, params, state, jax.jit(method.loss)(params, state, views, KEY, CLOCK)


def scores(params, images, **options):
    """Cosines of the class token [B, 6] and of the patches [B, N, 6] with the prototypes."""
    features = jax.jit(MODULE.apply)({"params": params["encoder"]}, images, **options)
    projector = teacher.make_projector(MODULE, CONFIG.projector_width, CONFIG.projector_dim)
    kernel = np.float64(params["prototypes"]["kernel"])
    kernel = kernel / np.linalg.norm(kernel, axis=0)
    found = []
    for tokens in (features.pooled, features.tokens):
        rows = np.float64(jax.jit(projector.apply)({"params": params["projector"]}, tokens))
        found.append(rows / np.linalg.norm(rows, axis=-1, keepdims=True) @ kernel)
    return found


def test_loss_is_the_weighted_sum_of_class_and_hidden_patches(made):
    _, views, params, state, (values, (_, metrics)) = made
    target, token = state["target"]["params"], params["mask_token"]["token"]
    taught = [scores(target, views["global"][:, crop]) for crop in range(2)]
    learnt = [
        scores(params, views["global"][:, crop], hide=views["hide"][:, crop], mask_token=token)
        for crop in range(2)
    ]
    local = [scores(params, views["local"][:, crop])[0] for crop in range(2)]
    softmax = embedding_oracles.softmax
    of_class, of_patches = np.zeros(6), np.zeros(6)
    for b in range(6):
        students = [learnt[0][0][b], learnt[1][0][b], local[0][b], local[1][b]]
        terms = []
        for t in range(2):
            p = softmax((taught[t][0][b] - np.float64(state["class_center"])) / 0.3)
            terms += [-sum(p * np.log(softmax(students[s] / 0.2))) for s in range(4) if s != t]
            hidden = np.flatnonzero(views["hide"][b, t])
            for n in hidden:
                p = softmax((taught[t][1][b, n] - np.float64(state["patch_center"])) / 0.4)
                price = -sum(p * np.log(softmax(learnt[t][1][b, n] / 0.2)))
                of_patches[b] += price / len(hidden) / 2
        of_class[b] = np.mean(terms)
    np.testing.assert_allclose(values, 0.5 * of_class + 2 * of_patches, rtol=1e-4)
    np.testing.assert_allclose(metrics["class_loss"], of_class.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["patch_loss"], of_patches.mean(), rtol=1e-4)
    hides = np.asarray(views["hide"]).any(axis=2)
    assert hides.any() and not hides.all()  # both kinds of crops are there


def test_both_centres_follow_the_teacher_on_whole_crops(made):
    _, views, _, state, (_, (new_state, _)) = made
    both = [scores(state["target"]["params"], views["global"][:, crop]) for crop in range(2)]
    for index, name in enumerate(("class_center", "patch_center")):
        mean = np.mean([part[index].reshape(-1, 6).mean(axis=0) for part in both], axis=0)
        expected = 0.9 * np.float64(state[name]) + 0.1 * mean
        np.testing.assert_allclose(new_state[name], expected, rtol=1e-4, atol=1e-6)


def test_the_teacher_has_no_mask_token_and_is_evaluated(made):
    method, _, params, state, _ = made
    assert state["target"]["params"].keys() == params.keys() - {"mask_token"}
    exported = method.encoder(params, state)["params"]
    jax.tree.map(np.testing.assert_array_equal, exported, state["target"]["params"]["encoder"])


def test_half_of_the_crops_are_whole_and_the_others_between_a_tenth_and_a_half():
    grid, config = (14, 14), type(CONFIG)()
    draw = functools.partial(
        hidden_crops.draw_hidden, grid=grid, prob=config.mask_prob, ratio=config.mask_ratio,
        min_patches=16,
    )  # fmt: skip
    hide = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 400))
    share = np.asarray(hide).mean(axis=1)
    assert abs((share == 0).mean() - 0.5) < 4 * math.sqrt(0.25 / 400)
    hidden = share[share > 0]
    assert 0.09 < hidden.min() < 0.15 and 0.45 < hidden.max() <= 0.5
    assert abs(hidden.mean() - 0.3) < 0.03


def test_ibot_loss_matches_the_loop():
    random = np.random.default_rng(0)
    student, taught = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    center = random.normal(size=5).astype(np.float32)
    mask = np.array([[1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]], bool)
    values = losses.ibot(
        student, taught, mask, center=center, student_temperature=0.3, teacher_temperature=0.6
    )
    softmax = embedding_oracles.softmax
    for b in range(3):
        total = 0.0
        for n in np.flatnonzero(mask[b]):
            p = softmax((np.float64(taught[b, n]) - center) / 0.6)
            total -= sum(p * np.log(softmax(np.float64(student[b, n]) / 0.3))) / mask[b].sum()
        np.testing.assert_allclose(values[b], total, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "IBOT: the encoder must be a ViT, which can have patc"),
        ({}, tiny.ENCODERS["ViT"], "IBOT: the encoder must have a class token, pool 'class'; got"),
        ({"mask_ratio": (0.1, 1.5)}, MODULE.config, r"IBOT: mask_ratio must be in \[0, 1\]; got"),
        (
            {"patch_temperature": 0.0},
            MODULE.config,
            "IBOT: patch_temperature must be finite and",
        ),
        ({"patch_weight": -1.0}, MODULE.config, "IBOT: patch_weight must be at least 0; got -1.0"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
