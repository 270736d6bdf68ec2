"""Labels of a first frame, carried through a film by nearest neighbours among frozen tokens."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl.types import Array


def propagate(
    tokens: Array,
    values: Array,
    *,
    num_references: int,
    num_neighbors: int,
    radius: int,
    temperature: float,
) -> Array:
    """Carries the values of the first frame's cells through all frames.

    A cell of frame t copies from its k nearest by cosine similarity, of the cells that are at most
    ``radius`` rows and columns away in the first frame and in the R before t, which had copied:

        value = Σ exp(cos / temperature) value' / Σ exp(cos / temperature)

    Cells as near as the k-th take part too.

    Args:
        tokens: [T, N, D] floating, of the frames in order, cells of a square in raster order.
        values: [N, C] floating, of the first frame, such as one-hot labels.
        num_references: R, frames beside the first one.
        num_neighbors: k.
        radius: cells.
        temperature: of the softmax.

    Returns:
        float32 [T, N, C], the first frame's being ``values``.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
        arXiv:2104.14294, sec. 4.2.2, after Jabri et al., Space-Time Correspondence as a Contrastive
        Random Walk, 2020, arXiv:2006.14613; facebookresearch/dino eval_video_segmentation.py (R 7,
        k 5, radius 12, temperature 0.1), where masks are stretched to [0, 1] by class at the end.
    """
    tokens = tokens.astype(jnp.float32)
    norm = jnp.sqrt(jnp.sum(jnp.square(tokens), axis=-1, keepdims=True))
    tokens, values = tokens / jnp.maximum(norm, 1e-6), values.astype(jnp.float32)
    count = tokens.shape[1]
    near = jnp.asarray(_near(count, radius))
    rows = num_references + 1

    def begin(first: Array) -> Array:
        return jnp.concatenate([first[None], jnp.zeros((num_references, *first.shape))])

    def push(kept: Array, new: Array) -> Array:  # the first stays, the oldest of the others goes
        return jnp.concatenate([kept[:1], kept[2:], new[None]])

    def step(carry: tuple[Array, Array, Array], target: Array):
        before, held, there = carry
        similarity = jnp.einsum("nd,rmd->nrm", target, before, precision=lax.Precision.HIGHEST)
        allowed = near[:, None] & there[None, :, None]
        scores = jnp.where(allowed, similarity / temperature, -jnp.inf).reshape(count, -1)
        least = lax.top_k(scores, min(num_neighbors, rows * count))[0][:, -1:]
        weights = jax.nn.softmax(jnp.where(scores >= least, scores, -jnp.inf), axis=-1)
        copied = jnp.matmul(
            weights, held.reshape(rows * count, -1), precision=lax.Precision.HIGHEST
        )
        carry = push(before, target), push(held, copied), push(there, jnp.bool(True))
        return carry, copied

    there = jnp.arange(rows) == 0
    _, copied = lax.scan(step, (begin(tokens[0]), begin(values), there), tokens[1:])
    return jnp.concatenate([values[None], copied])


def _near(count: int, radius: int) -> np.ndarray:
    """Booleans [N, N], whether two cells of a square are at most so many rows and columns apart."""
    side = round(count**0.5)
    rows, columns = np.divmod(np.arange(count), side)
    apart = [np.abs(each[:, None] - each) for each in (rows, columns)]
    return np.maximum(*apart) <= radius
