"""Every command and option that the README and the guides name is one that jaxssl takes."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from jaxssl import cli, methods
from jaxssl.cli import arguments, option_names, pretrain
from jaxssl.runs import finetune, recipe

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STAND_INS = {"CONFIG": "simclr_fashion_mnist", "RUN": ".", "N": "1", "$INDEX": "0"}
OTHERS = {"requeue"} | {"devices", "remat", "steps", "tiny"}  # Slurm's, and those of benchmarks
READERS = re.compile(r"\bNAME\b|\w+\.py\b")  # recipes of their own, with fields of their own


class Parsed(Exception):
    """The words were understood; nothing is run."""


def commands(page):
    """The words behind ``jaxssl`` of every command on a page."""
    text = page.read_text()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", "").splitlines():
            if found := re.search(r"(?:^|[|&;'] *|srun )jaxssl (.+)", line.strip()):
                yield found[1].rstrip("'")
    for words in re.findall(r"`jaxssl ([^`]+)`", text):
        if " " in words.strip():  # else a command's name alone
            yield " ".join(words.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page, monkeypatch):
    def parse(cls, words, **options):
        # tyro would take a second for the hundred options of a recipe; their names are enough.
        if isinstance(cls, type):
            arguments_parse(cls, words, **options)
        else:
            option_names.check_known(words, option_names.of(cls, options["default"]))
        raise Parsed

    def recipe_of(*_):
        found = recipe.load("simclr_fashion_mnist")
        return dataclasses.replace(found, method=methods.all_configs()["Supervised"]())

    arguments_parse = arguments.parse
    monkeypatch.setattr(arguments, "parse", parse)
    monkeypatch.setattr(finetune, "recipe_of", recipe_of)
    refused = {}
    for line in dict.fromkeys(commands(page)):
        if READERS.search(line):
            continue
        words = shlex.split(re.sub(r"\[--.*?\] ?", "", line), comments=True)
        name, *rest = (STAND_INS.get(word, word) for word in words if not word.startswith("--help"))
        try:
            found = cli.command(name)
            if rest:
                found.run(rest)
        except Parsed:
            continue
        except (ValueError, OSError, SystemExit) as error:
            refused[line] = error
    assert not refused


@pytest.fixture(scope="module")
def options():
    """Every option of every command, with every recipe."""
    found = {"help", "help-all", "version", "method", "encoder"}  # the last two name a part
    for name in cli.COMMANDS:
        for value in vars(cli.command(name)).values():
            if dataclasses.is_dataclass(value) and value.__module__.startswith("jaxssl.cli"):
                found |= option_names.of(value, None)
    for default in map(recipe.load, recipe.shipped_names()):
        kinds = type(default.method), type(default.encoder), type(default.data)
        found |= option_names.of(pretrain.Pretrain[kinds], pretrain.Pretrain(Path(), default))
    supervised = dataclasses.replace(default, method=methods.all_configs()["Supervised"]())
    return found | option_names.of(recipe.Recipe[type(supervised.method), *kinds[1:]], supervised)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_are_there(page, options):
    typed = re.findall(r"`--([a-z][\w.-]*\w)[^`]*`", page.read_text())
    groups = {each.partition(".")[0] for each in options if "." in each}
    assert set(typed) - groups - OTHERS <= options
