"""DINOv2 against float64 loops over the tokens of its own networks."""

import dataclasses

import embedding_oracles
import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, losses, models, schedules
from jaxssl.methods.shared import hidden_crops, teacher

TINY = {"DINOv2": {"num_prototypes": 8, "patch_prototypes": 12}}
TINY_ENCODER = {"DINOv2": "ViTClass"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(4, steps_per_epoch=4, total_steps=12)
MODULE = tiny.ENCODERS["ViTClass"].build()
CONFIG = dataclasses.replace(
    tiny.method("DINOv2"),
    student_temperature=0.2,
    teacher_temperature=0.5,
    warmup_temperature=0.1,
    warmup_epochs=2.0,
    class_weight=0.5,
    patch_weight=2.0,
    koleo_weight=0.3,
)
SIZES = {"": (CONFIG.projector_dim, 8), "patch_": (CONFIG.patch_projector_dim, 12)}


@pytest.fixture(scope="module")
def made():
    """The method, views of six images, params that have left the teacher behind, and state."""
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(6)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 6)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.1 * random.normal(size=x.shape)), params)
    return method, views, params, state, jax.jit(method.loss)(params, state, views, KEY, CLOCK)


def scores(params, tokens, kind):
    """Cosines [..., M] of projected tokens with the prototypes of that kind."""
    dim, _ = SIZES[kind]
    projector = teacher.make_projector(MODULE, CONFIG.projector_width, dim)
    kernel = np.float64(params[f"{kind}prototypes"]["kernel"])
    kernel = kernel / np.linalg.norm(kernel, axis=0)
    rows = np.float64(jax.jit(projector.apply)({"params": params[f"{kind}projector"]}, tokens))
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True) @ kernel


def test_loss_is_the_weighted_sum_of_class_patches_and_koleo(made):
    _, views, params, state, (values, (_, metrics)) = made
    encode = lambda params, *x, **y: jax.jit(MODULE.apply)(  # noqa: E731
        {"params": params["encoder"]}, *x, **y
    )
    target, token = state["target"]["params"], params["mask_token"]["token"]
    hide = np.asarray(views["hide"])
    taught = [encode(target, views["global"][:, crop]) for crop in range(2)]
    learnt = [
        encode(params, views["global"][:, crop], hide=hide[:, crop], mask_token=token)
        for crop in range(2)
    ]
    local = [encode(params, views["local"][:, crop]) for crop in range(2)]

    balance = {"num_iterations": 3, "epsilon": 0.3}  # half-way from 0.1 to 0.5
    both = np.concatenate([scores(target, x.pooled, "") for x in taught])
    codes = embedding_oracles.sinkhorn(both, **balance).reshape(2, 6, 8)
    places = [(t, b, n) for t in range(2) for b in range(6) for n in np.flatnonzero(hide[b, t])]
    patch_scores = [scores(target, x.tokens, "patch_") for x in taught]
    patch_codes = embedding_oracles.sinkhorn(
        np.array([patch_scores[t][b, n] for t, b, n in places]), **balance
    )

    softmax = embedding_oracles.softmax
    students = [scores(params, x.pooled, "") for x in (*learnt, *local)]
    student_patches = [scores(params, x.tokens, "patch_") for x in learnt]
    of_class, of_patches, koleo = np.zeros((3, 6))
    for b in range(6):
        pairs = [(t, s) for t in range(2) for s in range(4) if s != t]
        prices = [-sum(codes[t, b] * np.log(softmax(students[s][b] / 0.2))) for t, s in pairs]
        of_class[b] = np.mean(prices)
        for x in learnt:
            rows = np.float64(x.pooled)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            nearest = min(np.linalg.norm(rows[b] - rows[c]) for c in range(6) if c != b)
            koleo[b] -= np.log(nearest + 1e-8)
    for (t, b, n), code in zip(places, patch_codes):
        price = -sum(code * np.log(softmax(student_patches[t][b, n] / 0.2)))
        of_patches[b] += price / hide[b, t].sum() / 2
    expected = 0.5 * of_class + 2 * of_patches + 0.3 * koleo
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    for name, part in (("class", of_class), ("patch", of_patches), ("koleo", koleo)):
        np.testing.assert_allclose(metrics[f"{name}_loss"], part.mean(), rtol=1e-4)
    assert hide.any(axis=2).any() and not hide.any(axis=2).all()  # both kinds of crops are there


def test_the_teacher_has_both_heads_but_no_mask_token_and_is_evaluated(made):
    method, _, params, state, _ = made
    assert state["target"]["params"].keys() == params.keys() - {"mask_token"}
    assert {"patch_projector", "patch_prototypes"} < params.keys()
    exported = method.encoder(params, state)["params"]
    jax.tree.map(np.testing.assert_array_equal, exported, state["target"]["params"]["encoder"])


def test_both_kinds_of_prototypes_wait_for_an_epoch(made):
    method, _, params, _, _ = made
    for steps, waits in ((3, {"prototypes", "patch_prototypes"}), (4, set())):
        clock = schedules.clock_at(steps, steps_per_epoch=4, total_steps=12)
        frozen = method.frozen(params, clock)
        assert {name for name in frozen if any(jax.tree.leaves(frozen[name]))} == waits


def test_the_momentum_goes_from_one_to_the_other(made):
    _, _, params, state, _ = made
    for progress, momentum in ((0, 0.5), (1, 0.7)):
        config = dataclasses.replace(CONFIG, teacher_momentum=0.5, final_momentum=0.7)
        method = config.build(MODULE, axis_name=None)
        clock = schedules.clock_at(4 * progress, steps_per_epoch=4, total_steps=4)
        moved = method.advance(params, state, clock)["target"]["params"]["prototypes"]["kernel"]
        old, new = (x["prototypes"]["kernel"] for x in (state["target"]["params"], params))
        np.testing.assert_allclose(moved, momentum * old + (1 - momentum) * new, rtol=1e-5)


def test_first_hidden_finds_all_that_is_hidden():
    hide = np.random.default_rng(0).random((3, 2, 10)) < 0.3
    indices, is_hidden = hidden_crops.first_hidden(hide, 6)
    for row, each, whether in zip(hide.reshape(6, 10), indices, is_hidden, strict=True):
        assert row.sum() <= 6
        np.testing.assert_array_equal(np.sort(each[whether]), np.flatnonzero(row))
        np.testing.assert_array_equal(row[each], whether)


def test_hidden_cross_entropy_of_a_teachers_answers_is_ibots_loss():
    random = np.random.default_rng(0)
    student, taught = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    center, mask = random.normal(size=5).astype(np.float32), random.random((3, 4)) < 0.5
    got = losses.hidden_cross_entropy(
        student, jax.nn.softmax((taught - center) / 0.6), mask, temperature=0.3
    )
    expected = losses.ibot(
        student, taught, mask, center=center, student_temperature=0.3, teacher_temperature=0.6
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "DINOv2: the encoder must be a ViT, which can have p"),
        (
            {},
            tiny.ENCODERS["ViT"],
            "DINOv2: the encoder must have a class token, pool 'class'",
        ),
        ({"mask_ratio": (0.1, 1.5)}, MODULE.config, r"DINOv2: mask_ratio must be in \[0, 1\]; got"),
        (
            {"koleo_weight": -1.0},
            MODULE.config,
            "DINOv2: koleo_weight must be at least 0; got -1",
        ),
        ({"num_iterations": 0}, MODULE.config, "DINOv2: num_iterations must be at least 1; got 0"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
