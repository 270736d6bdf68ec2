"""Pictures of a few images: which are shown, and what of them."""

import dataclasses

import numpy as np
import tiny

from jaxssl import checkpoints
from jaxssl.data import from_arrays
from jaxssl.report import examples
from jaxssl.runs.opened import open_run


def test_unlabelled_images_have_neighbours_too(run, tmp_path, names):
    encoder = checkpoints.restore_encoder(run)
    part = from_arrays(tiny.images(3))
    pictures = examples.draw_features(encoder, part, part, tmp_path)
    assert names([picture.path for picture in pictures]) == {"neighbours.svg", "embedding.svg"}


def test_an_unknown_class_gives_no_colour_and_no_frame(run, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        examples.plots, "draw_neighbours", lambda *a, **_: seen.update(neighbours=a[2])
    )
    monkeypatch.setattr(examples.plots, "draw_embedding", lambda *a: seen.update(embedding=a[1]))
    part = from_arrays(tiny.images(3), np.array([0, 1, -1]))
    examples.draw_features(checkpoints.restore_encoder(run), part, part, tmp_path)
    assert seen == {"neighbours": None, "embedding": None}


def test_find_images_finds_images_wherever_they_are():
    images = np.zeros((2, 8, 8, 3), np.float32)
    views = {"global": images[:, None].repeat(2, axis=1), "b": {"image": images[..., :1]}}
    views |= {"label": np.zeros(2), "tokens": np.zeros((2, 4, 4, 16)), "keep": np.zeros((2, 3))}
    found = examples.find_images(views)
    assert [title for title, _ in found] == ["view b image", "view global 0", "view global 1"]
    assert [leaf.shape for _, leaf in found] == [(2, 8, 8, 1), images.shape, images.shape]


def test_find_images_knows_the_channels_of_the_data():
    views = {"image": np.zeros((2, 8, 8, 13)), "tokens": np.zeros((2, 4, 4, 16))}
    assert [title for title, _ in examples.find_images(views, 13)] == ["view image"]
    assert not examples.find_images(views)


def test_find_images_shows_every_view_of_a_multicrop_large_ones_first():
    views = {"local": np.zeros((2, 3, 4, 4, 3)), "global": np.zeros((2, 2, 8, 8, 3))}
    views["local"][:, 2] = 1.0
    found = examples.find_images(views)
    names = ["global 0", "global 1", "local 0", "local 1", "local 2"]
    assert [title for title, _ in found] == [f"view {name}" for name in names]
    assert [leaf.shape for _, leaf in found] == [(2, 8, 8, 3)] * 2 + [(2, 4, 4, 3)] * 3
    assert found[-1][1].min() == 1.0 and found[-2][1].max() == 0.0


def test_a_method_that_shows_nothing_shows_its_views(run, tmp_path, monkeypatch):
    columns = []
    monkeypatch.setattr(examples.plots, "draw_grid", lambda c, path, title: columns.extend(c))
    opened = open_run(run)
    opened = dataclasses.replace(opened, method=opened.method._replace(show=None))
    examples.draw_views(opened, {"image": tiny.images(2)}, tmp_path)
    assert [title for title, _ in columns] == ["test image", "view image"]


def test_examples_are_the_first_of_each_class_then_the_others():
    labels = np.array([1, 1, 0, 2, 0])
    source = from_arrays(tiny.images(5), labels)
    np.testing.assert_array_equal(examples.first_of_each_class(source), [2, 0, 3, 1, 4])
    source = from_arrays(tiny.images(5))
    np.testing.assert_array_equal(examples.first_of_each_class(source), np.arange(5))
