"""Words to dataclasses: what fits is typed, what does not fit comes back as one line."""

import dataclasses
import os
from typing import Annotated, Generic, Literal, TypeVar

import pytest
import tyro

from jaxssl import data
from jaxssl.cli import arguments

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast."""

    rate: float = 0.5
    mode: Literal["slow", "fast"] = "slow"


@dataclasses.dataclass(frozen=True)
class Inner(Generic[T]):
    """What is inside.

    Attributes:
        part: a part of any kind.
        size: pixels.
        flag: yes or no.
    """

    part: T
    size: tuple[int, ...] = (1,)
    flag: bool = False


@dataclasses.dataclass(frozen=True)
class Outer(Generic[T]):
    """A command.

    Attributes:
        out: where to.
        inner: without a prefix of its own.
    """

    out: str
    inner: Annotated[Inner[T], tyro.conf.arg(name="")]
    num_threads: int | None = None
    spare: Speed | None = None


DEFAULT = Outer(out=tyro.MISSING, inner=Inner(part=Speed()))


def parse(*words, default=DEFAULT):
    return arguments.parse(Outer[Speed], words, prog="prog", default=default)


def test_words_become_typed_values_at_every_depth():
    got = parse(
        "--out", "x", "--part.rate", "2", "--part.mode=fast", "--size", "3", "4", "--flag",
        "--num_threads", "5",
    )  # fmt: skip
    assert got == Outer("x", Inner(Speed(2.0, "fast"), (3, 4), True), 5)
    assert isinstance(got.inner.part.rate, float)


def test_what_is_not_given_keeps_the_default():
    assert parse("--out", "x", "--no-flag") == Outer("x", Inner(Speed()))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("--out", "x", "--part.rat", "2"),
            r'^--part.rat: no such option. Did you mean "--part.rate"\?$',
        ),
        (("--outt=x",), r'^--outt: no such option. Did you mean "--out"\?$'),
        (("--jpqv", "2"), r"^--jpqv: no such option\.$"),
        (("--out", "x", "--part.rate", "much"), "prog: .*--part.rate.*much"),
        (("--out", "x", "--part.mode", "quick"), "prog: .*quick.*slow.*fast"),
        (("--out", "x", "--num-threads", "2.5"), "prog: .*--num-threads.*2.5"),
        (("--out", "x", "--part.rate"), "prog: .*--part.rate"),
        (("--out", "x", "word"), "prog: .*word"),
        (("--part.rate", "2"), "prog: .*--out"),
    ],
)
def test_what_does_not_fit_is_one_line(words, text):
    with pytest.raises(arguments.UsageError, match=text) as caught:
        parse(*words)
    assert "\n" not in str(caught.value)
    assert not set("│─╭╮╰╯") & set(str(caught.value))
    assert len(str(caught.value)) < 300


def test_an_optional_part_has_options_where_the_default_has_the_part():
    with pytest.raises(arguments.UsageError, match=r"^--spare.rate: no such option. Did you mean"):
        parse("--out", "x", "--spare.rate", "2")
    default = dataclasses.replace(DEFAULT, spare=Speed(0.1, "fast"))
    got = parse("--out", "x", "--spare.rate", "2", default=default)
    assert got == Outer("x", Inner(Speed()), spare=Speed(2.0, "fast"))


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_names_every_option_and_exits_with_0(word, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    with pytest.raises(SystemExit) as caught:
        parse(word)
    assert caught.value.code in (0, None)
    text = capsys.readouterr().out
    for option in ("--out", "--part.rate", "--part.mode", "--size", "--flag", "--num-threads"):
        assert option in text
    assert "where to." in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_terminal_width_is_left_as_it_was(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    parse("--out", "x")
    assert "COLUMNS" not in os.environ
    monkeypatch.setenv("COLUMNS", "77")
    with pytest.raises(arguments.UsageError):
        parse("--out")
    assert os.environ["COLUMNS"] == "77"


def test_a_range_of_values_is_two_numbers_of_either_sign_where_it_is_used():
    default = data.ImageData("scans", 8, 1)
    words = ["--value-range", "-1000", "3071.5"]
    made = arguments.parse(data.ImageData, words, prog="x", default=default)
    assert made.value_range == (-1000, 3071.5)
    digits = data.ImageData("digits", 8, 1)
    with pytest.raises(arguments.UsageError, match="nothing uses it; the images of digits have 8"):
        arguments.parse(data.ImageData, words, prog="x", default=digits)
