"""Views exactly as published are one option of each view, of every recipe whose views have one."""

import pytest
import tiny_runs

from jaxssl import cli
from jaxssl.augment import policies
from jaxssl.cli import option_names
from jaxssl.runs import pretrain, recipe

COLORED = [
    name
    for name in tiny_runs.NAMES
    if isinstance(
        getattr(recipe.load(name).method, "augment", None), policies.Pair | policies.MultiCrop
    )
]


@pytest.mark.parametrize("name", COLORED)
def test_every_recipe_of_colours_is_exact_on_request(name, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pretrain, "run", lambda asked, *_, **__: seen.append(asked))
    before = recipe.load(name)
    views = before.method.augment
    names = option_names.of(type(views), views, "method.augment.")
    options = [f"--{each}" for each in names if each.endswith(".exact")]
    assert cli.main(["pretrain", name, "--out", str(tmp_path), *options]) == 0
    (after,) = seen
    assert after.method.augment == views.change_views(exact=True) != views


def test_half_exact_views_are_one_line(refused, tmp_path):
    option = "--method.augment.pair.first.exact"
    line = refused("pretrain", "dino_fashion_mnist", "--out", tmp_path / "run", option)
    assert "Pair: all views must be exact or none; got first.exact True, second.exact" in line
    assert not (tmp_path / "run").exists()
