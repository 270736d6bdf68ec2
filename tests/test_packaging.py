"""What is said of the package in several files agrees, and whatever it imports is declared."""

import ast
import configparser
import re
import sys
from pathlib import Path

import pytest

import jaxssl
from jaxssl.cli import doctor

PACKAGE = Path(jaxssl.__file__).parent
ROOT = Path(__file__).parents[1]
DISTRIBUTION = {  # where it is called otherwise than what is imported
    "av": "av", "PIL": "pillow", "orbax": "orbax_checkpoint", "sklearn": "scikit_learn",
    "skimage": "scikit_image",
}  # fmt: skip


def declared():
    """The distributions of setup.cfg, for all or in any extra but those of the developers."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    groups = [each for name, each in extras.items() if name not in doctor.DEVELOPERS]
    lines = "\n".join([config["options"]["install_requires"], *groups]).splitlines()
    found = (re.match(r"[\w-]+", line) for line in lines)
    return {match[0].lower().replace("-", "_") for match in found if match}


@pytest.mark.parametrize("folder", [PACKAGE, ROOT / "configs"], ids=lambda folder: folder.name)
def test_whatever_is_imported_is_declared(folder):
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.partition(".")[0])
    others = names - sys.stdlib_module_names - {"jaxssl"}
    assert {DISTRIBUTION.get(each, each).lower() for each in others} <= declared()


def test_the_version_is_one():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    changes = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    versions = {config["metadata"]["version"], citation[1], changes[1]}
    assert versions == {jaxssl.__version__}


def test_the_licence_is_one():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["license_expression"] == "Apache-2.0"
    assert "\nlicense: Apache-2.0\n" in (ROOT / "CITATION.cff").read_text()
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Copyright 2026 jaxssl developers" in text
