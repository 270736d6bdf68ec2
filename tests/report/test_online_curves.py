"""The curves of online probes: drawn where there are any, and marked as online."""

import json

import numpy as np

from jaxssl.report import curves, history, online_curves

ROWS = [
    {"step": step, "loss": 1 / step, "learning_rate": 0.1, "online/linear_loss": 2 / step}
    for step in (1, 2, 3)
]
ROWS[1] |= {"online/linear_accuracy": 0.5, "online/knn_accuracy": 0.25}


def test_accuracies_and_loss_have_panels_of_their_own(tmp_path, drawn, pixels):
    online_curves.draw_online_curves(ROWS, tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    accuracy, loss = drawn[0].axes
    assert (accuracy.get_title(), loss.get_title()) == ("online accuracy, %", "online linear loss")
    linear, neighbours = accuracy.lines
    assert (linear.get_label(), neighbours.get_label()) == ("linear", "neighbours")
    np.testing.assert_allclose([linear.get_xdata(), linear.get_ydata()], [[2], [50]])
    np.testing.assert_allclose(neighbours.get_ydata(), [25])
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [2, 1, 2 / 3])


def test_the_training_curve_leaves_them_out(tmp_path, drawn):
    curves.draw_training_curve(ROWS, tmp_path / "a.png")
    assert [axis.get_ylabel() for axis in drawn[0].axes] == ["loss", "learning rate"]


def test_the_page_says_what_was_judged(tmp_path):
    bare = {"step": 1, "loss": 1.0, "learning_rate": 0.1}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(bare) + "\n")
    assert history.draw_online(tmp_path, tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (picture,) = history.draw_online(tmp_path, tmp_path)
    assert picture.title == "Online probes" and picture.path.exists()
    assert picture.sentence.startswith("Online: ") and "Images judged" not in picture.sentence
    (tmp_path / "online").mkdir()
    about = {"split": "test", "is_test": True, "num_judged": 2048, "num_bank": 4096}
    (tmp_path / "online" / "judged.json").write_text(json.dumps(about))
    (picture,) = history.draw_online(tmp_path, tmp_path)
    assert picture.sentence.endswith(
        "Images judged: 2,048 of test, the test split, by which nothing may be chosen."
    )
