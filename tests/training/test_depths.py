"""How deep parameters lie, in every encoder that has layers, and the rates that follow."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import models
from jaxssl.training import depths, optimizers
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import Plan

PLAN = Plan(batch_size=256, steps_per_epoch=10, total_steps=100)
DECAYED = OptimizerConfig(name="sgd", base_learning_rate=1, momentum=0, weight_decay=0,
                          warmup_epochs=0, layer_decay=0.5)  # fmt: skip


def params_of(encoder):
    init = encoder.build().init
    images = jnp.zeros((1, 32, 32, 3), jnp.uint8)
    variables = jax.eval_shape(lambda: init(jax.random.key(0), images))
    head = {"kernel": jax.ShapeDtypeStruct((2, 2), jnp.float32)}
    return {"encoder": variables["params"], "head": head}


def named_depths(encoder):
    found, end = depths.of(params_of(encoder))
    by_name = {}
    for path, depth in jax.tree_util.tree_leaves_with_path(found):
        name = "/".join(entry.key for entry in path[:2])
        by_name.setdefault(name, set()).update(np.ravel(depth).tolist())
    return by_name, end


def test_of_a_transformer_with_all_that_stands_before_its_blocks():
    encoder = dataclasses.replace(
        tiny.ENCODERS["ViTClass"], position="learned", num_registers=1, layer_scale=0.1
    )
    found, end = named_depths(encoder)
    assert end == 3
    first = {"class_token", "class_position", "position", "registers", "patch_embedding"}
    assert found == {f"encoder/{name}": {0} for name in first} | {
        "encoder/block_0": {1}, "encoder/block_1": {2}, "encoder/norm": {3}, "head/kernel": {3},
    }  # fmt: skip


def test_of_convolutional_networks():
    found, end = named_depths(tiny.ENCODERS["ResNet"])
    assert end == 5
    assert found["encoder/stem_conv"] == found["encoder/stem_norm"] == {0}
    assert [found[f"encoder/stage{stage}_block1"] for stage in (1, 2, 3, 4)] == [{1}, {2}, {3}, {4}]
    config = models.ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), stem_patch=2)
    found, end = named_depths(config)
    assert end == 5 and found["encoder/norm"] == {5} and found["encoder/stem_norm"] == {0}
    assert found["encoder/stage3_downsample_conv"] == found["encoder/stage3_block1"] == {3}
    found, end = named_depths(tiny.ENCODERS["Split"])
    assert end == 5 and found["encoder/lightness"] == {0, 1, 2, 3, 4}


def updates_of(config, params):
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), params)
    optimizer = optimizers.build(config, PLAN)
    return optimizer.update(ones, optimizer.init(ones), ones)[0]


def test_stacked_blocks_move_as_blocks_of_their_own():
    one = tiny.ENCODERS["ViT"]
    apart = updates_of(DECAYED, params_of(one))
    stacked = updates_of(DECAYED, params_of(dataclasses.replace(one, scan_layers=True)))
    unstacked = models.unstack_layers(stacked["encoder"])
    jax.tree.map(np.testing.assert_array_equal, unstacked, apart["encoder"])
    assert np.unique(apart["encoder"]["block_0"]["mlp_in"]["kernel"]) == [-0.25]
    assert np.unique(apart["encoder"]["patch_embedding"]["kernel"]) == [-0.125]
    assert np.unique(apart["head"]["kernel"]) == np.unique(apart["encoder"]["norm"]["bias"]) == [-1]


def test_it_is_off_by_default():
    params = params_of(tiny.ENCODERS["ViT"])
    like = dataclasses.replace(DECAYED, layer_decay=1.0)
    assert OptimizerConfig().layer_decay == 1
    assert {float(each) for leaf in jax.tree.leaves(updates_of(like, params))
            for each in np.unique(leaf)} == {-1.0}  # fmt: skip


def test_it_takes_an_encoder_with_layers():
    params = params_of(tiny.ENCODERS["Small"])
    with pytest.raises(ValueError, match=r"optimizer\.layer_decay: must be 1 where the encoder"):
        updates_of(DECAYED, params)
    with pytest.raises(ValueError, match=r"layer_decay: must be in \(0, 1\]; got 0"):
        OptimizerConfig(layer_decay=0)
