"""Bars stand at their values, with their intervals."""

import numpy as np

from jaxssl.report import bars


def record(evaluator, encoder, results, *, layer="pooled"):
    return {
        "protocol": {"evaluator": evaluator, "layer": layer},
        "subject": {"encoder": encoder, "step": 40},
        "results": results,
    }


LINEAR = {"test_accuracy": 0.8, "half_width": 0.02}
KNN = {"k=20": {"accuracy": 0.7, "half_width": 0.03}, "k=200": {"accuracy": 0.6, "half_width": 0.1}}


def test_accuracy_bars_stand_at_their_values_with_intervals(tmp_path, drawn, pixels):
    records = [
        record("knn", "pixels", KNN),
        record("knn", "trained", KNN),
        record("linear", "trained", LINEAR),
        record("linear", "random", {"test_accuracy": 0.5, "half_width": 0.02}, layer="stage 1"),
    ]
    bars.draw_accuracy_bars(records, tmp_path / "a.png", chance=0.1)
    pixels(tmp_path / "a.png")
    (axis,) = drawn[0].axes
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert names == ["trained\nstep 40", "random\nstage 1", "pixels"]
    heights = {
        container.get_label(): [round(bar.get_height(), 6) for bar in container]
        for container in axis.containers
        if hasattr(container, "patches") and container.patches
    }
    assert heights == {"linear": [80, 50], "kNN, k=20": [70, 70], "kNN, k=200": [60, 60]}
    # Interval of the first bar, from its error bar's line.
    segment = axis.containers[0][2][0].get_segments()[0]
    np.testing.assert_allclose(segment[:, 1], [78, 82])
    assert "chance" in [text.get_text() for text in drawn[0].legends[0].get_texts()]


def test_accuracy_bars_leave_out_no_number_of_neighbours(tmp_path, drawn):
    counts = {f"k={k}": {"accuracy": k / 20, "half_width": 0.01} for k in range(1, 10)}
    bars.draw_accuracy_bars([record("knn", "trained", counts)], tmp_path / "a.png")
    assert len(drawn[0].axes[0].patches) == 9
