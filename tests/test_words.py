"""The nearest of some words."""

import os

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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("żółw [red] $x$", "żółw [red] $x$"),
        (os.fsdecode(b"\xe9lan"), r"\xe9lan"),
        ("two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
    ],
)
def test_names_that_cannot_be_printed_are_escaped(name, shown):
    assert words.printable(name) == shown


def test_nothing_is_said_where_nothing_is_near():
    assert words.nearest("photographs", ("fit", "all")) == ""
    assert words.nearest("x", ()) == ""


def test_what_contains_the_word_is_near():
    assert words.nearest("mnist", ("fashion-mnist", "digits")) == ' Did you mean "fashion-mnist"?'
    assert words.nearest("st", ("fashion-mnist", "digits")) == ""


@pytest.mark.parametrize(("word", "far"), [("out", "run"), ("encoder.foo", "data.path")])
def test_what_shares_a_letter_or_two_is_not_near(word, far):
    assert words.nearest(word, (far,)) == ""


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["  one    two    three  four"]),
        (14, ["  one    three", "  two    four"]),
        (3, ["  one", "  two", "  three", "  four"]),
    ],
)
def test_columns_are_read_downwards(width, lines):
    assert words.columns(("one", "two", "three", "four"), width=width).splitlines() == lines


def test_a_table_has_its_columns_below_each_other():
    rows = [("", "one"), ("long", "1"), ("b", "")]
    assert words.table(rows) == "      one\nlong  1\nb"
    assert words.table(rows, numbers=True) == "      one\nlong    1\nb"
