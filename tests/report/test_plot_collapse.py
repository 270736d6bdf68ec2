"""The picture of collapse: a panel for what was measured, and for nothing else."""

import numpy as np
import pytest
from PIL import Image

from jaxssl.report import canvas, collapsing, plots
from jaxssl.training import watch

MEASURED = {"embedding_spread": 0.8, "feature_spread": 0.4, "alignment": 0.1, "uniformity": -2.0}
ROWS = [
    {"step": step, "loss": 1 / step, "learning_rate": 0.1}
    | {watch.PREFIX + name: value / step for name, value in MEASURED.items()}
    for step in (1, 2)
]


@pytest.fixture
def drawn(monkeypatch):
    """Figures in the order in which they are saved."""
    figures, save = [], canvas.save
    monkeypatch.setattr(
        canvas, "save", lambda figure, path: (figures.append(figure), save(figure, path))
    )
    return figures


def test_a_panel_for_everything_that_was_measured(tmp_path, drawn):
    collapsing.collapse_curves(ROWS, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 100
    spread, sphere = drawn[0].axes
    assert spread.get_title().startswith("spread")
    embeddings, features = spread.lines
    assert (embeddings.get_label(), features.get_label()) == ("embeddings", "features")
    assert embeddings.get_linestyle() != features.get_linestyle()
    np.testing.assert_allclose(embeddings.get_xdata(), [1, 2])
    np.testing.assert_allclose(embeddings.get_ydata(), [0.8, 0.4])
    np.testing.assert_allclose(features.get_ydata(), [0.4, 0.2])
    np.testing.assert_allclose(sphere.lines[1].get_ydata(), [-2, -1])


@pytest.mark.parametrize(
    ("scales", "low", "high"),
    [((0.99, 1.01), 0.3162, 3.162), ((0.01, 4), 0.008, 5), ((0, 1), 0.3162, 3.162)],
)
def test_a_steady_scale_looks_steady(tmp_path, drawn, scales, low, high):
    name = f"{watch.PREFIX}embedding_scale"
    rows = [{"step": step, name: value} for step, value in enumerate(scales)]
    collapsing.collapse_curves(rows, tmp_path / "a.png")
    np.testing.assert_allclose(drawn[0].axes[0].get_ylim(), (low, high), rtol=1e-3)


def test_embeddings_that_are_all_zero_are_drawn(tmp_path, drawn):
    collapsing.collapse_curves(
        [{"step": 1, f"{watch.PREFIX}embedding_scale": 0.0}], tmp_path / "a.png"
    )
    assert len(drawn[0].axes) == 1


def test_rows_without_measurements_are_passed_over(tmp_path, drawn):
    bare = {"step": 3, "loss": 0.1}
    assert collapsing.is_measured([bare, *ROWS])
    assert not collapsing.is_measured([bare])
    assert not collapsing.is_measured([])
    collapsing.collapse_curves([*ROWS, bare], tmp_path / "a.png")
    assert all(len(line.get_xdata()) == 2 for axis in drawn[0].axes for line in axis.lines)


def test_the_training_curve_leaves_them_out(tmp_path, drawn):
    plots.training_curve(ROWS, tmp_path / "a.png")
    assert [axis.get_ylabel() for axis in drawn[0].axes] == ["loss", "learning rate"]


def test_the_prefix_is_that_of_the_rows():
    assert collapsing.PREFIX == watch.PREFIX
