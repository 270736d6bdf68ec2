"""``recipes``: what ships, as a table: method, encoder, data, budget."""

import ast
import dataclasses
from collections.abc import Sequence

from jaxssl import named
from jaxssl import words as words_lib
from jaxssl.cli import arguments
from jaxssl.runs import recipe


@dataclasses.dataclass(frozen=True)
class Recipes:
    """Prints a table of the recipes, each with the first line of its file."""


def run(words: Sequence[str]) -> None:
    """``jaxssl recipes``."""
    arguments.parse(Recipes, words, prog="jaxssl recipes")
    rows: list[tuple[str, ...]]
    rows = [("recipe", "method", "encoder", "data", "epochs x batch", "")]
    rows += map(_row, recipe.shipped_names())
    print(words_lib.table(rows))


def _row(name: str) -> tuple[str, ...]:
    found = recipe.load(name)
    first, *_ = str(ast.get_docstring(ast.parse(recipe.find(name).read_text()))).splitlines()
    return (
        name,
        named.short(found.method),
        named.short(found.encoder),
        str(getattr(found.data, "path", named.short(found.data))) or "--data.path",
        f"{found.training.epochs:g} x {found.training.batch_size}",
        first,
    )
