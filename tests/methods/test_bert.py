import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models
from jaxssl.methods.bert import BERT

TINY_ENCODER = {"BERT": "Text"}
KEY = jax.random.key(0)
ENCODER = tiny.ENCODERS["Text"]


@pytest.fixture(scope="module")
def run():
    method = BERT(mask_ratio=0.25).build(ENCODER.build(), axis_name=None)
    views, params, state = tiny.begun(method, tiny.batch("Text"), KEY)
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + np.float32(0.1 * random.normal(size=leaf.shape)), params
    )
    return method, views, params, state, jax.jit(method.loss)


encode = jax.jit(ENCODER.build().apply)


def test_the_value_is_that_of_the_formula(run):
    _, views, params, state, loss = run
    values, (_, metrics) = loss(params, state, views, KEY, None)
    tokens = encode({"params": params["encoder"]}, views["seen"]).tokens
    scores = _oracle(params, np.asarray(tokens, np.float64))
    expected, right = [], []
    for example in range(16):
        costs, hits = [], []
        for place, label, weight in zip(
            *(np.asarray(views[name][example]) for name in ("positions", "labels", "weights"))
        ):
            if weight:
                row = scores[example, place]
                costs.append(np.log(np.exp(row).sum()) - row[label])
                hits.append(row.argmax() == label)
        expected.append(np.mean(costs))
        right.append(np.mean(hits))
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(right), rtol=1e-6)
    np.testing.assert_allclose(metrics["bits_per_token"], np.mean(expected) / np.log(2), rtol=1e-5)


def _oracle(params, rows):
    """Scores of every place [B, L, M] by the formula of the head, in float64."""
    from scipy import special

    head = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["head"])
    y = rows @ head["dense"]["kernel"] + head["dense"]["bias"]
    y = y * (1 + special.erf(y / np.sqrt(2))) / 2
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6)
    y = y * head["norm"]["scale"] + head["norm"]["bias"]
    return y @ np.asarray(params["encoder"]["token_embedding"], np.float64).T + head["bias"]


def test_what_is_not_asked_for_has_no_price(run):
    _, views, params, state, loss = run
    blank = views | {"weights": views["weights"].at[0].set(0)}
    assert loss(params, state, blank, KEY, None)[0][0] == 0
    other = blank | {"labels": views["labels"].at[0].set(3)}
    np.testing.assert_array_equal(
        *(loss(params, state, each, KEY, None)[0] for each in (blank, other))
    )


def test_guesses_are_pieces_of_text_and_the_likeliest_first(run):
    method, views, params, state, _ = run
    (_, seen), (_, hidden), (_, guesses) = method.show(params, state, views)
    assert seen.shape == (16, 16) and hidden.shape == (16, 4, 1) and guesses.shape == (16, 4, 5)
    is_asked = np.asarray(views["weights"]) > 0
    assert np.all(np.asarray(guesses)[is_asked] < 256)
    assert np.all(np.asarray(guesses)[~is_asked] == 256)
    np.testing.assert_array_equal(hidden[..., 0][is_asked], views["labels"][is_asked])
    tokens = encode({"params": params["encoder"]}, views["seen"]).tokens
    scores = _oracle(params, np.asarray(tokens, np.float64))
    example, place = np.argwhere(is_asked)[0]
    best = np.argsort(-scores[example, views["positions"][example, place], :256])[:5]
    np.testing.assert_array_equal(guesses[example, place], best)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("ViT", "BERT: the encoder must be a TextTransformer, by whose table it answers; got ViT"),
        ("CausalText", "BERT: the encoder must see both sides; got causal True. Set --encoder.cau"),
    ],
)
def test_another_encoder_is_refused(encoder, message):
    with pytest.raises(ValueError, match=message):
        BERT().build(tiny.ENCODERS[encoder].build(), axis_name=None)


def test_a_ratio_that_hides_nothing_or_all_is_refused():
    for ratio in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"BERT: mask_ratio must be in \(0, 1\); got"):
            BERT(mask_ratio=ratio)


def test_half_precision_scores_are_float32():
    encoder = models.TextTransformerConfig(
        width=16, depth=1, num_heads=2, length=16, dtype="bfloat16"
    )
    method = BERT().build(encoder.build(), axis_name=None)

    def priced(batch):
        views = draws.make_views(method, batch, jax.random.split(KEY, 16))
        return method.loss(*method.init(KEY, views), views, KEY, None)[0]

    assert jax.eval_shape(priced, tiny.batch("Text")).dtype == jnp.float32
