import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl import vocabulary
from jaxssl.pretext import tokens as pretext

BYTES = vocabulary.BYTES
SEPARATOR, MASK = 256, 257
TEXT = b"the quick brown fox jumps over two lazy dogs, 42 times; na\xc3\xafve_word x"


def as_tokens(text):
    return jnp.asarray(np.frombuffer(text, np.uint8).astype(np.int32))


def masked(key, text, count, **options):
    draw = jax.jit(jax.vmap(lambda k: pretext.mask_tokens(k, text, vocabulary=BYTES, **options)))
    return jax.tree.map(np.asarray, draw(jax.random.split(key, count)))


def test_exactly_as_many_tokens_are_asked_for_and_only_those_change(key):
    text = as_tokens(TEXT)
    drawn = masked(key, text, 200, ratio=0.15)
    assert drawn.positions.shape == (200, round(0.15 * len(TEXT)))
    assert np.all(np.diff(drawn.positions, axis=1) > 0) and np.all(drawn.weights == 1)
    np.testing.assert_array_equal(drawn.labels, np.asarray(text)[drawn.positions])
    changed = drawn.seen != np.asarray(text)
    asked = np.zeros_like(changed)
    np.put_along_axis(asked, drawn.positions, True, axis=1)
    assert not np.any(changed & ~asked)


def test_every_token_is_asked_for_equally_often_and_separators_never(key):
    text = jnp.full(20, ord("a")).at[jnp.array([0, 7])].set(SEPARATOR)
    drawn = masked(key, text, 4000, ratio=0.15)
    counts = np.bincount(drawn.positions.ravel(), minlength=20)
    assert counts[0] == counts[7] == 0
    expected = 4000 * 3 / 18
    statistic = ((counts[counts > 0] - expected) ** 2).sum() / (expected * 15 / 18) * 17 / 18
    assert stats.chi2(17).sf(statistic) > 0.01


def test_eight_of_ten_become_the_mask_one_another_token_and_one_stays(key):
    drawn = masked(key, jnp.full(100, ord("a")), 1000, ratio=0.2)
    seen = np.take_along_axis(drawn.seen, drawn.positions, axis=1)
    other = (seen != MASK) & (seen != ord("a"))
    shares = [np.mean(seen == MASK), np.mean(other), np.mean(seen == ord("a"))]
    # Of the random ones, one in 256 is an "a" by chance.
    np.testing.assert_allclose(shares, [0.8, 0.1 * 255 / 256, 0.1 + 0.1 / 256], atol=0.01)
    counts = np.bincount(seen[other], minlength=256)[np.arange(256) != ord("a")]
    assert stats.chisquare(counts).pvalue > 0.01


def test_fewer_tokens_than_asked_for_leave_weights_of_zero(key):
    text = jnp.full(10, SEPARATOR).at[4].set(ord("a"))
    drawn = masked(key, text, 50, ratio=0.3)
    np.testing.assert_array_equal(drawn.weights, [[1, 0, 0]] * 50)
    np.testing.assert_array_equal(drawn.positions[:, 0], 4)
    assert np.all(np.diff(np.sort(drawn.positions, axis=1), axis=1) > 0)
    np.testing.assert_array_equal(np.delete(drawn.seen, 4, axis=1), SEPARATOR)


def words_of(text):
    """Slices of the words of a text of bytes; every other byte is one by itself."""
    import re

    return [m.span() for m in re.finditer(rb"[A-Za-z0-9_\x80-\xff]+|.", text, re.S)]


def test_whole_words_are_never_cut_and_fill_the_count_as_far_as_they_fit(key):
    drawn = masked(key, as_tokens(TEXT), 300, ratio=0.2, whole_words=True)
    count = round(0.2 * len(TEXT))
    hidden = np.zeros((300, len(TEXT)), bool)
    for row in range(300):
        hidden[row, drawn.positions[row][drawn.weights[row] > 0]] = True
    words = words_of(TEXT)
    for start, end in words:
        assert np.all(hidden[:, start:end].all(axis=1) == hidden[:, start:end].any(axis=1))
    totals = hidden.sum(axis=1)
    assert np.all(totals <= count)
    for row in range(300):  # nothing that was left out would have fitted
        left = [end - start for start, end in words if not hidden[row, start]]
        assert min(left) > count - totals[row]
    assert len(np.unique(hidden, axis=0)) > 250


def test_whole_words_do_not_join_over_a_separator(key):
    text = as_tokens(b"ab?cd").at[2].set(SEPARATOR)
    drawn = masked(key, text, 100, ratio=0.4, whole_words=True)
    assert {tuple(row) for row in drawn.positions} == {(0, 1), (3, 4)}


def test_the_next_token_is_what_a_shifted_text_asks_for():
    seen, labels = pretext.next_token(jnp.array([5, 6, 7], jnp.uint16), vocabulary=BYTES)
    np.testing.assert_array_equal(seen, [SEPARATOR, 5, 6])
    np.testing.assert_array_equal(labels, [5, 6, 7])
    assert seen.dtype == labels.dtype == jnp.int32


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.99])
def test_a_ratio_that_asks_for_nothing_or_all_is_refused(ratio):
    with pytest.raises(ValueError, match=f"num_masked: masking must ask .* got ratio {ratio}"):
        pretext.num_masked(10, ratio)


def test_whole_words_of_other_tokens_are_refused(key):
    with pytest.raises(ValueError, match=r"whole words are known of bytes only, .* got 1000"):
        pretext.mask_tokens(key, jnp.zeros(8, int), vocabulary=1000, whole_words=True)
