import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl.methods.gpt import GPT

TINY_ENCODER = {"GPT": "CausalText"}
KEY = jax.random.key(0)
ENCODER = tiny.ENCODERS["CausalText"]


@pytest.fixture(scope="module")
def run():
    method = GPT().build(ENCODER.build(), axis_name=None)
    views, params, state = tiny.begun(method, tiny.batch("CausalText"), KEY)
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + np.float32(0.1 * random.normal(size=leaf.shape)), params
    )
    return method, views, params, state


encode = jax.jit(ENCODER.build().apply)


def scores_of(params, seen):
    """float64 [B, L, M]: the encoder's tokens times its table."""
    rows = encode({"params": params["encoder"]}, seen).tokens
    table = np.asarray(params["encoder"]["token_embedding"], np.float64)
    return np.asarray(rows, np.float64) @ table.T


def test_the_value_is_the_mean_cost_of_every_token_of_the_window(run):
    method, views, params, state = run
    tokens = tiny.texts()
    np.testing.assert_array_equal(views["labels"], tokens)
    assert np.all(np.asarray(views["seen"][:, 0]) == 256)
    values, _ = jax.jit(method.loss)(params, state, views, KEY, None)
    scores = scores_of(params, views["seen"])
    expected = [
        np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(rows, text)])
        for rows, text in zip(scores, tokens)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_no_token_is_told_from_what_comes_after_it(run):
    _, views, params, _ = run
    before = scores_of(params, views["seen"])
    changed = views["seen"].at[:, 9:].set(7)
    np.testing.assert_array_equal(scores_of(params, changed)[:, :9], before[:, :9])
    assert np.all(np.any(scores_of(params, changed)[:, 9:] != before[:, 9:], axis=(1, 2)))


def test_a_window_goes_on_with_the_likeliest_token_each_time(run):
    method, views, params, state = run
    shown = dict(method.show(params, state, views))
    begin, likeliest = shown["how a window begins"], shown["as the likeliest token each time"]
    tokens = jnp.asarray(tiny.texts(), jnp.int32)
    np.testing.assert_array_equal(begin, tokens[:, :8])
    np.testing.assert_array_equal(shown["how it goes on"], tokens[:, 8:15])
    seen = np.full((16, 16), 256, np.int32)  # it sees nothing of what comes after
    seen[:, 1:9] = begin
    for place in range(7):
        best = scores_of(params, seen)[:, 8 + place, :256].argmax(-1)
        np.testing.assert_array_equal(likeliest[:, place], best)
        seen[:, 9 + place] = best


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("Small", "GPT: the encoder must be a TextTransformer, by whose table it answers; got Sma"),
        ("Text", "GPT: the encoder must not see the tokens it is asked for; got causal False"),
    ],
)
def test_another_encoder_is_refused(encoder, message):
    with pytest.raises(ValueError, match=message):
        GPT().build(tiny.ENCODERS[encoder].build(), axis_name=None)
