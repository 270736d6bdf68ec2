"""The heat-map of how alike layers are: own ones, and those of other runs below a line."""

import json

import numpy as np

from jaxssl.report import results, similarity

RESULTS = {
    "cka": {"layers": ["pooled", "stage 0"], "matrix": [[1.0, 0.25], [0.25, 1.0]]},
    "beside": [{"method": "_$x$", "layer": "stage 1", "cka": [0.5, 0.75]}],
}


def test_every_pair_is_drawn_and_written(tmp_path, drawn, pixels):
    similarity.draw_similarity(RESULTS, tmp_path / "a.png")
    pixels(tmp_path / "a.png")
    axis = drawn[0].axes[0]
    (image,) = axis.images
    np.testing.assert_allclose(image.get_array(), [[1, 0.25], [0.25, 1], [0.5, 0.75]])
    assert [text.get_text() for text in axis.texts] == [
        "1.00", "0.25", "0.25", "1.00", "0.50", "0.75",
    ]  # fmt: skip
    assert axis.get_yticklabels()[2].get_text() == r" _\$x\$, stage 1"
    assert len(axis.lines) == 1
    similarity.draw_similarity(RESULTS | {"beside": []}, tmp_path / "b.png")
    assert not drawn[1].axes[0].lines


def test_only_a_diagnosed_step_has_one(tmp_path):
    assert results.draw_similarity(tmp_path, 2, tmp_path) == []
    folder = tmp_path / "evaluation" / "step-2" / "tiny-train-train"
    folder.mkdir(parents=True)
    protocol = {
        "evaluator": "diagnose", "dataset": "tiny", "train_split": "train", "test_split": "train",
        "layer": "pooled", "num_images": 2048,
    }  # fmt: skip
    record = {"stamp": "0", "protocol": protocol, "results": RESULTS}
    record["subject"] = {"encoder": "trained", "step": 2}
    (folder / "diagnose-trained.json").write_text(json.dumps(record))
    (picture,) = results.draw_similarity(tmp_path, 2, tmp_path)
    assert picture.path.exists() and "2,048 images of train" in picture.sentence
    assert results.draw_similarity(tmp_path, 3, tmp_path) == []
