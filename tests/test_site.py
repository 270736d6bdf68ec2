"""The pages of the site that are made when it is built, and the list of the others."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

from jaxssl import methods

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def method_page():
    """Not a package: mkdocs finds the files of its own folder so."""
    sys.path.insert(0, str(DOCS / "site"))
    yield importlib.import_module("method_page")
    sys.path.remove(str(DOCS / "site"))


def test_every_page_stands_in_the_navigation():
    listed = re.findall(r"[\w/]+\.md", (DOCS / "site" / "mkdocs.yml").read_text())
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_a_method_has_its_source_its_defaults_and_what_they_mean(method_page):
    for name, method in methods.all_configs().items():
        text, _, source = method_page.sections(inspect.getdoc(method))
        assert text and source, name
        for field, default, meaning in method_page.fields(method):
            assert default and meaning, f"{name}: {field}"


def test_a_page_shows_recipe_and_measured_row(method_page):
    page = method_page.page(methods.all_configs()["MoCoV3"])
    assert "```bash\njaxssl pretrain moco_v3_vit_fashion_mnist --out" in page
    assert "\n| MoCo v3, ViT | 8" in page
    assert "| `target_momentum` | `0.99` |" in page
    assert "(../results.md#minutes-the-joint-embedding-family)" in page
