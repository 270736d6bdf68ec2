"""Which test examples were right: a bit each, as written or not at all."""

import numpy as np
import pytest

from jaxssl.evaluation import correctness

NUM = 1003  # no multiple of eight
BITS = {
    "pooled": np.random.default_rng(0).random(NUM) < 0.7,
    "stage 0 as a 7 x 7 grid, k=20": np.random.default_rng(1).random((5, NUM)) < 0.4,
}


def test_every_bit_comes_back_and_takes_a_bit(tmp_path):
    file = tmp_path / "linear-trained.json"
    sha256 = correctness.save(file, BITS)
    assert [path.name for path in tmp_path.iterdir()] == ["linear-trained.correct.npz"]
    found = correctness.read(file, sha256, NUM)
    assert list(found) == list(BITS)
    for name, bits in BITS.items():
        assert found[name].dtype == bool
        np.testing.assert_array_equal(found[name], bits)
    assert correctness.beside(file).stat().st_size < 6 * NUM / 8 + 600
    assert correctness.save(file, BITS) == sha256  # the same numbers give the same file


@pytest.mark.parametrize(
    ("damage", "num", "got"),
    [
        (lambda path: path.unlink(), NUM, "got none"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), NUM, "whose sha256 is not that"),
        (lambda path: None, NUM + 8, "bits of other than 1011 test examples"),
    ],
)
def test_damage_is_one_line_that_says_what_to_do(tmp_path, damage, num, got):
    file = tmp_path / "knn-trained.json"
    sha256 = correctness.save(file, BITS)
    damage(correctness.beside(file))
    with pytest.raises(ValueError, match=f"knn-trained.json got right, .*{got}.* Evaluate again."):
        correctness.read(file, sha256, num)
