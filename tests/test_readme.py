"""What the README and the guides say can be found and run."""

import re
import textwrap
from pathlib import Path

import pytest

from jaxssl.runs import recipe
from jaxssl.training import optimizers

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_that_are_named_are_shipped(page):
    shipped = {path.stem for path in recipe.shipped_directory().glob("[!_]*.py")}
    for name in re.findall(r"jaxssl pretrain (\w+_\w+)", page.read_text()):
        assert name in shipped or name in ("my_method_fashion_mnist", "my_recipe")  # the reader's


def test_losses_of_the_readme_run():
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), re.DOTALL)
        if "losses" in block
    )
    names = {}
    exec(code, names)
    assert names["values"].shape == (256,)


def recipes_of(page, tmp_path, **changes):
    """The code of a page that defines ``get_config``, loaded as a file of the user's."""
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        if "def get_config" in block:
            code = textwrap.dedent(block)
            for old, new in changes.items():
                code = code.replace(old, new)
            (tmp_path / "own.py").write_text(code)
            yield recipe.load(str(tmp_path / "own.py"))


def test_the_recipe_of_the_guide_to_training_is_whole(tmp_path):
    (config,) = recipes_of(ROOT / "docs" / "training.md", tmp_path)
    assert config.method.augment.size == config.data.image_size
    optimizers.build(config.optimizer, config.training.plan(20))


def test_the_recipe_of_a_method_of_your_own_fits_the_others(tmp_path):
    stand_in = {"my_method": "rotation", "MyMethod": "Rotation"}
    (config,) = recipes_of(ROOT / "docs" / "methods.md", tmp_path, **stand_in)
    assert config.encoder == recipe.load("simclr_fashion_mnist").encoder
