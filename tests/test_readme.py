"""What the README and the guides say can be found and run."""

import re
from pathlib import Path

import pytest

from jaxssl.runs import recipe

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_that_are_named_are_shipped(page):
    shipped = {path.stem for path in recipe.shipped_directory().glob("[!_]*.py")}
    for name in re.findall(r"jaxssl pretrain (\w+_\w+)", page.read_text()):
        assert name in shipped or name == "my_method_fashion_mnist"


def test_losses_of_the_readme_run():
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), re.DOTALL)
        if "losses" in block
    )
    names = {}
    exec(code, names)
    assert names["values"].shape == (256,)
