"""What docs/results.md says the recipes of a table have in common, asked of the recipes."""

import dataclasses

import pytest
import tiny_runs

from jaxssl import data, models
from jaxssl.runs import recipe

NUM_IMAGES = 60_000  # of Fashion-MNIST's training split
CLOTHES = [
    name
    for name in tiny_runs.NAMES
    if "fashion_mnist" in name
    and type(recipe.load(name).data) is data.ImageData  # no captions
    and name != "igpt_fashion_mnist"  # of fewer pixels
]
LONG = [name for name in CLOTHES if name.endswith("_long")]
# "The joint-embedding family", the rows with a ResNet.
JOINT = [
    f"{name}_fashion_mnist"
    for name in (
        "simclr", "dclw", "nnclr", "dcl", "moco_v3", "vicreg", "deep_cluster_v2", "barlow_twins",
        "moco_v1", "lejepa", "byol", "swav", "moco_v2", "dino", "simsiam", "wmse",
    )
]  # fmt: skip
VITS = ["moco_v3_vit_fashion_mnist", "dino_vit_fashion_mnist"]


def kinds(names, part, **own):
    """The different encoders, optimizers ... of recipes, apart from the fields they may choose."""
    parts = (getattr(recipe.load(name), part) for name in names)
    return {dataclasses.replace(each, **own) for each in parts}


def resnets(names):
    return [name for name in names if isinstance(recipe.load(name).encoder, models.ResNetConfig)]


def schedule(name):
    optimizer = recipe.load(name).optimizer
    return (
        optimizer.name, optimizer.base_learning_rate, optimizer.warmup_epochs,
        optimizer.final_fraction,
    )  # fmt: skip


def test_all_recipes_of_clothes_have_the_same_images():
    assert len(CLOTHES) >= 32
    assert len(kinds(CLOTHES, "data")) == 1


def test_joint_embedding_methods_have_the_same_encoder_and_468_steps():
    """Residual branches begin as in the code of each method."""
    (encoder,) = kinds(JOINT, "encoder", zero_init_residual=True)
    assert (encoder.depth, encoder.width_multiplier) == (18, 0.25)
    (training,) = kinds(JOINT, "training")
    assert training.plan(NUM_IMAGES // training.batch_size).total_steps == 468
    assert len({schedule(name) for name in JOINT}) == 1


@pytest.mark.parametrize("names", [("dcl", "dclw", "nnclr", "wmse"),
                                   ("barlow_twins", "byol", "vicreg"),
                                   ("swav", "deep_cluster_v2"),
                                   ("moco_v2", "simsiam"),
                                   ("moco_v3", "moco_v3_vit")])  # fmt: skip
def test_methods_of_a_kind_have_the_same_views(names):
    assert len({recipe.load(f"{name}_fashion_mnist").method.augment for name in names}) == 1


def test_the_vits_of_that_table_are_one_network_for_one_epoch():
    """Apart from what is the method's: how it begins, and where local crops lie."""
    (encoder,) = kinds(VITS, "encoder", initialization="mae", position_grid=None)
    assert (28 // encoder.patch_size) ** 2 == 16
    (training,) = kinds(VITS, "training")
    assert training.epochs == 1


def test_the_resnets_of_long_recipes_are_one_network():
    assert len(resnets(LONG)) == 5
    (encoder,) = kinds(resnets(LONG), "encoder", zero_init_residual=True)
    assert (encoder.depth, encoder.num_stages, encoder.width_multiplier) == (10, 2, 1.0)
    assert len({schedule(name) for name in resnets(LONG)}) == 1


def test_long_recipes_pass_over_the_images_as_often_as_is_said():
    said = {"simclr": 20, "rotation": 20, "byol": 10, "vicreg": 10, "mae": 30}
    found = {name: recipe.load(f"{name}_fashion_mnist_long").training.epochs for name in said}
    assert found == said


def test_classic_tasks_with_the_quarter_width_resnet_have_that_of_simclr():
    """But rotation, which has two stages of a wider one."""
    names = {name for name in resnets(CLOTHES) if name not in LONG} - {"rotation_fashion_mnist"}
    assert names > set(JOINT)
    assert len(kinds(names, "encoder", zero_init_residual=True)) == 1
