"""Who may import whom: the layers of the package, read from its syntax trees."""

import ast
from pathlib import Path

import pytest

import jaxssl

PACKAGE = Path(jaxssl.__file__).parent
BASE = {"types", "collectives", "jsonable", "colorspace", "schedules", "files"}
MAY_IMPORT = {
    "types": set(),
    "collectives": {"types"},
    "jsonable": set(),
    "colorspace": {"types"},
    "schedules": {"types"},
    "files": set(),
    "cpu": set(),
    "losses": BASE,
    "pretext": BASE,
    "augment": BASE,
    "models": BASE,
    "data": BASE,
    "methods": BASE | {"losses", "pretext", "augment", "models"},
    "checkpoints": BASE | {"models"},
    "collapse": BASE | {"losses"},
    "parallel": BASE,
    "training": BASE | {"data", "checkpoints", "parallel", "collapse"},
    "evaluation": BASE | {"data", "losses", "checkpoints", "parallel"},
    "recipe": BASE | {"models", "data", "training"},
    "pretraining": BASE
    | {"__init__", "recipe", "models", "augment", "data", "checkpoints", "parallel", "training"},
    "report": BASE
    | {"methods", "data", "checkpoints", "collapse", "training", "evaluation", "recipe"},
    "audit": None,  # everything
    "cli": None,  # everything
    "__init__": {"checkpoints"},
    "__main__": {"cli"},
}
ONLY_IN = {
    "flax": {"models", "methods"},
    "orbax": {"checkpoints"},
    "tensorflow_datasets": {"data"},
    "grain": {"data"},
    "av": {"data"},
    "matplotlib": {"report"},
    "tyro": {"cli"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path):
    """The layer a file belongs to: its folder in the package, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path):
    """Every module a file imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = part(path)
    allowed = MAY_IMPORT[own]
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "jaxssl" and allowed is not None:
            target = rest.partition(".")[0] or "__init__"
            assert target in allowed | {own}, f"{own} imports {target}"
        if top in ONLY_IN:
            assert own in ONLY_IN[top], f"{own} imports {top}"


def test_every_layer_of_the_table_exists():
    assert {part(path) for path in FILES} == MAY_IMPORT.keys()
