"""The linear classifier of few labels as the head that fine-tuning begins with."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

import jaxssl
from jaxssl import cli, data
from jaxssl.evaluation import few_label
from jaxssl.report import facts
from jaxssl.runs import finetune, fitted_head
from jaxssl.runs.opened import open_run
from jaxssl.runs.recipe import Labels, Start

STILL = ("--training.batch-size", 8, "--training.epochs", 0.25, "--optimizer.warmup-epochs", 0,
         "--optimizer.base-learning-rate", 1e-12, "--method.ema-momentum", 0.5)  # fmt: skip

pytestmark = pytest.mark.usefixtures("standard_promotion")


def call(*words):
    return cli.main(list(map(str, words)))


@pytest.fixture(scope="module")
def test_images(npz):
    return data.ImageData(str(npz), tiny.SIZE, 1).open("test").columns["image"]


def test_of_few_labels_it_begins_with_the_classifier_that_is_fitted_to_them(
    finished, test_images, npz, tmp_path, capsys
):
    out = tmp_path / "run"
    words = ("finetune", finished, "--out", out, *STILL, "--method.grid", 2)
    words += ("--per-class", 3, "--draw", 1)
    assert call(*words, "--head", "probe") == 0
    assert "head: the linear classifier of these 12 labels; anew: targ" in capsys.readouterr().out
    encoder = jaxssl.restore_encoder(finished)

    def features(images):
        tokens = np.asarray(encoder(images).tokens, np.float64)
        side = round(tokens.shape[1] ** 0.5)
        maps = tokens.reshape(len(tokens), 2, side // 2, 2, side // 2, -1)
        return maps.mean((2, 4)).reshape(len(tokens), -1)

    train = data.ImageData(str(npz), tiny.SIZE, 1).open("train")
    rows = few_label.draw_rows(train.labels, 3, 1)
    config = few_label.FewLabelConfig()
    fitted = few_label.fit(features(train.columns["image"][rows]), train.labels[rows], config)
    expected = features(test_images) @ fitted.weights + fitted.bias
    opened = open_run(out)
    logits = jax.jit(opened.method.answer)(
        opened.params, opened.method_state, {"image": test_images}
    )
    np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())
    assert len(np.unique(expected.argmax(1))) > 1
    began = f"the encoder of {finished}, step 2; a head fitted to the labels"
    assert ("begun with", began) in facts.about(opened).rows
    assert call(*words) == 0  # it is done: few labels begin so, unless told otherwise
    assert call(*words, "--head", "new") == 2
    assert "differs in (now, there): start.fit_head (False, True)" in capsys.readouterr().err


def test_a_network_that_knows_the_classes_learns_slowly_unless_a_rate_is_typed(finished):
    recipe = finetune.recipe_of(finished)
    fast = dataclasses.replace(recipe.optimizer, base_learning_rate=0.5)
    recipe = dataclasses.replace(recipe, optimizer=fast)
    few = Labels(per_class=2)

    def rate(head, *typed):
        settled = finetune.settle(recipe, "trained", head, few, typed)
        return settled.optimizer.base_learning_rate

    assert rate("probe") == 2e-3 and rate("new") == 0.5
    assert rate(None) == 2e-3  # few labels of a trained encoder: a probe
    assert rate("probe", "optimizer.base-learning-rate") == 0.5
    # Who names a probe gets that one.
    named = dataclasses.replace(recipe, start=dataclasses.replace(recipe.start, probe="x"))
    assert not finetune.settle(named, "trained", None, few, ()).start.fit_head


def test_a_class_without_a_label_is_the_unlikeliest(finished):
    images = tiny.images(8)[..., :1]
    few = data.from_arrays(images, np.array([0, 2] * 4), class_names=("a", "b", "c"))
    recipe = finetune.recipe_of(finished)
    recipe = dataclasses.replace(recipe, method=recipe.method.with_classes(few.class_names))
    encoder = jaxssl.restore_encoder(finished)
    kernel, bias = fitted_head.fit(recipe, encoder.variables, few)
    logits = np.asarray(encoder(images).pooled) @ kernel + bias
    assert kernel.shape[1] == 3 and (logits.argmin(1) == 1).all()


def test_a_head_that_names_no_classes_begins_with_no_classifier(finished, tmp_path):
    start = Start(str(finished), fit_head=True)
    recipe = dataclasses.replace(open_run(finished).recipe, start=start)
    message = r"start\.fit_head: must go with a method whose head names classes; got MAE\. Leave it"
    with pytest.raises(ValueError, match=message):
        jaxssl.pretrain(recipe, tmp_path / "run")
    assert not list(tmp_path.glob("run/*/"))


def test_a_fit_that_cannot_be_is_one_line(finished, tmp_path, refused):
    def line(*words):
        return refused("finetune", finished, "--out", tmp_path / "run", *words)

    said = line("--start.fit-head")
    assert "start.fit_head: must go with few labels, which the head is fitted to at once;" in said
    said = line("--per-class", 2, "--start.fit-head", "--start.probe", __file__)
    assert f"start.fit_head: must go without a probe; got {__file__}. Leave one" in said
    assert not (tmp_path / "run").exists()
