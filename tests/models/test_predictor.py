import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import patches, predictor, transformer

TINY = predictor.MaskedPredictor(out_dim=12, width=16, depth=2, num_heads=2)
KEEP = jnp.array([[4, 1], [0, 3]], jnp.int32)
MASKED = jnp.array([[0, 2, 3, 5], [5, 4, 2, 1]], jnp.int32)
VISIBLE = jax.random.normal(jax.random.key(0), (2, 2, 8))
CLASS_TOKEN = jax.random.normal(jax.random.key(1), (2, 8))


@pytest.fixture(scope="module")
def variables():
    init = jax.jit(lambda key: TINY.init(key, VISIBLE, KEEP, MASKED, grid=(2, 3)))
    return init(jax.random.key(2))


def _run(variables, visible=VISIBLE, keep=KEEP, masked=MASKED, class_token=None, decoder=TINY):
    apply = jax.jit(decoder.apply, static_argnames="grid")
    return apply(variables, visible, keep, masked, grid=(2, 3), class_token=class_token)


def test_predicts_only_what_is_asked_for(variables):
    assert _run(variables, masked=MASKED[:, :3]).shape == (2, 3, 12)
    prediction = _run(variables)
    assert prediction.shape == (2, 4, 12)
    assert prediction.dtype == jnp.float32


def test_order_of_masked_indices_orders_the_rows(variables):
    order = np.array([2, 0, 3, 1])
    got, want = _run(variables, masked=MASKED[:, order]), _run(variables)[:, order]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_order_of_visible_tokens_does_not_matter_but_their_place_does(variables):
    want = _run(variables)
    got = _run(variables, visible=VISIBLE[:, ::-1], keep=KEEP[:, ::-1])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    swapped = _run(variables, keep=KEEP[:, ::-1])
    assert float(jnp.abs(swapped - want).max()) > 1e-3


def test_equals_unshuffling_as_the_published_code_does(variables):
    # Full sequence in raster order through a ViT-like stack, then the masked rows.
    params = variables["params"]
    embedding = params["embedding"]
    tokens = VISIBLE @ embedding["kernel"] + embedding["bias"][None, None]
    full = np.broadcast_to(params["mask_token"], (2, 6, 16)).copy()
    for b in range(2):
        for k in range(2):
            full[b, KEEP[b, k]] = tokens[b, k]
    x = jnp.asarray(full) + patches.sincos_positions(2, 3, 16)[None]
    for index in range(2):
        block = transformer.Block(2)
        x = jax.jit(block.apply)({"params": params[f"block_{index}"]}, x)
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    x = (x - mean) / jnp.sqrt(var + 1e-6)
    x = x @ params["prediction"]["kernel"] + params["prediction"]["bias"][None, None]
    want = np.stack([x[b, MASKED[b]] for b in range(2)])
    np.testing.assert_allclose(_run(variables), want, rtol=1e-3, atol=1e-4)


def test_depends_on_visible_and_class_tokens(variables):
    visible = VISIBLE.at[0, 1].add(1.0)
    change = jnp.abs(_run(variables, visible=visible) - _run(variables)).max(axis=(1, 2))
    assert change[0] > 1e-3 and change[1] == 0
    with_class = _run(variables, class_token=CLASS_TOKEN)
    assert with_class.shape == (2, 4, 12)
    other = _run(variables, class_token=CLASS_TOKEN.at[0].add(1.0))
    change = jnp.abs(with_class - other).max(axis=(1, 2))
    assert change[0] > 1e-3 and change[1] == 0


def test_scanned_layers_equal_the_loop(variables):
    scanned = TINY.clone(scan_layers=True, remat="block")
    got = _run({"params": transformer.stack_layers(variables["params"])}, decoder=scanned)
    np.testing.assert_allclose(got, _run(variables), rtol=1e-4, atol=1e-5)


def test_bfloat16_is_close_and_float32_outside(variables):
    got = _run(variables, decoder=TINY.clone(dtype="bfloat16"))
    assert got.dtype == jnp.float32
    assert 1e-4 < float(jnp.abs(got - _run(variables)).max()) < 0.1


def test_default_size_is_the_published_one():
    fields = {field.name: field.default for field in dataclasses.fields(predictor.MaskedPredictor)}
    assert (fields["width"], fields["depth"], fields["num_heads"]) == (512, 8, 16)


@pytest.mark.parametrize(
    ("changes", "arguments", "text"),
    [
        ({"dtype": "half"}, {}, "MaskedPredictor: dtype must be one of .*; got 'half'"),
        ({"depth": 0}, {}, "MaskedPredictor: depth must be at least 1; got 0"),
        ({"num_heads": 3}, {}, "multiple of num_heads; got width 16, num_heads 3"),
        ({}, {"keep": KEEP[:, :1]}, r"one index per visible token; got keep \(2, 1\), visible"),
        ({}, {"asked": MASKED[:, :0]}, r"at least one patch; got shape \(2, 0\)"),
        ({}, {"asked": MASKED[:1]}, r"with B = 2 and .*; got shape \(1, 4\)"),
    ],
)
def test_errors(changes, arguments, text):
    inputs = {"visible": VISIBLE, "keep": KEEP, "asked": MASKED} | arguments
    with pytest.raises(ValueError, match=text):
        jax.eval_shape(lambda: TINY.clone(**changes).init(jax.random.key(0), **inputs, grid=(2, 3)))
