"""Every picture is written, has something in it, and says what it should."""

import builtins

import numpy as np
import pytest

from jaxssl.report import plots

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
COLOUR = RANDOM.random((3, 8, 8, 3), dtype=np.float32)


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda o: hasattr(o, "get_text")))


def test_image_grid_shows_each_image_in_its_place(tmp_path, drawn, pixels):
    plots.draw_grid([("one", GREY), ("two", COLOUR)], tmp_path / "a.png", title="above")
    pixels(tmp_path / "a.png")
    axes = np.array(drawn[0].axes).reshape(3, 2)
    for row in range(3):
        np.testing.assert_array_equal(axes[row, 0].images[0].get_array(), GREY[row, :, :, 0])
        np.testing.assert_array_equal(axes[row, 1].images[0].get_array(), COLOUR[row])
        # Floats span [0, 1] and bytes [0, 255], never the range an image happens to have.
        assert axes[row, 0].images[0].get_clim() == (0, 255)
    assert axes[0, 1].get_title() == "two"


@pytest.mark.parametrize(("channels", "shown"), [(2, 1), (13, 3)])
def test_images_of_other_channels_show_the_first(channels, shown, tmp_path, drawn):
    images = RANDOM.integers(0, 256, (1, 8, 8, channels), dtype=np.uint8)
    plots.draw_grid([("one", images)], tmp_path / "a.png")
    found = drawn[0].axes[0].images[0].get_array()
    np.testing.assert_array_equal(found.reshape(8, 8, -1), images[0, ..., :shown])


def test_image_grid_of_many_columns_of_two_sizes_fills_its_cells(tmp_path, drawn, pixels):
    """A multi-crop: small views are enlarged to the cells of the large ones."""
    large, small = np.repeat(COLOUR, 40, axis=1).repeat(40, axis=2), COLOUR
    columns = [("test image", large), *[("view global", large)] * 2, *[("view local", small)] * 10]
    plots.draw_grid(columns, tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    boxes = np.array([axis.get_window_extent().bounds for axis in drawn[0].axes])
    np.testing.assert_allclose(boxes[:, 2:], boxes[0, 2], rtol=1e-3)
    np.testing.assert_array_equal(drawn[0].axes[12].images[0].get_array(), small[0])


def test_neighbours_say_right_and_wrong_by_more_than_colour(tmp_path, drawn, pixels):
    found = np.stack([COLOUR, COLOUR], axis=1)
    labels = (np.array([0, 1, 0]), np.array([[0, 1], [1, 1], [1, 0]]))
    plots.draw_neighbours(COLOUR, found, labels, tmp_path / "a.png", class_names=("cat", "dog"))
    pixels(tmp_path / "a.png")
    axes = np.array(drawn[0].axes).reshape(3, 3)
    titles = [[axis.get_title() for axis in row] for row in axes]
    assert titles == [
        ["cat", "✓ cat", "✗ dog"],
        ["dog", "✓ dog", "✓ dog"],
        ["cat", "✗ dog", "✓ cat"],
    ]
    assert axes[0, 1].spines["left"].get_linestyle() != axes[0, 2].spines["left"].get_linestyle()


def test_class_names_are_no_formulas(tmp_path, drawn, pixels):
    labels, names = np.arange(3), (r"$\nonsense{$", "_hidden", "a$b")
    found = COLOUR[:, None], (labels, labels[:, None])
    plots.draw_neighbours(COLOUR, *found, tmp_path / "a.png", class_names=names)
    plots.draw_embedding(RANDOM.normal(size=(3, 4)), labels, names, tmp_path / "b.png")
    legend = [text.get_text().replace(r"\$", "$") for text in drawn[1].legends[0].get_texts()]
    assert legend == [names[0], " _hidden", names[2]]


def test_long_class_names_are_cut(tmp_path, drawn):
    labels = (np.zeros(3, int), np.zeros((3, 1), int))
    names = ("a_class_name_without_end",)
    plots.draw_neighbours(COLOUR, COLOUR[:, None], labels, tmp_path / "a.png", class_names=names)
    assert drawn[0].axes[0].get_title() == "a_class_name_w…"


def test_neighbours_without_labels_have_no_verdict(tmp_path, drawn, pixels):
    plots.draw_neighbours(COLOUR, COLOUR[:, None], None, tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    assert "✓" not in texts(drawn[0])
    assert "✗" not in texts(drawn[0])


def test_embedding_is_the_first_two_principal_components(tmp_path, drawn, pixels):
    features = RANDOM.normal(size=(50, 6)).astype(np.float32) * [5, 3, 1, 1, 1, 1] + 100
    plots.draw_embedding(features, np.zeros(50, int), ("only",), tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    points = np.asarray(drawn[0].axes[0].collections[0].get_offsets())
    centred = features - features.mean(axis=0)
    left, scales, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    for axis in range(2):
        expected = left[:, axis] * scales[axis]
        sign = np.sign(expected @ points[:, axis])
        np.testing.assert_allclose(points[:, axis], sign * expected, atol=1e-4)
    share = 100 * scales[0] ** 2 / (scales**2).sum()
    assert f"{share:.0f} %" in drawn[0].axes[0].get_xlabel()


@pytest.mark.parametrize("num_classes, legend", [(3, ["0", "1", "2"]), (12, ["2 other classes"])])
def test_embedding_tells_at_most_ten_classes_apart(tmp_path, drawn, num_classes, legend):
    labels = np.arange(60) % num_classes
    names = tuple(map(str, range(num_classes)))
    plots.draw_embedding(RANDOM.normal(size=(60, 4)), labels, names, tmp_path / "a.png")
    shown = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert set(legend) <= set(shown)
    assert len(shown) == min(num_classes, 11)


def test_embedding_without_labels(tmp_path, drawn, pixels):
    plots.draw_embedding(RANDOM.normal(size=(9, 4)), None, None, tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    assert "9 images" in texts(drawn[0])


def test_missing_matplotlib_is_one_line_that_names_the_extra(tmp_path, monkeypatch):
    found = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'^plots: .* pip install "jaxssl\[plot\]"\.$'):
        plots.draw_grid([("one", GREY)], tmp_path / "a.png")
