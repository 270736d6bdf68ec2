import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxssl import models
from jaxssl.models import text

CONFIG = models.TextTransformerConfig(vocabulary=20, length=8, width=12, depth=2, num_heads=3)
TOKENS = np.random.default_rng(0).integers(0, 20, (3, 7))


@pytest.fixture(scope="module")
def variables():
    variables = jax.jit(CONFIG.build().init)(jax.random.key(0), TOKENS)
    return jax.tree.map(
        lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), variables
    )


def oracle(variables, tokens, *, causal):
    """Tokens after each block and after the final norm, float64, by loops over heads."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def norm(x, p):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * p["scale"] + p["bias"]

    def linear(x, p):
        return x @ p["kernel"] + p["bias"]

    found = []
    for row in tokens:
        x = params["token_embedding"][row] + params["position"][: len(row)]
        blocks = []
        for index in range(CONFIG.depth):
            p = params[f"block_{index}"]
            q, k, v = np.split(linear(norm(x, p["norm1"]), p["attention"]["qkv"]), 3, axis=-1)
            heads = []
            for head in range(CONFIG.num_heads):
                part = slice(4 * head, 4 * head + 4)
                out = np.zeros((len(row), 4))
                for i in range(len(row)):
                    last = i + 1 if causal else len(row)
                    weights = special.softmax(k[:last, part] @ q[i, part] / 2)
                    out[i] = weights @ v[:last, part]
                heads.append(out)
            x = x + linear(np.concatenate(heads, -1), p["attention"]["proj"])
            y = linear(norm(x, p["norm2"]), p["mlp_in"])
            x = x + linear(y * (1 + special.erf(y / np.sqrt(2))) / 2, p["mlp_out"])
            blocks.append(x)
        found.append((blocks, norm(x, params["norm"])))
    return found


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pool", ["mean", "last"])
def test_features_are_those_of_the_formula(variables, causal, pool):
    module = dataclasses.replace(CONFIG, causal=causal, pool=pool).build()
    features = module.apply(variables, TOKENS)
    for example, (blocks, tokens) in enumerate(oracle(variables, TOKENS, causal=causal)):
        np.testing.assert_allclose(features.tokens[example], tokens, atol=1e-5)
        pooled = tokens.mean(0) if pool == "mean" else tokens[-1]
        np.testing.assert_allclose(features.pooled[example], pooled, atol=1e-5)
        for index, block in enumerate(blocks):
            np.testing.assert_allclose(features.maps[index][example], block, atol=1e-5)
            pooled = block.mean(0) if pool == "mean" else block[-1]
            np.testing.assert_allclose(features.stages[index][example], pooled, atol=1e-5)


def test_a_scan_over_layers_is_the_same_network(variables):
    stacked = {"params": models.stack_layers(variables["params"])}
    config = dataclasses.replace(CONFIG, causal=True)
    scanned = dataclasses.replace(config, scan_layers=True, remat="block").build()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        scanned.apply(stacked, TOKENS),
        config.build().apply(variables, TOKENS),
    )


def test_the_head_scores_by_the_table(variables):
    table = variables["params"]["token_embedding"]
    rows = jax.random.normal(jax.random.key(3), (2, 5, 12))
    head = text.TokenHead("bfloat16")
    params = head.init(jax.random.key(4), rows, table)
    assert jax.tree.map(jnp.shape, params["params"])["bias"] == (20,)
    assert head.apply(params, rows, table).dtype == jnp.float32
    np.testing.assert_allclose(
        text.tied_logits(rows, table),
        np.asarray(rows, np.float64) @ np.asarray(table, np.float64).T,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (np.zeros((2, 9), int), ValueError, r"tokens must be \[B, N\] with N from 1 to 8; got sha"),
        (np.zeros(8, int), ValueError, r"got shape \(8,\). Set --encoder.length to the --data.len"),
        (np.zeros((2, 8)), TypeError, "TextTransformer: tokens must be integers; got float"),
    ],
)
def test_other_inputs_are_refused(variables, tokens, error, message):
    with pytest.raises(error, match=message):
        CONFIG.build().apply(variables, jnp.asarray(tokens))


def test_a_token_beyond_the_vocabulary_is_no_number(variables):
    features = CONFIG.build().apply(variables, np.array([[1, 20]]))
    assert np.all(np.isnan(features.pooled))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="width must be a multiple of num_heads; got width 10"):
        models.TextTransformerConfig(width=10, num_heads=4)
