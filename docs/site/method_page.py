"""A method's page: its docstring, its defaults, its recipes and what was measured of them.

Nothing is written twice: words and numbers come from the class, from configs/ and from the tables
of docs/results.md.
"""

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxssl.runs import recipe

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results.md"


class Measured(NamedTuple):
    """A row of a table of docs/results.md."""

    section: str
    columns: list[str]
    cells: list[str]


def path(method: type) -> str:
    """Where the page lies, below docs/."""
    return f"methods/{method.__name__}.md"


def page(method: type) -> str:
    """The page in Markdown."""
    text, _, source = sections(inspect.getdoc(method))
    said = inspect.getdoc(inspect.getmodule(method)).splitlines()[0].partition(": ")[2]
    parts = [
        f"# {method.__name__}",
        f"*{said[:1].upper()}{said[1:]}*",
        text,
        f"**Source:** {source}" if source else "",
        "## Fields and defaults",
        _table(["field", "default", "what"], fields(method)),
        *_recipes(method),
        *_measured(method),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def sections(docstring: str) -> tuple[str, dict[str, str], str]:
    """What a class says of itself, of each of its fields, and where it is from."""
    text, _, rest = docstring.partition("\nAttributes:\n")
    attributes, _, source = (rest or text).partition("\nSource:")
    if not rest:
        text, attributes = attributes, ""
    entries = re.split(r"^    (?=\w)", attributes, flags=re.MULTILINE)[1:]
    told = {}
    for entry in entries:
        name, _, what = entry.partition(":")
        told[name] = " ".join(what.split())
    # "label][i" in prose would be a link; formulas, which are indented, are code already.
    text = re.sub(
        r"^(?!    ).*", lambda line: line[0].replace("][", "]\\["), text, flags=re.MULTILINE
    )
    return text.strip(), told, " ".join(source.split())


def fields(method: type) -> Iterator[list[str]]:
    """Name, default and meaning of every field, those of the classes it is made of included."""
    told: dict[str, str] = {}
    for cls in reversed(method.__mro__):
        if dataclasses.is_dataclass(cls):
            told |= sections(inspect.getdoc(cls))[1]
    for name, default in _defaults(method).items():
        yield [f"`{name}`", f"`{default}`", told.get(name, "")]


def _defaults(method: type) -> dict[str, str]:
    """Every field's default, as the source spells it."""
    spelt = {}
    for cls in reversed(method.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        for node in ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body:
            if isinstance(node, ast.AnnAssign) and node.value:
                spelt[node.target.id] = ast.unparse(node.value)
    return {field.name: spelt[field.name] for field in dataclasses.fields(method)}


@functools.cache
def recipes() -> dict[str, type]:
    """The method of every shipped recipe."""
    return {name: type(recipe.load(name).method) for name in recipe.shipped_names()}


def _recipes(method: type) -> Iterator[str]:
    names = [name for name, used in recipes().items() if used is method]
    if names:
        yield "## Recipes"
    for name in names:
        code = recipe.find(name).read_text().strip()
        said, _, rest = ast.get_docstring(ast.parse(code)).partition("\n\nCommand: ")
        command, *lines = rest.splitlines()
        yield f"### {name}\n\n{said}\n\n```bash\n{command}\n```"
        # A line that begins so is a paragraph of its own.
        for paragraph in re.split(r"\n(?=[A-Z][a-z]+: )", "\n".join(lines)):
            yield " ".join(paragraph.split())
        yield f'??? example "configs/{name}.py"\n' + textwrap.indent(
            f"```python\n{code}\n```", "    "
        )


def _measured(method: type) -> Iterator[str]:
    wanted = {_plain(method.__name__)}
    wanted |= {_plain(name) for name, used in recipes().items() if used is method}
    rows = [row for row in measured() if _plain(row.cells[0]) in wanted]
    if rows:
        yield "## Measured"
        yield "Protocol, seeds, dates and what else stood beside it: follow the heading."
    tables: dict[tuple, list[list[str]]] = {}
    for row in rows:
        tables.setdefault((row.section, *row.columns), []).append(row.cells)
    for (section, *columns), cells in tables.items():
        yield f"[{section}](../results.md#{slug(section)})"
        yield _table(columns, cells)


@functools.cache
def measured() -> tuple[Measured, ...]:
    """Every row of the tables of accuracies, or of bits, with the heading above it."""
    found, section, columns = [], "", None
    for line in RESULTS.read_text().splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        if not line.startswith("|"):
            columns = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if columns is None:
            columns = cells
        elif any("%" in name or "bits" in name for name in columns) and "---" not in cells[0]:
            found.append(Measured(section, columns, cells))
    return tuple(found)


def slug(heading: str) -> str:
    """The anchor of a heading, as Markdown makes it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def _plain(name: str) -> str:
    """One name of "MoCo v3, ViT" and ``MoCoV3``."""
    return re.sub(r"\W", "", re.split(r", | at | \(", name)[0]).lower()


def _table(columns: list[str], rows) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
