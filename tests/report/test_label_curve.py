"""Accuracy by the number of labels: every point stands at its value, with its interval."""

import numpy as np

from jaxssl.report import label_curve


def record(encoder, accuracies, *, half_width=0.02, layer="pooled", **subject):
    best = {
        f"{count} per class": {
            "labels_per_class": float(count),
            "test_accuracy": accuracy,
            "half_width": half_width,
        }
        for count, accuracy in accuracies.items()
    }
    return {
        "protocol": {"layer": layer},
        "subject": {"encoder": encoder} | subject,
        "results": {"best": best},
    }


def test_points_stand_at_their_values_with_intervals(tmp_path, drawn):
    records = [
        record("pixels", {1: 0.4, 10: 0.6}, half_width=None),
        record("trained", {100: 0.9, 1: 0.5, 10: 0.7}),
        record("random", {1: 0.3}, weights_seed=0),
        record("random", {1: 0.2}, weights_seed=1, layer="stage 0"),
    ]
    label_curve.draw_accuracy_by_labels(records, tmp_path / "a.png", chance=0.1)
    (panel,) = drawn[0].axes
    line, _, (bars,) = panel.containers[0].lines
    np.testing.assert_array_equal(np.array(line.get_xdata(), float), [1, 10, 100])
    np.testing.assert_allclose(np.array(line.get_ydata(), float), [50, 70, 90])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[48, 52], [68, 72], [88, 92]])
    assert panel.get_xscale() == "log"
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "10", "100"]
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert set(labels) == {
        "trained",
        "random, pooled",
        "random, stage 0, seed 1",
        "pixels",
        "chance",
    }
