"""Who may import whom: the floors of the package, and what only one room knows; from its syntax."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import jaxssl

PACKAGE = Path(jaxssl.__file__).parent
ROOT = Path(__file__).parents[1]
GROUND = {
    "types", "collectives", "parallel", "sharding", "schedules", "draws", "inputs", "colorspace",
    "files", "checks", "jsonable", "named", "words", "watching", "meta", "runs.directory",
    "vocabulary", "cropping", "pooling", "host_devices",
}  # fmt: skip
MAY_IMPORT = {
    "types": set(),
    "words": set(),
    "host_devices": set(),
    "vocabulary": set(),
    "checks": set(),
    "files": set(),
    "runs.directory": {"files", "jsonable", "meta", "words"},
    "cropping": {"types"},
    "pooling": {"types", "checks"},
    "collectives": {"types"},
    "parallel": {"types", "checks", "host_devices"},
    "sharding": {"types", "checks", "parallel"},
    "schedules": {"types"},
    "inputs": {"types", "jsonable"},
    "meta": {"types", "checks", "jsonable", "named", "inputs"},
    "colorspace": {"types"},
    "watching": {"types", "parallel"},
    "jsonable": {"words"},
    "named": {"words", "jsonable"},
    "draws": {"types", "collectives"},
    "losses": GROUND,
    "pretext": GROUND,
    "augment": GROUND,
    "models": GROUND,
    "data": GROUND,
    "checkpoints": GROUND | {"data"},
    "interop": GROUND | {"data", "models", "checkpoints", "__init__"},
    "methods": GROUND | {"losses", "pretext", "augment", "models"},
    "collapse": GROUND | {"losses"},
    "training": GROUND | {"checkpoints", "collapse"},
    "evaluation": GROUND | {"data", "losses", "augment", "collapse", "checkpoints"},
    "online": GROUND | {"data", "losses", "evaluation"},
    "runs.recipe": GROUND | {"training"},
    "runs.record": GROUND | {"data", "training", "runs.recipe"},
    "runs.opened": GROUND | {"checkpoints", "training", "runs.recipe", "runs.record"}
    | {"runs.tokenizer"},
    "runs.fitted_head": GROUND | {"data", "checkpoints", "evaluation", "runs.recipe"},
    "runs.start": GROUND | {"data", "checkpoints", "evaluation", "training", "runs.recipe"}
    | {"runs.fitted_head"},
    "runs.encoders_apart": GROUND | {"interop", "models"},
    "runs.published": GROUND | {"checkpoints", "interop", "models", "training", "runs.recipe"}
    | {"runs.encoders_apart", "runs.start"},
    "runs.tokenizer": GROUND
    | {"checkpoints", "training", "runs.recipe", "runs.record", "runs.start"},
    "runs.standardising": GROUND | {"data", "checkpoints", "runs.recipe"},
    "runs.value_range": GROUND | {"data", "checkpoints", "runs.recipe"},
    "runs.host_crops": GROUND | {"data", "checkpoints", "runs.recipe"},
    "runs.fitting": GROUND | {"data", "checkpoints", "pretext", "training", "runs.recipe"},
    "runs.combining": GROUND | {"methods", "models", "training", "runs.recipe"},
    "runs.labelled": GROUND | {"data", "evaluation", "runs.recipe"},
    "runs.probed": GROUND | {"data", "online", "runs.recipe"},
    "runs.changed_data": GROUND | {"checkpoints", "runs.recipe", "runs.record"},
    "runs.restoring": GROUND | {"checkpoints"},
    "runs.identity": GROUND | {"data", "checkpoints", "runs.recipe", "runs.record"},
    "runs.first_lines": GROUND
    | {"data", "training", "runs.recipe", "runs.labelled", "runs.host_crops", "runs.value_range"},
    "runs.pretrain": GROUND | {"data", "checkpoints", "models", "training", "runs.recipe"}
    | {"runs.record", "runs.changed_data", "runs.fitting", "runs.invocations", "runs.labelled"}
    | {"runs.first_lines", "runs.identity", "runs.probed", "runs.published", "runs.restoring"}
    | {"runs.host_crops", "runs.standardising", "runs.start", "runs.tokenizer"}
    | {"runs.value_range", "__init__"},
    "runs.api": GROUND | {"training", "runs.pretrain", "runs.recipe"},
    "runs.finetune": GROUND | {"augment", "checkpoints", "evaluation", "methods", "models"}
    | {"training", "runs.host_crops", "runs.labelled", "runs.recipe", "runs.record"},
    "runs.classifier": GROUND | {"data", "checkpoints", "evaluation"}
    | {"runs.labelled", "runs.opened", "runs.record"},
    "runs.held_out": GROUND | {"data", "evaluation", "runs.opened", "__init__"},
    "runs.invocations": GROUND | {"__init__"},
    "runs.recipes_apart": GROUND | {"runs.record"},
    "runs.golden": GROUND
    | {"collapse", "online", "training", "runs.recipe", "runs.recipes_apart"},
    "runs.comparison": GROUND | {"evaluation", "runs.record", "runs.recipes_apart"},
    "report": GROUND | {"data", "checkpoints", "collapse", "online", "training", "evaluation"}
    | {"runs.comparison", "runs.golden", "runs.invocations", "runs.opened"}
    | {"runs.recipes_apart"},
    "audit": GROUND | {"data", "checkpoints", "evaluation", "report", "__init__"}
    | {"runs.labelled", "runs.recipe", "runs.record", "runs.opened", "runs.pretrain"},
    "runs": set(),
    "cli": None,  # everything
    "__init__": {"augment", "losses", "models", "pretext", "checkpoints", "evaluation"}
    | {"interop", "runs.api", "runs.recipe"},
    "__main__": {"cli"},
}  # fmt: skip
ONLY_IN = {
    "flax": {"models", "methods"},
    "orbax": {"checkpoints"},
    "tensorflow_datasets": {"data"},
    "grain": {"data"},
    "av": {"data"},
    "matplotlib": {"report"},
    "tyro": {"cli"},
    "fcntl": {"runs.directory"},
}
# What lies in a run directory, which ``runs/directory.py`` alone may spell.
LAYOUT = {
    "config.json", "metrics.jsonl", "invocations.jsonl", "checkpoints", "tensorboard", "evaluation",
    "propagation", "online",
}  # fmt: skip
COLLECTIVES = {
    "pmean", "psum", "pmax", "pmin", "all_gather", "all_to_all", "ppermute", "psum_scatter",
    "axis_index", "pcast", "pvary",
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path):
    """The room a file belongs to: a folder, a file at the top, or a file in runs/."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] == "runs" and parts[1] != "__init__":
        return ".".join(parts)
    return parts[0]


def imports(path):
    """Every module a file imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_room(name):
    """The room of jaxssl that an imported name lies in."""
    first, *rest = name.split(".")[1:]
    if first == "runs":
        return f"runs.{rest[0]}"
    is_room = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").exists()
    return first if is_room else "__init__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_and_stay_in_their_room(path):
    own = room(path)
    allowed = MAY_IMPORT[own]
    for name in imports(path):
        top = name.partition(".")[0]
        if name == "jaxssl":
            assert allowed is None or "__init__" in allowed, f"{own} imports jaxssl"
        elif top == "jaxssl" and allowed is not None:
            assert imported_room(name) in allowed | {own}, f"{own} imports {name}"
        if top in ONLY_IN:
            assert own in ONLY_IN[top], f"{own} imports {top}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_one_room_knows_no_other_says(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            spells = isinstance(node.right, ast.Constant) and node.right.value in LAYOUT
            assert not spells or room(path) == "runs.directory", f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and room(path) != "collectives":
            of_lax = ast.unparse(node.value) in ("lax", "jax.lax")
            assert not (of_lax and node.attr in COLLECTIVES), f"line {node.lineno}: {node.attr}"


def test_flax_is_known_where_modules_are_made_or_called():
    """methods/ composes and calls them; nothing below models/ or beside it needs to."""
    known = {room(path) for path in FILES for name in imports(path) if name.startswith("flax")}
    assert known == {"models", "methods"}


def test_every_room_of_the_table_exists():
    assert {room(path) for path in FILES} == MAY_IMPORT.keys()


def test_every_folder_is_in_the_wheel():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent.relative_to(PACKAGE.parent).as_posix() for path in FILES}
    assert {folder.replace("/", ".") for folder in folders} | {"jaxssl.recipes"} == listed


def test_the_drawn_floors_are_those_of_the_imports():
    script = ROOT / "docs" / "draw_architecture.py"
    done = subprocess.run([sys.executable, script, "--check"])
    assert done.returncode == 0, f"draw them anew: python {script.relative_to(ROOT)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_are_called_with_eight_arguments_at_most(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            own = [each for each in arguments if each.arg not in ("self", "cls")]
            assert len(own) <= 8 or room(path) == "losses", f"{node.name}: {len(own)}"


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "training").glob("*.py")), ids=lambda path: path.stem
)
def test_nothing_is_woven_into_training(path):
    """A function within a function sees all of its names: five lines of that are enough."""
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    for outer in functions:
        for inner in ast.walk(outer):
            if isinstance(inner, ast.FunctionDef) and inner is not outer:
                lines = inner.end_lineno - inner.body[0].lineno + 1
                assert lines <= 5, f"{outer.name}.{inner.name}: {lines} lines"
