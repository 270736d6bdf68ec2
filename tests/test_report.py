"""The report of a real, tiny run: every picture is there, and what is missing is said."""

import dataclasses
import io

import jax
import numpy as np
import pytest
import tiny
from PIL import Image
from rich.console import Console

from jaxssl import models, pretraining, recipe, report
from jaxssl.data import DataConfig, from_arrays
from jaxssl.evaluation import evaluate, few_label, knn, protocol, splits
from jaxssl.evaluation.subject import Subject
from jaxssl.training import loop, optimizers

ENCODER = models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=2, pool="mean")
FEATURE_PICTURES = {"views.png", "neighbours.png", "embedding.png"}


def config(path):
    return recipe.Recipe(
        method=tiny.method("MAE"),
        encoder=ENCODER,
        data=DataConfig(path=str(path), image_size=tiny.SIZE, channels=3),
        optimizer=optimizers.OptimizerConfig(warmup_epochs=0),
        training=loop.TrainingConfig(batch_size=8, epochs=1),
        run=loop.RunConfig(log_every=1),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps on sixteen images."""
    folder = tmp_path_factory.mktemp("report")
    images, labels = tiny.images(24), np.arange(24) % 3
    arrays = {"train_images": images[:16], "train_labels": labels[:16]}
    arrays |= {"test_images": images[16:], "test_labels": labels[16:]}
    np.savez(folder / "blocks.npz", **arrays)
    # optax relies on implicit promotion in its bias correction.
    with jax.numpy_dtype_promotion("standard"):
        pretraining.run(config(folder / "blocks.npz"), folder / "run", Console(file=io.StringIO()))
    return folder / "run"


def names(paths):
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.format == "PNG"
                assert 150 < min(image.size) and max(image.size) < 2000
                assert np.ptp(np.asarray(image.convert("L"))) > 100, f"{path} is blank"
    return {path.name for path in paths}


def test_draws_what_there_is_and_says_what_is_missing(run, capsys):
    paths = report.draw(run)
    assert names(paths) == FEATURE_PICTURES | {"curve.png", "collapse.png", "index.html"}
    message = capsys.readouterr().err
    assert message.startswith("Accuracies left out: not evaluated yet; ")
    assert "Accuracy by depth left out: no stages measured yet; " in message
    assert f"jaxssl linear-eval {run}" in message
    page = (run / "report" / "index.html").read_text()
    assert "MAE on " in page
    assert f"jaxssl knn-eval {run}" in page
    for name in FEATURE_PICTURES:
        assert f'src="{name}"' in page


def test_draws_accuracies_once_they_are_measured(run, capsys):
    for encoder in ("trained", "pixels"):
        subject = Subject(encoder=encoder, batch_size=8)
        evaluate.knn_eval(run, subject, knn.KnnConfig(num_neighbors=(3,)))
    paths = report.draw(run)
    drawn = {"curve.png", "collapse.png", "accuracy.png", "depth.png", "index.html"}
    assert names(paths) == FEATURE_PICTURES | drawn
    assert capsys.readouterr().err == ""
    assert "same protocol" not in (run / "report" / "index.html").read_text()


def test_draws_accuracy_by_labels_once_it_is_measured(run, tmp_path):
    for per_class in ((1,), (1, 2)):
        assert report.draw_few_labels(shown_records(run), tmp_path, num_classes=3) == []
        options = few_label.FewLabelConfig(per_class=per_class, fractions=(), draws=2)
        evaluate.few_label_eval(run, Subject(encoder="pixels", batch_size=8), options)
    (picture,) = report.draw_few_labels(shown_records(run), tmp_path, num_classes=3)
    assert names([picture.path]) == {"few-labels.png"}


def test_accuracies_of_different_protocols_are_marked(run, tmp_path):
    for encoder, temperature in (("trained", 0.07), ("random", 0.5)):
        subject = Subject(encoder=encoder, batch_size=8)
        options = knn.KnnConfig(num_neighbors=(3,), temperature=temperature)
        evaluate.knn_eval(run, subject, options)
    picture = report.draw_accuracies(run, shown_records(run), tmp_path, num_classes=3)
    assert "Not all of them were measured under the same protocol" in picture.sentence


def shown_records(run):
    meta = report.checkpoints.restore_encoder(run).meta
    return report._records(run, meta["step"], splits.open_splits(meta))


def test_only_results_of_the_step_and_splits_that_are_shown_count(run):
    before = shown_records(run)
    record = before[0]
    for change, step in (
        ({"train_split": "fit"}, record["subject"]["step"]),
        ({}, record["subject"]["step"] + 1),
    ):
        described, who = record["protocol"] | change, record["subject"] | {"step": step}
        place = protocol.path(run, described, who)
        protocol.write(place, protocol=described, subject=who, results=record["results"])
    assert shown_records(run) == before


def test_unlabelled_images_have_neighbours_too(run, tmp_path):
    encoder = report.checkpoints.restore_encoder(run)
    part = from_arrays(tiny.images(3))
    pictures = report.draw_features(encoder, part, part, tmp_path)
    assert names([picture.path for picture in pictures]) == {"neighbours.png", "embedding.png"}


def test_missing_metrics_are_said(tmp_path):
    picture = report.draw_curve(tmp_path, tmp_path)
    assert picture.path is None
    assert (
        picture.sentence == f"no rows in {tmp_path}/metrics.jsonl yet; jaxssl pretrain writes them."
    )


def test_image_leaves_finds_images_wherever_they_are():
    images = np.zeros((2, 8, 8, 3), np.float32)
    views = {"global": images[:, None].repeat(2, axis=1), "b": {"image": images[..., :1]}}
    views |= {"label": np.zeros(2), "tokens": np.zeros((2, 4, 4, 16)), "keep": np.zeros((2, 3))}
    found = report.image_leaves(views)
    assert [title for title, _ in found] == ["view b image", "view global 0", "view global 1"]
    assert [leaf.shape for _, leaf in found] == [(2, 8, 8, 1), images.shape, images.shape]


def test_image_leaves_shows_every_view_of_a_multicrop_large_ones_first():
    views = {"local": np.zeros((2, 3, 4, 4, 3)), "global": np.zeros((2, 2, 8, 8, 3))}
    views["local"][:, 2] = 1.0
    found = report.image_leaves(views)
    names = ["global 0", "global 1", "local 0", "local 1", "local 2"]
    assert [title for title, _ in found] == [f"view {name}" for name in names]
    assert [leaf.shape for _, leaf in found] == [(2, 8, 8, 3)] * 2 + [(2, 4, 4, 3)] * 3
    assert found[-1][1].min() == 1.0 and found[-2][1].max() == 0.0


def test_a_method_without_pictures_shows_its_views(run, tmp_path, monkeypatch):
    made = config("unused")
    build = type(made.method).build
    monkeypatch.setattr(
        type(made.method), "build", lambda *args, **more: build(*args, **more)._replace(show=None)
    )
    columns = []
    monkeypatch.setattr(report.plots, "image_grid", lambda c, path, title: columns.extend(c))
    meta = report.checkpoints.restore_encoder(run).meta
    report.draw_views(run, made, meta, tiny.images(2), tmp_path)
    assert [title for title, _ in columns] == ["test image", "view image"]


def test_examples_are_the_first_of_each_class_then_the_others():
    labels = np.array([1, 1, 0, 2, 0])
    source = from_arrays(tiny.images(5), labels)
    np.testing.assert_array_equal(report._first_of_each_class(source), [2, 0, 3, 1, 4])
    source = dataclasses.replace(source, labels=None)
    np.testing.assert_array_equal(report._first_of_each_class(source), np.arange(5))


def test_a_large_split_is_thinned_evenly():
    images = tiny.images(10)
    part = report._spread(from_arrays(images, np.arange(10)), 4)
    np.testing.assert_array_equal(part.labels, [0, 3, 6, 9])
    np.testing.assert_array_equal(part.images, images[[0, 3, 6, 9]])
    assert len(report._spread(from_arrays(images), 99)) == 10


def test_bars_of_grids_are_those_of_the_stage_that_held_out_images_choose():
    record = {
        "protocol": {"evaluator": "linear", "layer": "stage 3 as a 1 x 1 grid"},
        "results": {"test_accuracy": 0.6, "best": {"layer": "stage 0", "test_accuracy": 0.9}},
    }
    shown = report._at_best_grid(record)
    assert shown["protocol"]["layer"] == "stage 0" and shown["results"]["test_accuracy"] == 0.9
    pooled = record | {"protocol": {"evaluator": "linear", "layer": "pooled"}}
    assert report._at_best_grid(pooled) == pooled
