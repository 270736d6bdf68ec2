"""Recipes of a method's and an encoder's names."""

import pytest

from jaxssl import methods, models
from jaxssl.runs import combining, recipe


def test_a_method_with_a_recipe_for_photos_takes_it():
    dino = recipe.load("photos_dino")
    assert combining.combine("dino", None) == combining.combine("DINO", "vit-s/16") == dino
    larger = combining.combine("dino", "vit-b/8")
    assert (larger.encoder.size, larger.encoder.patch_size) == ("B", 8)
    assert larger.encoder.initialization == dino.encoder.initialization
    assert (larger.method, larger.optimizer) == (dino.method, dino.optimizer)


def test_any_other_method_has_the_numbers_of_its_paper_and_what_its_recipe_says_beside():
    found = combining.combine("moco-v3", "vit-s/16")
    assert found.method == methods.all_configs()["MoCoV3"]()
    assert found.encoder.initialization == "moco_v3" and found.encoder.dimensions.width == 384
    assert (found.data.path, found.data.image_size, found.data.channels) == ("", 224, 3)
    rates = found.optimizer.base_learning_rate, found.optimizer.warmup_epochs
    assert rates == (combining.OPTIMIZER.base_learning_rate, combining.OPTIMIZER.warmup_epochs)
    assert combining.combine("simsiam", "resnet-50").optimizer.constant_rate == ("predictor",)
    color = combining.combine("colorization", "resnet-50").encoder
    assert (color.color_space, color.depth, color.width_multiplier) == ("lightness", 50, 1.0)
    # Published views of fewer pixels are cut out of images that have more.
    assert combining.combine("context_encoder", "resnet-18").data.image_size == 224
    assert combining.combine("jigsaw", "resnet-50").data.image_size == 255
    assert combining.combine("clip", "vit-s/16").encoder.image.size == "S"


def test_what_depends_on_the_kind_of_encoder_follows_it():
    simclr = recipe.load("photos_simclr")
    assert combining.with_encoder(simclr, "resnet-18").optimizer == simclr.optimizer
    assert combining.with_encoder(simclr, "vit-s/16").optimizer == combining.OPTIMIZER
    dino = combining.combine("dino", "resnet-50")
    assert (dino.method.drop_path, recipe.load("photos_dino").method.drop_path) == (0, 0.1)
    dino.method.build(dino.encoder.build(), axis_name=None)
    grid = combining.combine("ibot", "vit-s/16").encoder.position_grid
    assert grid == recipe.load("ibot_fashion_mnist").encoder.position_grid * 14 // 4


def test_every_method_that_learns_from_images_can_be_had():
    """But those of texts, that of labels, and that of two halves."""
    refused = []
    for name in methods.all_configs():
        try:
            found = combining.combine(name, "resnet-18")
        except ValueError:
            refused.append(name)
        else:
            assert isinstance(getattr(found.encoder, "image", found.encoder), models.ResNetConfig)
    assert sorted(refused) == ["BERT", "GPT", "SplitBrain", "Supervised"]


@pytest.mark.parametrize(
    ("method", "encoder", "text"),
    [
        ("simklr", "resnet-18", r"^--method: .*; got 'simklr'\. Did you mean \"simclr\"\?$"),
        ("xyz", "resnet-18", r"got 'xyz'\. There are aim, autoencoder, barlow_twins, "),
        ("byol", None, r"^--method byol: must come with --encoder, as no recipe says which; such"),
        ("byol", "resnet81", r"^encoder: .*Did you mean \"resnet-18\"\?"),
        ("gpt", "vit-s/16", r"^--method gpt: .* from images .*; got GPT\. See jaxssl recipes\.$"),
        ("supervised", "vit-s/16", r"without labels; got Supervised\. See jaxssl finetune\.$"),
        ("split_brain", "resnet-18", r"^--encoder resnet-18: must be left out .*; got a Split\."),
    ],
)
def test_what_cannot_be_combined_is_one_line(method, encoder, text):
    with pytest.raises(ValueError, match=text):
        combining.combine(method, encoder)
