import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import types
from jaxssl.models import patches, transformer, vit

TINY = vit.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4)


def _images(channels=3, height=12, width=8):
    return jax.random.uniform(jax.random.key(0), (2, height, width, channels))


def _init(config, images):
    return jax.jit(config.build().init)(jax.random.key(1), images)


def _random_variables(config, images):
    """Noise everywhere, so that no parameter hides behind its initial zero or one."""
    shapes = jax.eval_shape(config.build().init, jax.random.key(0), images)
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(0, 0.3, leaf.shape), leaf.dtype), shapes
    )


def _oracle(params, images, config, hide=None, mask_token=None):
    """The forward pass in float64, one image and one head at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    width, depth, num_heads = config.dimensions
    size = config.patch_size
    height, breadth = images.shape[1:3]

    def norm(x, p):
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + 1e-6) * p["scale"] + p["bias"]

    def pool(x, num_extra):
        return x[0] if config.pool == "class" else x[num_extra:].mean(0)

    def dense(x, p):
        return x @ p["kernel"] + p["bias"]

    pooled, tokens, stages = [], [], [[] for _ in range(depth)]
    maps, class_tokens = ([[] for _ in range(depth)] for _ in range(2))
    for number, image in enumerate(np.asarray(images, np.float64)):
        image = (image - np.array(config.mean)) / np.array(config.std)
        rows = [
            image[y : y + size, x : x + size].ravel()
            for y in range(0, height, size)
            for x in range(0, breadth, size)
        ]
        if config.position == "sincos":
            grid = (height // size, breadth // size)
            position = patches.sincos_positions(*grid, width).astype(np.float64)
        else:
            position = params["position"].reshape(-1, width)
        x = dense(np.stack(rows), params["patch_embedding"])
        if hide is not None:
            for patch in np.flatnonzero(hide[number]):
                x[patch] = mask_token
        x = x + position
        extra = []
        if config.pool == "class":
            extra = [params["class_token"][0, 0]]
            if config.position == "learned":
                extra = [extra[0] + params["class_position"][0, 0]]
        if config.num_registers:
            extra += list(params["registers"][0])
        x = np.stack(extra + list(x))

        num_extra = len(extra)
        for index in range(depth):
            block = params[f"block_{index}"]
            qkv = dense(norm(x, block["norm1"]), block["attention"]["qkv"])
            query, key_, value = np.split(qkv, 3, axis=-1)
            heads = []
            for head in range(num_heads):
                part = slice(head * width // num_heads, (head + 1) * width // num_heads)
                scores = query[:, part] @ key_[:, part].T / math.sqrt(width // num_heads)
                weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
                heads.append(weights @ value[:, part])
            branch = dense(np.concatenate(heads, -1), block["attention"]["proj"])
            x = x + branch * block.get("layer_scale1", 1)
            hidden = dense(norm(x, block["norm2"]), block["mlp_in"])
            hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
            x = x + dense(hidden, block["mlp_out"]) * block.get("layer_scale2", 1)
            stages[index].append(pool(x, num_extra))
            maps[index].append(x[num_extra:].reshape(height // size, breadth // size, width))
            class_tokens[index].append(norm(x[0], params["norm"]))
        x = norm(x, params["norm"])
        pooled.append(pool(x, num_extra))
        tokens.append(x[num_extra:])
    return types.Features(
        np.stack(pooled),
        np.stack(tokens),
        *(tuple(np.stack(block) for block in kind) for kind in (stages, maps)),
        tuple(np.stack(block) for block in class_tokens) if config.pool == "class" else (),
    )


OPTIONS = {
    "class": TINY,
    "mean": dataclasses.replace(TINY, pool="mean", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    "learned": dataclasses.replace(TINY, position="learned", num_registers=2),
    "layer_scale": dataclasses.replace(TINY, layer_scale=1e-4),
    "mean_registers": dataclasses.replace(TINY, pool="mean", position="learned", num_registers=1),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_forward_against_float64_loop(name):
    config, images = OPTIONS[name], _images()
    variables = _random_variables(config, images)
    got = jax.jit(config.build().apply)(variables, images)
    want = _oracle(variables["params"], images, config)
    assert got.tokens.shape == (2, 6, 16) and got.maps[0].shape == (2, 3, 2, 16)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels):
    images = jax.ShapeDtypeStruct((2, 8, 8, channels), jnp.uint8)
    module = TINY.build()
    features, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), images)
    assert variables["params"]["patch_embedding"]["kernel"].shape == (16 * channels, 16)
    assert features.pooled.shape == (2, 16)


def test_uint8_equals_float():
    config = OPTIONS["mean"]
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 12, 8, 3)), jnp.uint8)
    variables = _random_variables(config, _images())
    apply = jax.jit(config.build().apply)
    got, want = apply(variables, images), apply(variables, images.astype(jnp.float32) / 255)
    np.testing.assert_allclose(got.tokens, want.tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("position", ["sincos", "learned"])
def test_keep_of_all_patches_permutes_the_tokens(position):
    config, images = dataclasses.replace(TINY, position=position), _images()
    module = config.build()
    variables = _random_variables(config, images)
    keep = jnp.array([[3, 1, 0, 5, 4, 2], [0, 5, 1, 4, 2, 3]], jnp.int32)
    full = jax.jit(module.apply)(variables, images)
    got = jax.jit(module.apply)(variables, images, keep=keep)
    np.testing.assert_allclose(got.pooled, full.pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        got.tokens, patches.gather_rows(full.tokens, keep), rtol=1e-4, atol=1e-4
    )
    flat = full.maps[0].reshape(2, 6, -1)
    np.testing.assert_allclose(got.maps[0], patches.gather_rows(flat, keep), rtol=1e-4, atol=1e-4)


def test_keep_selects_when_tokens_do_not_mix():
    # Without the attention's output each token goes its own way, so a subset must agree.
    config, images = OPTIONS["mean"], _images()
    module = config.build()
    variables = _random_variables(config, images)
    for index in range(2):
        proj = variables["params"][f"block_{index}"]["attention"]["proj"]
        proj["kernel"] = jnp.zeros_like(proj["kernel"])
    keep = jnp.array([[3, 1], [0, 5]], jnp.int32)
    full = jax.jit(module.apply)(variables, images)
    got = jax.jit(module.apply)(variables, images, keep=keep)
    want = patches.gather_rows(full.tokens, keep)
    np.testing.assert_allclose(got.tokens, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got.pooled, want.mean(axis=1), rtol=1e-5, atol=1e-5)


def test_keep_embeds_only_the_kept_patches():
    module, keep = TINY.build(), jnp.zeros((2, 2), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), _images())
    lowered = str(jax.make_jaxpr(module.apply)(variables, _images(), keep=keep))
    assert "f32[2,2,16] = dot_general" in lowered
    assert "f32[2,6,16] = dot_general" not in lowered


HIDE = np.array([[True, False, False, True, True, False], [False] * 6])


@pytest.mark.parametrize("name", OPTIONS)
def test_hidden_patches_against_float64_loop(name):
    config, images = OPTIONS[name], _images()
    variables = _random_variables(config, images)
    token = np.random.default_rng(1).normal(size=16).astype(np.float32)
    got = jax.jit(config.build().apply)(variables, images, hide=HIDE, mask_token=token)
    want = _oracle(variables["params"], images, config, HIDE, token)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)


def test_what_a_hidden_patch_showed_does_not_matter():
    images, token = _images(), jnp.ones(16)
    variables = _random_variables(TINY, images)
    apply = jax.jit(
        lambda images: TINY.build().apply(variables, images, False, None, None, HIDE, token)
    )
    got = apply(images.at[0, :4, :4].set(0.3)).tokens
    np.testing.assert_array_equal(got, apply(images).tokens)


def test_hiding_makes_no_parameter():
    images, token = _images(), jnp.ones(16)
    module, key = TINY.build(), jax.random.key(0)
    init = lambda **hidden: jax.eval_shape(lambda: module.init(key, images, **hidden))  # noqa: E731
    assert init(hide=HIDE, mask_token=token) == init()


@pytest.mark.parametrize("scan_layers", [False, True])
def test_layer_scale_begins_with_its_value_in_every_block(scan_layers):
    config = dataclasses.replace(TINY, layer_scale=0.1, scan_layers=scan_layers)
    params = jax.device_get(_init(config, _images())["params"])
    blocks = transformer.unstack_layers(params) if scan_layers else params
    for index in range(2):
        for name in ("layer_scale1", "layer_scale2"):
            np.testing.assert_array_equal(blocks[f"block_{index}"][name], np.full(16, 0.1, "f4"))


def test_scanned_layers_equal_the_loop_in_value_and_gradient():
    images = _images()
    config = dataclasses.replace(TINY, num_registers=1, layer_scale=0.1)
    params = _random_variables(config, images)["params"]

    def run(config, params):
        def loss(params):
            features = config.build().apply({"params": params}, images)
            return jnp.sum(features.pooled**2) + jnp.sum(features.stages[0] ** 3), features

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    want_gradient, want = run(config, params)
    for remat in ("none", "block", "dots"):
        scanned = dataclasses.replace(config, scan_layers=True, remat=remat)
        gradient, got = run(scanned, transformer.stack_layers(params))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
            transformer.unstack_layers(gradient),
            want_gradient,
        )


def test_scanned_layers_start_different_from_each_other():
    config = dataclasses.replace(TINY, scan_layers=True)
    params = _init(config, _images())["params"]
    unstacked = transformer.unstack_layers(params)
    shapes = jax.eval_shape(TINY.build().init, jax.random.key(0), _images())["params"]
    assert jax.tree.map(jnp.shape, unstacked) == jax.tree.map(jnp.shape, shapes)
    kernels = params["blocks"]["mlp_in"]["kernel"]
    assert float(jnp.abs(kernels[0] - kernels[1]).max()) > 0.01


@pytest.mark.parametrize("scan_layers", [False, True])
def test_bfloat16_computes_low_and_returns_float32(scan_layers):
    images = _images()
    config = dataclasses.replace(TINY, dtype="bfloat16", scan_layers=scan_layers)
    reference = dataclasses.replace(config, dtype="float32")
    variables = _init(config, images)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    got = jax.jit(config.build().apply)(variables, images)
    want = jax.jit(reference.build().apply)(variables, images)
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype("float32")}
    error = float(jnp.abs(got.tokens - want.tokens).max())
    assert 1e-4 < error < 0.1
    gradient = jax.eval_shape(
        jax.grad(lambda v: jnp.sum(config.build().apply(v, images).pooled)), variables
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("scan_layers", [False, True])
def test_gradient_is_typed_equal_on_all_devices(scan_layers):
    config = dataclasses.replace(OPTIONS["learned"], scan_layers=scan_layers, remat="block")
    module, images = config.build(axis_name="data"), _images()
    keep = jnp.zeros((2, 3), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)

    def step(variables, images, keep):
        def loss(variables):
            features = module.apply(variables, images, keep=keep)
            return jax.lax.pmean(jnp.mean(features.pooled) + jnp.mean(features.tokens), "data")

        return jax.lax.pmean(jax.grad(loss)(variables), "data")

    mapped = jax.shard_map(
        step,
        mesh=jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",)),
        in_specs=(jax.P(), jax.P("data"), jax.P("data")),
        out_specs=jax.P(),
    )
    assert jax.eval_shape(mapped, variables, images, keep) == variables


def test_learned_positions_are_resized_bilinearly():
    config, small = OPTIONS["learned"], _images(height=8, width=8)
    module = config.build()
    variables = _random_variables(config, small)
    large = jax.random.uniform(jax.random.key(2), (1, 16, 8, 3))
    got = jax.jit(module.apply)(variables, large)
    # Two rows at 0.5 and 1.5 of four: weights at the centres of the new cells.
    weights = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    position = np.einsum("io,ocd->icd", weights, variables["params"]["position"])
    params = variables["params"] | {"position": jnp.asarray(position, jnp.float32)}
    pooled, tokens, *_ = _oracle(params, large, config)
    np.testing.assert_allclose(got.pooled, pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.tokens, tokens, rtol=1e-4, atol=1e-4)


def test_sincos_positions_of_a_crop_span_the_grid_they_are_told_of():
    """A crop of 4 x 2 patches beside global views of 8 x 8: cell centres in the latter's units."""
    config, images = dataclasses.replace(TINY, position_grid=8), _images(height=16, width=8)
    variables = _random_variables(config, images)
    got = jax.jit(config.build().apply)(variables, images)
    position = np.zeros((4, 2, 16))
    for row, y in enumerate((0.5, 2.5, 4.5, 6.5)):
        for column, x in enumerate((1.5, 5.5)):
            for i in range(4):
                angles = x / 10000 ** (i / 4), y / 10000 ** (i / 4)
                values = [f(angle) for angle in angles for f in (math.sin, math.cos)]
                position[row, column, i::4] = values
    learned = dataclasses.replace(TINY, position="learned")
    params = variables["params"] | {"position": position, "class_position": np.zeros((1, 1, 16))}
    pooled, tokens, *_ = _oracle(params, images, learned)
    np.testing.assert_allclose(got.pooled, pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.tokens, tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_branches_are_multiplied_by_the_scale_of_their_block_and_image(scan_layers):
    """Against parameters that hold the scale: each branch is linear in its last layer."""
    images = _images()
    scale = np.random.default_rng(3).uniform(0, 2, (2, 2, 2)).astype(np.float32)
    scale[1, 0, 0] = 0
    params = _random_variables(TINY, images)["params"]
    config = dataclasses.replace(
        TINY, scan_layers=scan_layers, remat="block" if scan_layers else "none"
    )
    ours = transformer.stack_layers(params) if scan_layers else params
    run = jax.jit(lambda p, s: config.build().apply({"params": p}, images, branch_scale=s))
    got = run(ours, scale)
    for image in range(2):
        scaled = dict(params)
        for index in range(2):
            block = dict(params[f"block_{index}"])
            attention, mlp = scale[index, :, image]
            proj = jax.tree.map(lambda x, a=attention: a * x, block["attention"]["proj"])
            block["attention"] = block["attention"] | {"proj": proj}
            block["mlp_out"] = jax.tree.map(lambda x, m=mlp: m * x, block["mlp_out"])
            scaled[f"block_{index}"] = block
        pooled, tokens, *_ = _oracle(scaled, images[image : image + 1], TINY)
        np.testing.assert_allclose(got.pooled[image], pooled[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(got.tokens[image], tokens[0], rtol=1e-4, atol=1e-4)
