"""Which tokens of a text are hidden, or come next: the label is the text itself."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxssl import vocabulary as vocabularies
from jaxssl.types import Array

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1


class Masked(NamedTuple):
    """A text with hidden tokens; L tokens, of which K are asked for.

    Attributes:
        seen: int32 [L], what the encoder reads.
        positions: int32 [K], where it is asked, ascending and different.
        labels: int32 [K], what stood there.
        weights: float32 [K], 1 where a position is asked for, 0 where one fills the shape.
    """

    seen: Array
    positions: Array
    labels: Array
    weights: Array


def num_masked(length: int, ratio: float) -> int:
    """K = max(1, round(ratio · L)), as in the official code.

    Args:
        length: static, L.
        ratio: static fraction of tokens that are asked for, in (0, 1).

    Raises:
        ValueError: a ratio that leaves nothing to read.
    """
    count = max(1, round(length * ratio))
    if not 0 < ratio < 1 or count >= length:
        raise ValueError(
            f"num_masked: masking must ask for some of {length} tokens and leave others; got ratio "
            f"{ratio}, which asks for {count}. The usual ratio is 0.15."
        )
    return count


def mask_tokens(
    key: Array, tokens: Array, *, vocabulary: int, ratio: float = 0.15, whole_words: bool = False
) -> Masked:
    """Hides tokens as BERT does: of those asked for, 80 % become the mask, 10 % another token.

    K tokens are drawn, every subset of those that are no separators with the same probability; each
    becomes the mask with probability 0.8, one of all pieces of text with 0.1, and stays itself
    else, so that the encoder cannot trust a token because it is there.

    Args:
        key: PRNG key.
        tokens: int32 [L] of one example.
        vocabulary: static, M; see ``vocabulary``.
        ratio: static fraction of tokens asked for; K = num_masked(L, ratio).
        whole_words: hide words whole, which are drawn in random order as long as they fit into K
            tokens: fewer may be asked for, longer words never are. Of bytes only.

    Returns:
        What is read and what is asked.

    Raises:
        ValueError: see ``num_masked``, or whole words of another vocabulary than bytes.

    Source: Devlin et al., BERT, 2018, arXiv:1810.04805, sec. 3.1 and appendix A.1; whole words:
        google-research/bert, create_pretraining_data.py, ``do_whole_word_mask``.
    """
    length = len(tokens)
    count = num_masked(length, ratio)
    if whole_words and vocabulary != vocabularies.BYTES:
        raise ValueError(
            "mask_tokens: whole words are known of bytes only, a vocabulary of "
            f"{vocabularies.BYTES}; got {vocabulary}. Leave whole_words out."
        )
    draw_key, kind_key, piece_key = jax.random.split(key, 3)
    may_hide = tokens != vocabularies.separator(vocabulary)
    priority = jax.random.uniform(draw_key, (length,))
    if whole_words:
        hidden = _whole_words(priority, tokens, may_hide, count)
    else:
        # Draws are in [0, 1): separators come last.
        order = jnp.argsort(jnp.where(may_hide, -priority, 1))
        hidden = jnp.zeros(length, bool).at[order[:count]].set(True) & may_hide
    # Hidden positions ascend, and behind them as many others as fill the shape.
    positions = jnp.argsort(~hidden)[:count].astype(jnp.int32)
    weights = hidden[positions].astype(jnp.float32)
    labels = tokens[positions].astype(jnp.int32)
    kind = jax.random.uniform(kind_key, (count,))
    pieces = vocabulary - vocabularies.NUM_SPECIAL
    other = jax.random.randint(piece_key, (count,), 0, pieces, jnp.int32)
    shown = jnp.where(kind < MASK_SHARE + RANDOM_SHARE, other, labels)
    shown = jnp.where(kind < MASK_SHARE, vocabularies.mask(vocabulary), shown)
    shown = jnp.where(weights > 0, shown, labels)
    seen = tokens.astype(jnp.int32).at[positions].set(shown)
    return Masked(seen, positions, labels, weights)


def next_token(tokens: Array, *, vocabulary: int) -> tuple[Array, Array]:
    """What a causal encoder reads, and what it is asked at each place: the token that comes next.

    Args:
        tokens: integers [L] of one example.
        vocabulary: static, M; see ``vocabulary``.

    Returns:
        ``(seen, labels)``, int32 [L] each: the separator and all tokens but the last; the tokens.
    """
    labels = tokens.astype(jnp.int32)
    start = jnp.full((1,), vocabularies.separator(vocabulary), jnp.int32)
    return jnp.concatenate([start, labels[:-1]]), labels


def _whole_words(priority: Array, tokens: Array, may_hide: Array, count: int) -> Array:
    """Bool [L]: words that together are at most ``count`` bytes, taken in the order of a draw."""
    length = len(tokens)
    is_letter = _is_letter(tokens)
    goes_on = is_letter & jnp.roll(is_letter, 1).at[0].set(False)
    word = jnp.cumsum(~goes_on) - 1  # [L], the number of each byte's word
    sizes = jnp.zeros(length, jnp.int32).at[word].add(may_hide.astype(jnp.int32))
    # A word that is not there, or is a separator, has no size and takes no room.
    order = jnp.argsort(-priority)

    def take(used: Array, number: Array) -> tuple[Array, Array]:
        fits = used + sizes[number] <= count
        return used + jnp.where(fits, sizes[number], 0), fits

    _, fits = jax.lax.scan(take, jnp.int32(0), order)
    taken = jnp.zeros(length, bool).at[order].set(fits)
    return taken[word] & may_hide


def _is_letter(tokens: Array) -> Array:
    """Bool: letters, digits, the underscore, and bytes of letters beyond ASCII."""
    is_digit = (tokens >= ord("0")) & (tokens <= ord("9"))
    lower = tokens | 0x20
    is_latin = (lower >= ord("a")) & (lower <= ord("z")) & (tokens < 128)
    is_beyond = (tokens >= 128) & (tokens < 256)
    return is_digit | is_latin | is_beyond | (tokens == ord("_"))
