"""What a segmentation left is drawn: image, mask, and each encoder's prediction side by side."""

import numpy as np
from PIL import Image

from jaxssl.data import masks
from jaxssl.evaluation import protocol
from jaxssl.report import segments

DESCRIBED = {"evaluator": "segmentation", "dataset": "canvas", "train_split": "train"}
DESCRIBED |= {"test_split": "test", "layer": "tokens", "seed": 0, "test_fingerprint": "f"}
TRUTH = np.repeat(np.arange(16, dtype=np.uint8)[:, None] // 8, 16, axis=1)


def segmented(run, encoder, predicted, **changed):
    described, who = DESCRIBED | changed, {"encoder": encoder, "step": 4}
    file = protocol.path(run, described, who)
    protocol.write(file, protocol=described, subject=who, results={"mean_iou": 0.5})
    folder = file.with_suffix("")
    folder.mkdir()
    for number in ("0000", "0001"):
        Image.fromarray(np.full((16, 16), 200, np.uint8)).save(folder / f"{number}-image.png")
        masks.write(folder / f"{number}-truth.png", TRUTH)
        masks.write(folder / f"{number}-predicted.png", predicted)


def test_every_encoder_has_a_column(tmp_path, monkeypatch, names):
    shown = []
    draw_grid = segments.plots.draw_grid
    monkeypatch.setattr(segments.plots, "draw_grid", lambda *a: shown.append(a[0]) or draw_grid(*a))
    segmented(tmp_path, "trained", TRUTH)
    segmented(tmp_path, "random", 1 - TRUTH)
    segmented(tmp_path, "pixels", TRUTH, test_fingerprint="of other images")
    (picture,) = segments.draw_segments(tmp_path, 4, tmp_path)
    assert names([picture.path]) == {"segments.svg"}
    (columns,) = shown
    assert [title for title, _ in columns] == ["test image", "mask", "trained", "random"]
    images, truth, trained, random = (each for _, each in columns)
    assert np.all(images == 200) and images.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(trained, truth)
    np.testing.assert_array_equal(random, truth[:, ::-1])  # the classes are exchanged
    assert picture.sentence == (
        "A linear classifier of the cells of the frozen map (tokens) names every pixel of canvas. "
        "Mean intersection over union: trained 50.0 %, random 50.0 %."
    )


def test_there_is_none_without_masks_of_this_step(tmp_path):
    assert segments.draw_segments(tmp_path, 4, tmp_path) == []
    segmented(tmp_path, "random", TRUTH)
    assert segments.draw_segments(tmp_path, 4, tmp_path) == []
    segmented(tmp_path, "trained", TRUTH)
    assert segments.draw_segments(tmp_path, 5, tmp_path) == []
