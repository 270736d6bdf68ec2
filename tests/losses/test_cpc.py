"""The candidates of contrastive predictive coding, against a loop over the published formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import losses

B, R, S, D = 8, 4, 3, 5


def value(params, batch, axis_name, offset=2):
    prediction = batch["prediction"] @ params
    logits, labels = losses.grid_logits(
        prediction, batch["target"], offset=offset, axis_name=axis_name
    )
    return losses.cross_entropy(logits, labels).mean(axis=1)


@pytest.fixture(scope="module")
def problem():
    draws = np.random.default_rng(0).normal(size=(2, B, R, S, D)).astype(np.float32)
    batch = {"prediction": jnp.asarray(draws[0]), "target": jnp.asarray(draws[1])}
    return jnp.eye(D) + 0.1, batch


def loop(prediction, target, offset):
    """van den Oord 2018 eq. 4 with f_k = exp(z . W_k c), one mean over positions per image."""
    values = []
    for b in range(len(target)):
        prices = []
        for r in range(R - offset):
            for s in range(S):
                total = 0.0
                for g in range(len(target)):
                    for row in range(R):
                        for column in range(S):
                            total += math.exp(prediction[b, r, s] @ target[g, row, column])
                own = math.exp(prediction[b, r, s] @ target[b, r + offset, s])
                prices.append(-math.log(own / total))
        values.append(sum(prices) / len(prices))
    return values


@pytest.mark.parametrize("offset", [1, 3])
def test_value_matches_the_loop(problem, offset):
    params, batch = problem
    prediction = np.float64(batch["prediction"]) @ np.float64(params)
    np.testing.assert_allclose(
        jax.jit(value, static_argnums=(2, 3))(params, batch, None, offset),
        loop(prediction, np.float64(batch["target"]), offset),
        rtol=1e-5,
    )


def test_every_label_is_the_patch_some_rows_below():
    """Targets that name their own place, so that a label can be read back."""
    places = np.stack(np.meshgrid(np.arange(2), np.arange(R), np.arange(S), indexing="ij"), -1)
    target = jnp.asarray(places, jnp.float32)  # [2, R, S, 3]
    _, labels = losses.grid_logits(target, target, offset=2)
    assert labels.shape == (2, (R - 2) * S) and labels.dtype == jnp.int32
    for image in range(2):
        for query in range((R - 2) * S):
            named = places.reshape(-1, 3)[labels[image, query]]
            np.testing.assert_array_equal(named, (image, query // S + 2, query % S))


def test_equal_scores_cost_the_log_of_the_candidates(problem):
    _, batch = problem
    logits, labels = losses.grid_logits(jnp.zeros((B, R, S, D)), batch["target"], offset=1)
    np.testing.assert_allclose(losses.cross_entropy(logits, labels), math.log(B * R * S), rtol=1e-6)


@pytest.mark.parametrize("offset", [0, 4])
def test_an_offset_outside_the_grid_is_named(problem, offset):
    message = rf"grid_logits: offset must be in 1 ... rows - 1; got {offset} for 4 rows\."
    with pytest.raises(ValueError, match=message):
        losses.grid_logits(**problem[1], offset=offset)
