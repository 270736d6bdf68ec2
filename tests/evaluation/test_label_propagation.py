"""Nearest neighbours through a film, beside a loop over its cells."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.evaluation import label_propagation


def looped(tokens, values, *, num_references, num_neighbors, radius, temperature):
    """The definition, a cell at a time, in float64."""
    tokens = tokens.astype(np.float64)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    num_frames, count, _ = tokens.shape
    side = round(count**0.5)
    held = [values.astype(np.float64)]
    for frame in range(1, num_frames):
        sources = [0, *range(max(1, frame - num_references), frame)]
        copied = np.zeros_like(held[0])
        for cell in range(count):
            weights, labels = [], []
            for source in sources:
                for other in range(count):
                    down = abs(cell // side - other // side)
                    across = abs(cell % side - other % side)
                    if max(down, across) <= radius:
                        cosine = tokens[frame, cell] @ tokens[source, other]
                        weights.append(np.exp(cosine / temperature))
                        labels.append(held[source][other])
            weights = np.array(weights)
            least = np.sort(weights)[::-1][:num_neighbors][-1]
            weights[weights < least] = 0
            copied[cell] = weights @ np.array(labels) / weights.sum()
        held.append(copied)
    return np.stack(held)


@pytest.mark.parametrize(
    ("num_references", "num_neighbors", "radius"), [(2, 3, 1), (1, 5, 9), (7, 100, 2)]
)
def test_labels_are_carried_as_a_loop_carries_them(num_references, num_neighbors, radius):
    generator = np.random.default_rng(radius)
    tokens = generator.normal(size=(5, 9, 4)).astype(np.float32)
    values = np.eye(3, dtype=np.float32)[generator.integers(0, 3, 9)]
    options = {"num_references": num_references, "num_neighbors": num_neighbors,
               "radius": radius, "temperature": 0.2}  # fmt: skip
    found = label_propagation.propagate(jnp.asarray(tokens), jnp.asarray(values), **options)
    np.testing.assert_allclose(found, looped(tokens, values, **options), atol=1e-5)


def test_a_thing_that_moves_takes_its_label_along():
    """One cell has a token of its own, a place further right in each frame."""
    tokens = np.tile(np.float32([1, 0]), (5, 25, 1))
    for frame in range(5):
        tokens[frame, 10 + frame] = 0, 1
    values = np.eye(2, dtype=np.float32)[(np.arange(25) == 10).astype(int)]
    found = label_propagation.propagate(
        tokens, values, num_references=1, num_neighbors=1, radius=1, temperature=0.1
    )
    np.testing.assert_array_equal(found.argmax(-1).argmax(-1), 10 + np.arange(5))
