"""Which layers options choose, what they are called, and what is refused."""

import jax
import numpy as np
import pytest

from jaxssl import pooling
from jaxssl.evaluation import layers
from jaxssl.evaluation.subject import Subject
from jaxssl.types import Features


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, "float32")


SIDES, WIDTHS = (8, 4, 2), (16, 32, 64)
RESNET = Features(
    shape(1, 64),
    shape(1, 4, 64),
    tuple(shape(1, width) for width in WIDTHS),
    tuple(shape(1, side, side, width) for side, width in zip(SIDES, WIDTHS)),
)
VIT = RESNET._replace(class_tokens=tuple(shape(1, 64) for _ in range(3)))


def names(choice):
    return choice.main.name, [layer.name for layer in choice.stages]


def test_pooled_and_every_stage_unless_asked_otherwise():
    assert names(layers.choose(RESNET)) == ("pooled", ["stage 0", "stage 1", "stage 2"])
    assert names(layers.choose(RESNET, stages=False)) == ("pooled", [])
    assert names(layers.choose(RESNET, stage=-2)) == ("stage 1", [])


def test_a_grid_is_never_finer_than_the_map():
    found = names(layers.choose(RESNET, grid=3))
    grids = [f"stage {n} as a {side} x {side} grid" for n, side in ((0, 3), (1, 3), (2, 2))]
    assert found == (grids[-1], grids)
    assert len(layers.choose(RESNET, grid=3).all) == 3  # the last stage is read once
    with pytest.raises(ValueError, match="at most the side of the map of stage 2, 2; got 3"):
        layers.choose(RESNET, stage=2, grid=3)


def test_auto_is_the_finest_grid_within_the_features():
    choice = layers.choose(RESNET, grid="auto", max_features=160)
    assert [layer.grid for layer in choice.stages] == [3, 2, 1]  # 144, 128 and 64 features
    assert layers.choose(RESNET, grid="auto").main.grid == 2


def test_class_tokens_stand_alone():
    choice = layers.choose(VIT, class_tokens=2, patch_mean=True)
    assert names(choice) == ("class tokens of the last 2 blocks, mean of the patch tokens", [])
    assert names(layers.choose(VIT, class_tokens=1))[0] == "class tokens of the last block"
    with pytest.raises(ValueError, match=r"a ViT with a class token .*got one without"):
        layers.choose(RESNET, class_tokens=1)
    with pytest.raises(ValueError, match="at most the blocks of the encoder, 3; got 4"):
        layers.choose(VIT, class_tokens=4)


def test_what_an_encoder_does_not_have_is_named():
    with pytest.raises(ValueError, match="a stage of the encoder, 0 to 2; got 3"):
        layers.choose(RESNET, stage=3)
    with pytest.raises(ValueError, match="must return maps; got one without"):
        layers.choose(RESNET._replace(maps=()), grid=2)


def test_layers_read_what_they_are_called():
    random = np.random.default_rng(0)
    output = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype("float32"), VIT)
    assert layers.POOLED.read(output) is output.pooled
    assert layers.Layer(1).read(output) is output.stages[1]
    np.testing.assert_array_equal(
        layers.Layer(0, 3).read(output), pooling.grid_pool(output.maps[0], 3)
    )
    assert layers.Layer(class_tokens=2, patch_mean=True).read(output).shape == (1, 3 * 64)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"grid": 0}, "grid must be at least 1; got 0"),
        ({"max_features": 0}, "max_features must be at least 1; got 0"),
        ({"class_tokens": 0}, "class_tokens must be at least 1; got 0"),
        ({"encoder": "pixels", "stage": 1}, "stage: pixels has no stages; got 1. Leave --stage"),
        ({"encoder": "pca", "grid": "auto"}, "grid: pca has no stages; got auto. Leave --grid"),
        ({"encoder": "pca", "class_tokens": 4}, "Leave --class-tokens out"),
        ({"class_tokens": 4, "grid": 2}, "must stand alone.*got --stage or --grid beside them"),
        ({"patch_mean": True}, "must stand behind class tokens; got none. Add --class-tokens"),
    ],
)
def test_options_that_do_not_go_together(fields, text):
    with pytest.raises(ValueError, match=text):
        Subject(**fields)
