"""The nearest of some words."""

import pytest

from jaxssl import words


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("trian", "train"), ("FIT", "fit"), ("validate", "validation"), ("ViT-B", "ViT")],
)
def test_the_nearest_is_named_whatever_its_case(word, nearest):
    known = ("train", "fit", "validation", "ViT")
    assert words.nearest(word, known[:3] if nearest == "fit" else known) == (
        f' Did you mean "{nearest}"?'
    )


def test_nothing_is_said_where_nothing_is_near():
    assert words.nearest("photographs", ("fit", "all")) == ""
    assert words.nearest("x", ()) == ""
