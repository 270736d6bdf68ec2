"""Short names of encoders."""

import dataclasses

import pytest

from jaxssl import models
from jaxssl.models import names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet-50", models.ResNetConfig(depth=50)),
        ("ResNet-18", models.ResNetConfig(depth=18)),
        ("vit-ti/16", models.ViTConfig(size="Ti")),
        ("vit-b/10", models.ViTConfig(size="B", patch_size=10)),
        ("convnext-tiny", models.ConvNeXtConfig(size="T")),
        ("convnext-atto", models.ConvNeXtConfig(size="Atto")),
    ],
)
def test_a_name_is_the_published_network(name, expected):
    assert names.kind(name) is type(expected)
    for other in (models.ResNetConfig(), models.ViTConfig(), models.ConvNeXtConfig()):
        assert names.apply(name, other) == expected


def test_a_name_says_the_size_alone():
    vit = models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4, pool="mean", std=(0.5,))
    of_the_size = {"size": "S", "width": None, "depth": None, "num_heads": None, "patch_size": 8}
    assert names.apply("vit-s/8", vit) == dataclasses.replace(vit, **of_the_size)
    resnet = models.ResNetConfig(depth=10, width_multiplier=0.25, stem="small", num_stages=2)
    assert names.apply("resnet-34", resnet) == models.ResNetConfig(depth=34, stem="small")


def test_what_an_encoder_sees_goes_over_to_another_kind():
    sees = {"color_space": "lightness", "mean": (50.0,), "std": (25.0,), "dtype": "bfloat16"}
    vit = models.ViTConfig(pool="mean", **sees)
    assert names.apply("resnet-18", vit) == models.ResNetConfig(depth=18, **sees)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet50", ' Did you mean "resnet-50"?'),
        ("vit-s16", ' Did you mean "vit-s/16"?'),
        ("convnext-t", ' Did you mean "convnext-tiny"?'),
        ("vit-s/0", ' Did you mean "vit-s/8"?'),
        ("mobile", ""),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, near):
    with pytest.raises(ValueError, match=r"^encoder: must be a name such as resnet-18, ") as error:
        names.apply(name, models.ResNetConfig())
    assert str(error.value).endswith(f"got {name!r}.{near}")
