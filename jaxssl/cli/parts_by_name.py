"""``--method NAME`` and ``--encoder NAME``: parts of a recipe by their names, before its options.

They decide which options there are, so that they are taken out of the command line first.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jaxssl.cli.option_names import UsageError
from jaxssl.runs import combining, recipe
from jaxssl.runs.recipe import Recipe

_EXAMPLES = {"method": "simclr, mae or dino", "encoder": "resnet-50 or vit-s/16"}


class Taken(NamedTuple):
    """A command line without the names.

    Attributes:
        method: behind --method; None without.
        encoder: behind --encoder; None without.
        words: what is left.
    """

    method: str | None
    encoder: str | None
    words: list[str]


def take(words: Sequence[str]) -> Taken:
    """Takes the two options out of a command line.

    Raises:
        UsageError: one of them without a name.
    """
    found: dict[str, str] = {}
    rest = []
    left = iter(words)
    for word in left:
        option, equals, name = word.partition("=")
        part = option.removeprefix("--")
        if part not in _EXAMPLES or option == part:
            rest.append(word)
            continue
        name = name if equals else next(left, "")
        if not name or name.startswith("--"):
            raise UsageError(f"{option}: must be followed by a name, such as {_EXAMPLES[part]}.")
        found[part] = name
    return Taken(found.get("method"), found.get("encoder"), rest)


def load(words: Sequence[str]) -> tuple[str, Recipe, list[str]]:
    """The recipe that a command line names, whole or by its parts.

    Args:
        words: behind the name of the command.

    Returns:
        What it is called with, for the help text; the recipe; the other words.

    Raises:
        FileNotFoundError: no such recipe; as NoRecipeError where none is named.
        UsageError: parts that do not go with a recipe, or without one.
        ValueError: no such method or encoder.
    """
    method, encoder, rest = take(words)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else None
    typed = "" if encoder is None else f" --encoder {encoder}"
    if name is not None:
        if method is not None:
            raise UsageError(
                f"--method {method}: must come without a recipe, which has its own; got {name}. "
                "Leave one of the two out."
            )
        found = recipe.load(name)
        found = found if encoder is None else combining.with_encoder(found, encoder)
        return name + typed, found, rest
    if method is None:
        if encoder is not None:
            raise UsageError(f"--encoder {encoder}: must come with a recipe, or with --method.")
        raise recipe.NoRecipeError(
            "pretrain: must be followed by a config, a file of your own or one of these:"
        )
    return f"--method {method}{typed}", combining.combine(method, encoder), rest
