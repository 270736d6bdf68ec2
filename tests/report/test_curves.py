"""The curves of a run: its loss, and a panel for what was measured of collapse and no other."""

import numpy as np
import pytest
from PIL import Image

from jaxssl import collapse
from jaxssl.report import curves, history

LOGGED = [
    {"step": s, "loss": 1 / s, "accuracy": s / 9, "learning_rate": 1e-3, "grad_norm": 7.0}
    for s in (1, 2, 3)
]
MEASURED = {"embedding_spread": 0.8, "feature_spread": 0.4, "alignment": 0.1, "uniformity": -2.0}
ROWS = [
    {"step": step, "loss": 1 / step, "learning_rate": 0.1}
    | {collapse.PREFIX + name: value / step for name, value in MEASURED.items()}
    for step in (1, 2)
]


def test_training_curve_draws_loss_own_metrics_and_rate_only(tmp_path, drawn, pixels):
    curves.draw_training_curve(LOGGED, tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    axes = drawn[0].axes
    assert [axis.get_ylabel() for axis in axes] == ["loss", "accuracy", "learning rate"]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(axes[0].lines[0].get_xdata(), [1, 2, 3])


def test_training_curve_of_one_row_shows(tmp_path, pixels):
    curves.draw_training_curve(LOGGED[:1], tmp_path / "a.png")
    pixels(tmp_path / "a.png")


def test_missing_metrics_are_said(tmp_path):
    picture = history.draw_curve(tmp_path, tmp_path)
    assert picture.path is None
    assert (
        picture.sentence == f"no rows in {tmp_path}/metrics.jsonl yet; jaxssl pretrain writes them."
    )


def test_a_panel_for_everything_that_was_measured(tmp_path, drawn):
    curves.draw_collapse_curves(ROWS, tmp_path / "a.png")
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
    name = f"{collapse.PREFIX}embedding_scale"
    rows = [{"step": step, name: value} for step, value in enumerate(scales)]
    curves.draw_collapse_curves(rows, tmp_path / "a.png")
    np.testing.assert_allclose(drawn[0].axes[0].get_ylim(), (low, high), rtol=1e-3)


def test_embeddings_that_are_all_zero_are_drawn(tmp_path, drawn):
    curves.draw_collapse_curves(
        [{"step": 1, f"{collapse.PREFIX}embedding_scale": 0.0}], tmp_path / "a.png"
    )
    assert len(drawn[0].axes) == 1


def test_rows_without_measurements_are_passed_over(tmp_path, drawn):
    bare = {"step": 3, "loss": 0.1}
    assert curves.is_measured([bare, *ROWS])
    assert not curves.is_measured([bare])
    assert not curves.is_measured([])
    curves.draw_collapse_curves([*ROWS, bare], tmp_path / "a.png")
    assert all(len(line.get_xdata()) == 2 for axis in drawn[0].axes for line in axis.lines)


def test_the_training_curve_leaves_them_out(tmp_path, drawn):
    curves.draw_training_curve(ROWS, tmp_path / "a.png")
    assert [axis.get_ylabel() for axis in drawn[0].axes] == ["loss", "learning rate"]
