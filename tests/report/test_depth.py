"""Accuracy by depth: every point stands at its value, with its interval."""

import numpy as np
import pytest
from PIL import Image

from jaxssl.report import depth


def linear(accuracy):
    return {"test_accuracy": accuracy, "half_width": 0.02}


def vote(accuracy):
    return {f"k={k}": {"accuracy": accuracy - k / 1000, "half_width": 0.01} for k in (20, 200)}


def record(fields, encoder, pooled, stages=(), *, layer="pooled"):
    results = fields(pooled)
    if stages:
        results["stages"] = [fields(accuracy) for accuracy in stages]
    evaluator = "linear" if fields is linear else "knn"
    return {
        "protocol": {"evaluator": evaluator, "layer": layer},
        "subject": {"encoder": encoder, "step": 40},
        "results": results,
    }


def curves(panel):
    """Points and ends of the intervals of each error-bar container of a panel."""
    found = []
    for container in panel.containers:
        line, _, (bars,) = container.lines
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        x, y = (values.astype(float) for values in line.get_data())  # errorbar keeps objects
        found.append((container.get_label(), x, y, ends))
    return found


def test_points_stand_at_their_values_with_intervals(tmp_path, drawn):
    records = [
        record(linear, "pixels", 0.84),
        record(linear, "random", 0.3, (0.8, 0.6, 0.3)),
        record(linear, "trained", 0.7, (0.75, 0.9, 0.7)),
        record(linear, "trained", 0.9, layer="stage 1"),
    ]
    depth.draw_accuracy_by_depth(records, tmp_path / "a.png", chance=0.1)
    (panel,) = drawn[0].axes
    stages, pooled, others, _ = curves(panel)
    assert (stages[0], others[0]) == ("trained", "random")
    np.testing.assert_array_equal(stages[1], [0, 1, 2])
    np.testing.assert_allclose(stages[2], [75, 90, 70])
    np.testing.assert_allclose(stages[3], [[73, 77], [88, 92], [68, 72]])
    np.testing.assert_allclose((pooled[1][0], pooled[2][0]), (3, 70))
    np.testing.assert_allclose(others[2], [80, 60, 30])
    ticks = [label.get_text() for label in panel.get_xticklabels()]
    assert ticks == ["0", "1", "2", "pooled"]
    bold = [text.get_text() for text in panel.texts if text.get_fontweight() == "bold"]
    assert bold == ["90.0", "80.0"]
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend == ["trained", "random", "pixels", "chance"]
    lines = {line.get_label(): line.get_ydata()[0] for line in panel.lines}
    assert lines["pixels"] == 84 and lines["chance"] == 10


@pytest.mark.parametrize(("num_stages", "shape"), [(4, (1, 2)), (12, (2, 1))])
def test_the_neighbours_have_a_panel_of_their_own(tmp_path, drawn, num_stages, shape):
    stages = tuple(np.linspace(0.5, 0.6, num_stages))
    records = [record(vote, "trained", 0.7, stages), record(linear, "trained", 0.8, stages)]
    depth.draw_accuracy_by_depth(records, tmp_path / "a.png")
    assert [panel.get_title() for panel in drawn[0].axes] == ["linear", "kNN, k=20"]
    assert drawn[0].axes[0].get_subplotspec().get_gridspec().get_geometry() == shape
    np.testing.assert_allclose(curves(drawn[0].axes[1])[0][2][0], 48)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG" and max(image.size) < 2000
        assert np.ptp(np.asarray(image.convert("L"))) > 100
