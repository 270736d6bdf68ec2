import json
import re

import pytest

from jaxssl import models

CONFIGS = [
    models.ViTConfig(),
    models.ViTConfig("Nano", depth=2, pool="mean", scan_layers=True, mean=(0.5, 0.4, 0.3)),
    models.ResNetConfig(),
    models.ResNetConfig(18, width_multiplier=0.25, stem="small", std=(0.2, 0.2, 0.2)),
    models.ResNetConfig(18, color_space="ab", mean=(5.0, 1.0), std=(20.0,)),
    models.ConvNeXtConfig(),
    models.ConvNeXtConfig("Atto", depths=(1, 2, 3, 1), dims=(4, 8, 8, 16), stem_patch=1),
    models.SplitConfig(models.ResNetConfig(34, stem="small"), mean=(50.0,)),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_json_round_trip(config):
    name, fields = models.encoder_fields(config)
    restored = models.encoder_config(name, json.loads(json.dumps(fields)))
    assert restored == config
    assert hash(restored) == hash(config)
    assert type(restored.build(axis_name="data")).__name__ == name
    assert restored.build(axis_name="data").axis_name == "data"


def test_fields_left_out_take_their_default():
    assert models.encoder_config("ResNet", {"depth": 18}) == models.ResNetConfig(depth=18)


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("vit", {}, "ViT, ResNet, ConvNeXt, Split; got 'vit'. Did you mean \"ViT\"?"),
        (
            "Unet",
            {},
            "encoder_config: the encoder must be one of ViT, ResNet, ConvNeXt, Split; got",
        ),
        ("ConvNeXt", {"depth": 3}, "ConvNeXtConfig: a field must be one of size, depths, dims"),
        ("ViT", {"patchsize": 8}, "got 'patchsize'. Did you mean \"patch_size\"?"),
        ("ResNet", {"patch_size": 8}, "ResNetConfig: a field must be one of depth, width_multi"),
        ("Split", {"half": {"depths": 18}}, "ResNetConfig: a field must be one of depth, width_mu"),
        ("ViT", {"size": "XL"}, "ViTConfig: size must be one of"),
        ("ResNet", {"color_space": "hsv"}, "ResNetConfig: color_space must be one of 'rgb', 'li"),
    ],
)
def test_unknown_names_and_values(name, fields, text):
    with pytest.raises(ValueError, match=re.escape(text)) as raised:
        models.encoder_config(name, fields)
    assert "\n" not in str(raised.value)


def test_fields_of_another_type():
    text = (
        "encoder_fields: the config must be one of ViTConfig, ResNetConfig, ConvNeXtConfig, "
        "SplitConfig; got dict."
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        models.encoder_fields({})
