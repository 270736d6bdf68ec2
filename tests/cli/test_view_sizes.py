"""Who asks for other images gets other views, and an option that nothing uses is refused."""

import dataclasses
import re

import pytest
import tiny_runs

from jaxssl import cli
from jaxssl.cli import view_sizes
from jaxssl.runs import pretrain, recipe

VIEWS = "--method.augment"
OF_IMAGES = [name for name in tiny_runs.NAMES if hasattr(recipe.load(name).data, "image_size")]


def following(name, *words):
    return view_sizes.following(recipe.load(name), words)


@pytest.mark.parametrize("word", [("--data.image-size", "56"), ("--data.image_size=56",)])
def test_views_and_lengths_in_pixels_follow_the_images(word):
    assert following("rotation_fashion_mnist", *word) == [f"{VIEWS}.size", "56"]
    first_and_second = [f"{VIEWS}.first.size", "56", f"{VIEWS}.second.size", "56"]
    assert following("byol_fashion_mnist", *word) == first_and_second
    assert following("simclr_fashion_mnist", *word) == first_and_second[:2]
    assert following("jigsaw_fashion_mnist", *word)[2:] == [
        "--method.cell-size", "18", "--method.tile-size", "14"
    ]  # fmt: skip


def test_small_views_follow_in_proportion_and_in_whole_patches():
    large = [f"{VIEWS}.pair.first.size", "48", f"{VIEWS}.pair.second.size", "48"]
    local = f"{VIEWS}.local.size"
    assert following("dino_fashion_mnist", "--data.image-size", "48") == [*large, local, "27"]
    patches = ("--data.image-size", "48", "--encoder.patch-size", "8")
    assert following("dino_vit_fashion_mnist", *patches) == [
        *large, local, "24", "--encoder.position-grid", "6"
    ]  # fmt: skip


def test_what_is_typed_holds():
    size = ("--data.image-size", "56")
    assert following("rotation_fashion_mnist", *size, f"{VIEWS}.size", "28") == []
    assert following("byol_fashion_mnist", *size, f"{VIEWS}.first.size=28") == []
    large = [f"{VIEWS}.pair.first.size", "56", f"{VIEWS}.pair.second.size", "56"]
    assert following("dino_fashion_mnist", *size, f"{VIEWS}.local.size", "20") == large
    cell = following("jigsaw_fashion_mnist", *size, "--method.cell-size", "17")
    assert cell == [f"{VIEWS}.size", "56", "--method.tile-size", "14"]


@pytest.mark.parametrize(
    "words",
    [(), ("--data.image-size", "28"), ("--data.image-size", "many"), ("--data.image-size",)],
)
def test_nothing_follows_from_images_of_the_same_size(words):
    assert following("simclr_fashion_mnist", *words) == []


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_shipped_recipe_takes_images_of_twice_the_size(name, tmp_path, monkeypatch):
    """One number is enough, and all that follows from it fits together."""
    seen = []
    monkeypatch.setattr(pretrain, "run", lambda asked, *_, **__: seen.append(asked))
    before = recipe.load(name)
    size = 2 * before.data.image_size
    argv = ["pretrain", name, "--out", str(tmp_path), "--data.image-size", str(size)]
    assert cli.main(argv) == 0
    (after,) = seen
    assert after.method.augment.size == after.data.image_size == size
    changed = {
        field.name
        for field in dataclasses.fields(before.method)
        if getattr(after.method, field.name) != getattr(before.method, field.name)
    }
    pixels = getattr(before.method, "PIXELS", ())
    assert changed == {"augment", *(name for name in pixels if getattr(before.method, name))}


def test_what_follows_is_said_first(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(pretrain, "run", lambda *_, **__: None)
    argv = ["pretrain", "simclr_fashion_mnist", "--out", str(tmp_path)]
    assert cli.main([*argv, "--data.image-size", "96"]) == 0
    assert capsys.readouterr().out == f"as --data.image-size asks: {VIEWS}.first.size 96\n"
    assert cli.main(argv) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--optimizer.momentum", "0.8"],
            r"--optimizer.momentum: nothing uses it; optimizer.name adamw reads optimizer.beta1 "
            r"and optimizer.beta2\.",
        ),
        (["--optimizer.name", "sgd", "--optimizer.beta1", "0.8"], "reads optimizer.momentum"),
        ([f"{VIEWS}.first.blur-sigma", "1", "2"], r"nothing uses it; it takes a blur-prob above 0"),
        ([f"{VIEWS}.first.grayscale-first"], r"nothing uses it; it takes exact True\."),
        (["--data.data-dir", "x"], r"--data.data-dir: .* it takes a data.path tfds:NAME"),
        (["--process-id", "0"], r"--process-id: .* it takes --num-processes too"),
    ],
)
def test_an_option_that_nothing_uses_is_refused(refused, tmp_path, words, text):
    line = refused("pretrain", "simclr_fashion_mnist", "--out", tmp_path / "run", *words)
    assert re.search(text, line), line
    assert not (tmp_path / "run").exists()


def test_a_script_may_name_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "run", lambda *_, **__: None)
    several = "--coordinator localhost:1 --num-processes 1 --process-id 0".split()
    assert cli.main(["pretrain", "simclr_fashion_mnist", "--out", str(tmp_path), *several]) == 0


def test_local_views_where_there_are_none(refused, tmp_path):
    words = (f"{VIEWS}.num-local", 0, f"{VIEWS}.local.size", 8)
    line = refused("pretrain", "dino_fashion_mnist", "--out", tmp_path / "run", *words)
    assert f"{VIEWS}.local: nothing uses it; it takes a num-local above 0." in line
