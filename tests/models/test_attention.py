"""Attention, the order it is told and the two hidden layers, against float64 loops."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import initialization, rotary, transformer, vit

KEY = jax.random.key(0)
TINY = vit.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4)
ROWS, COLUMNS, HEADS, DIM = 2, 3, 2, 8  # of a head
PREFIX = np.array([1, 4])


def _random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _noise(module, *inputs, **options):
    """Parameters of noise, so that none hides behind its initial zero or one."""
    shapes = jax.eval_shape(lambda: module.init(KEY, *inputs, **options))
    random = np.random.default_rng(2)
    return jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(x.dtype), shapes)


def _turned(vector, row, column):
    """A head's features at a patch, turned by a rotation matrix for each pair of them."""
    result = np.float64(vector)
    for i in range(DIM // 2):
        period = 100 ** (4 * (i % (DIM // 4)) / DIM)
        place = (row + 0.5) / ROWS if i < DIM // 4 else (column + 0.5) / COLUMNS
        angle = 2 * math.pi * (2 * place - 1) / period
        matrix = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        pair = [i, i + DIM // 2]
        result[pair] = np.array(matrix) @ result[pair]
    return result


def _attend(params, x, sees, num_extra=None):
    """Attention of one image [N, D]: token by token, each over what ``sees(n, m)`` lets it."""
    params = jax.tree.map(np.float64, params)
    q, k, v = np.split(np.float64(x) @ params["qkv"]["kernel"] + params["qkv"]["bias"], 3, axis=-1)
    mixed = np.zeros(x.shape)
    for head in range(HEADS):
        part = slice(head * DIM, (head + 1) * DIM)
        queries, keys = ([row[part] for row in each] for each in (q, k))
        if num_extra is not None:
            for n in range(num_extra, len(x)):
                place = divmod(n - num_extra, COLUMNS)
                queries[n], keys[n] = _turned(queries[n], *place), _turned(keys[n], *place)
        for n in range(len(x)):
            seen = [m for m in range(len(x)) if sees(n, m)]
            weights = np.array([math.exp(queries[n] @ keys[m] / math.sqrt(DIM)) for m in seen])
            mixed[n, part] = weights / weights.sum() @ v[seen][:, part]
    return mixed @ params["proj"]["kernel"] + params["proj"]["bias"]


def _rotation(num_extra=0):
    angles = jnp.asarray(rotary.patch_angles(ROWS, COLUMNS, DIM))[None]
    return rotary.rotation(angles, num_extra)


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("kind", ["all", "causal", "prefix", "rope", "prefix_and_rope"])
def test_attention_matches_the_loop(kind, library):
    num_extra = 2
    x = _random((2, num_extra + ROWS * COLUMNS, HEADS * DIM))
    module = transformer.Attention(HEADS, causal=kind == "causal", library=library)
    mask = transformer.prefix_mask(x.shape[1], num_extra + PREFIX) if "prefix" in kind else None
    order = transformer.Order(mask, _rotation(num_extra) if "rope" in kind else None)
    variables = _noise(module, x)
    got = jax.jit(module.apply)(variables, x, order)
    for b in range(2):
        sees = {
            "causal": lambda n, m: m <= n,
            "prefix": lambda n, m, b=b: m <= n or m < num_extra + PREFIX[b],
        }.get(kind.removesuffix("_and_rope"), lambda n, m: True)
        turned_from = num_extra if "rope" in kind else None
        want = _attend(variables["params"], x[b], sees, turned_from)
        np.testing.assert_allclose(got[b], want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 1e-2)])
def test_library_attention_has_the_gradient_of_the_plain_form(dtype, tolerance):
    x, order = _random((2, 6, 16)), transformer.Order(transformer.prefix_mask(6, PREFIX))

    def gradient(library):
        module = transformer.Attention(HEADS, dtype, library=library)
        variables = _noise(module, x)
        loss = lambda v, x: jnp.sum(module.apply(v, x, order).astype(jnp.float32) ** 2)  # noqa: E731
        return jax.tree.leaves(jax.jit(jax.grad(loss, argnums=(0, 1)))(variables, x))

    with jax.numpy_dtype_promotion("standard"):  # the library's own bfloat16 asks for it
        found = gradient(True)
    for a, b in zip(gradient(False), found, strict=True):
        np.testing.assert_allclose(a, b, rtol=10 * tolerance, atol=tolerance * np.abs(a).max())


def test_turned_products_depend_on_the_distance_of_two_patches_alone():
    q, k = _random((2, DIM))
    turned = [
        rotary.rotate(jnp.tile(x[None, None, None], (1, ROWS * COLUMNS, 1, 1)), _rotation())
        for x in (q, k)
    ]
    products = np.einsum("nd,md->nm", *(np.asarray(x)[0, :, 0] for x in turned))
    at = products.reshape(ROWS, COLUMNS, ROWS, COLUMNS)
    np.testing.assert_allclose(at[0, 0, 0, 1], at[1, 1, 1, 2], rtol=1e-4)
    np.testing.assert_allclose(at[0, 0, 1, 1], at[0, 1, 1, 2], rtol=1e-4)
    assert abs(at[0, 0, 0, 1] - at[0, 1, 0, 0]) > 1e-3  # left is not right
    assert abs(at[0, 0, 0, 1] - at[0, 0, 1, 0]) > 1e-3  # nor below


def test_angles_span_the_same_range_on_any_grid():
    small, large = (rotary.patch_angles(side, side, 4) for side in (1, 4))
    np.testing.assert_array_equal(small, np.zeros((1, 2)))
    np.testing.assert_allclose(large[[0, -1]], 2 * np.pi * np.array([[-0.75] * 2, [0.75] * 2]))


def test_rotation_is_computed_in_float32_and_returned_as_it_came():
    x = jnp.asarray(_random((1, 6, HEADS, DIM)), jnp.bfloat16)
    got = rotary.rotate(x, _rotation())
    assert got.dtype == jnp.bfloat16
    want = rotary.rotate(x.astype(jnp.float32), _rotation()).astype(jnp.bfloat16)
    np.testing.assert_array_equal(np.float32(got), np.float32(want))


def test_swiglu_matches_the_loop_and_has_the_published_width():
    x = _random((1, 3, 16))
    module = transformer.Block(HEADS, swiglu=True)
    variables = _noise(module, x)
    params = jax.tree.map(np.float64, variables["params"])
    assert params["mlp_in"]["kernel"].shape == (16, 2 * 48)  # 8 · 16 / 3 = 42.7
    assert params["mlp_out"]["kernel"].shape == (48, 16)

    def norm(x, p):
        centred = x - x.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]
        )

    y = np.float64(x[0])
    y = y + _attend(params["attention"], norm(y, params["norm1"]), lambda n, m: True)
    hidden = norm(y, params["norm2"]) @ params["mlp_in"]["kernel"] + params["mlp_in"]["bias"]
    gate, value = hidden[:, :48], hidden[:, 48:]
    product = gate / (1 + np.exp(-gate)) * value
    want = y + product @ params["mlp_out"]["kernel"] + params["mlp_out"]["bias"]
    got = jax.jit(module.apply)(variables, x)
    np.testing.assert_allclose(got[0], want, rtol=1e-4, atol=1e-4)


ALL_OPTIONS = dataclasses.replace(
    TINY, position="rope", mlp="swiglu", library_attention=True, num_registers=1
)


def test_options_work_together_in_a_scan_in_value_and_gradient():
    images = jax.random.uniform(KEY, (2, 12, 8, 3))
    params = _noise(ALL_OPTIONS.build(), images)["params"]

    def run(config, params):
        def loss(params):
            features = config.build().apply({"params": params}, images, prefix=jnp.array(PREFIX))
            return jnp.sum(features.pooled**2) + jnp.sum(features.stages[0] ** 3), features

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    want_gradient, want = run(ALL_OPTIONS, params)
    scanned = dataclasses.replace(ALL_OPTIONS, scan_layers=True, remat="block")
    gradient, got = run(scanned, transformer.stack_layers(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)
    unstacked = transformer.unstack_layers(gradient)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
        unstacked,
        want_gradient,
    )


def test_a_vit_with_rope_adds_no_position_and_tells_every_block_where_patches_are():
    config = dataclasses.replace(TINY, position="rope", num_registers=1)
    images = jax.random.uniform(KEY, (2, 4 * ROWS, 4 * COLUMNS, 3))
    variables = _noise(config.build(), images)
    params = variables["params"]
    assert (
        params.keys()
        == _noise(dataclasses.replace(TINY, num_registers=1).build(), images)["params"].keys()
    )
    rows = images.reshape(2, ROWS, 4, COLUMNS, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 48)
    rows, embedding = np.asarray(rows), params["patch_embedding"]
    x = jnp.asarray(rows @ embedding["kernel"] + embedding["bias"])
    extra = jnp.concatenate([params["class_token"], params["registers"]], axis=1)
    x = jnp.concatenate([jnp.tile(extra, (2, 1, 1)), x], axis=1)
    order = transformer.Order(rotation=_rotation(num_extra=2))
    block = transformer.Block(HEADS)
    for index in range(2):
        x = block.apply({"params": params[f"block_{index}"]}, x, None, order)
    got = jax.jit(config.build().apply)(variables, images)
    np.testing.assert_allclose(got.stages[-1], x[:, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.maps[-1].reshape(2, 6, 16), x[:, 2:], rtol=1e-4, atol=1e-4)
    # Kept patches stay where they were.
    keep = jnp.array([[3, 1, 0, 5, 4, 2], [0, 5, 1, 4, 2, 3]], jnp.int32)
    kept = jax.jit(config.build().apply)(variables, images, keep=keep)
    want = jnp.take_along_axis(got.tokens, keep[:, :, None], axis=1)
    np.testing.assert_allclose(kept.tokens, want, rtol=1e-4, atol=1e-4)


def test_no_token_sees_a_patch_that_is_behind_it_and_the_prefix():
    """Patch 4 of 6 changes: with a prefix of 2 tokens 4 and 5 do, with one of 5 all."""
    config = dataclasses.replace(TINY, num_registers=1)
    images = jnp.tile(jax.random.uniform(KEY, (1, 8, 12, 3)), (2, 1, 1, 1))
    variables = _noise(config.build(), images)
    encode = jax.jit(lambda x: config.build().apply(variables, x, prefix=jnp.array([2, 5])))
    before, after = encode(images), encode(images.at[:, 4:, 4:8].add(0.3))
    changed = np.asarray(before.tokens != after.tokens).any(axis=-1)
    np.testing.assert_array_equal(changed, [[False] * 4 + [True] * 2, [True] * 6])
    np.testing.assert_array_equal(np.any(before.pooled != after.pooled, axis=-1), [False, True])


def test_a_prefix_of_all_patches_is_attention_to_all():
    images = jax.random.uniform(KEY, (2, 8, 12, 3))
    variables = _noise(TINY.build(), images)
    got = jax.jit(lambda x: TINY.build().apply(variables, x, prefix=jnp.array([6, 6])))(images)
    want = jax.jit(TINY.build().apply)(variables, images)
    np.testing.assert_allclose(got.tokens, want.tokens, rtol=1e-5, atol=1e-5)


def test_causal_attention_is_a_prefix_of_one_patch_unless_another_is_given():
    config = dataclasses.replace(TINY, pool="mean", causal=True, num_registers=1)
    images, plain = _random((2, 8, 12, 3)), dataclasses.replace(config, causal=False).build()
    variables = _noise(plain, images)

    @jax.jit
    def tokens(prefix):
        one = jnp.ones(2, jnp.int32)
        return (
            config.build().apply(variables, images).tokens,
            config.build().apply(variables, images, prefix=prefix).tokens,
            plain.apply(variables, images, prefix=one).tokens,
            plain.apply(variables, images, prefix=prefix).tokens,
        )

    alone, given, of_one, of_given = tokens(jnp.array([3, 5]))
    np.testing.assert_allclose(alone, of_one, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(given, of_given, rtol=1e-5, atol=1e-5)
    assert np.any(np.abs(alone - given) > 1e-3)


def test_swiglu_begins_as_other_kernels_do():
    config = dataclasses.replace(TINY, mlp="swiglu", initialization="dino")
    params = jax.jit(config.build().init)(KEY, jnp.zeros((1, 8, 8, 3)))["params"]
    std = initialization.INITIALIZATIONS["dino"].blocks.linear(KEY, (400, 400)).std()
    np.testing.assert_allclose(params["block_0"]["mlp_in"]["kernel"].std(), std, rtol=0.1)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"mlp": "relu"}, "ViTConfig: mlp must be one of 'gelu', 'swiglu'; got 'relu'"),
        (
            {"causal": True},
            "ViTConfig: pool must be 'mean' with causal attention, in which a class token sees not",
        ),
        (
            {"position": "rope", "width": 12},
            "ViTConfig: width over num_heads must be a multiple of 4 with position 'rope'; got 6.",
        ),
        (
            {"position": "rope", "position_grid": 4},
            "ViTConfig: position_grid must be None with position 'rope', which spans crops of any",
        ),
    ],
)
def test_config_errors(fields, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        dataclasses.replace(TINY, **fields)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"prefix": jnp.zeros(3, jnp.int32)}, ValueError, "prefix must be [B], here [2]; got [3]."),
        ({"prefix": jnp.zeros(2)}, TypeError, "ViT: prefix must hold integers; got float32."),
        (
            {"prefix": jnp.zeros(2, jnp.int32), "keep": jnp.zeros((2, 1), jnp.int32)},
            ValueError,
            "ViT: prefix must come without keep; got prefix, keep.",
        ),
    ],
)
def test_errors_of_a_prefix(given, error, text):
    images = jnp.zeros((2, 8, 8, 3))
    with pytest.raises(error, match=re.escape(text)):
        jax.eval_shape(lambda: TINY.build().init(KEY, images, **given))


def test_causal_attention_is_not_of_visible_patches_alone():
    module = dataclasses.replace(TINY, pool="mean", causal=True).build()
    images, keep = jnp.zeros((2, 8, 8, 3)), jnp.zeros((2, 1), jnp.int32)
    with pytest.raises(ValueError, match="keep must come without causal attention, for which ever"):
        jax.eval_shape(lambda: module.init(KEY, images, keep=keep))
