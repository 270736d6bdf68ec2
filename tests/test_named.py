"""Configs by the names of their classes: what is written is read back, and nothing else is made."""

import dataclasses
import json
import re

import pytest

from jaxssl import data, methods, models, named

ENCODERS = [
    models.ViTConfig(),
    models.ViTConfig("Nano", depth=2, pool="mean", scan_layers=True, mean=(0.5, 0.4, 0.3)),
    models.ResNetConfig(),
    models.ResNetConfig(18, width_multiplier=0.25, stem="small", std=(0.2, 0.2, 0.2)),
    models.ResNetConfig(18, color_space="ab", mean=(5.0, 1.0), std=(20.0,)),
    models.ConvNeXtConfig(),
    models.ConvNeXtConfig("Atto", depths=(1, 2, 3, 1), dims=(4, 8, 8, 16), stem_patch=1),
    models.SplitConfig(models.ResNetConfig(34, stem="small"), mean=(50.0,)),
]


@dataclasses.dataclass(frozen=True)
class OwnConfig:
    """An encoder of somebody's own."""

    width: int = 4

    def build(self, *, axis_name=None):
        return (self.width, axis_name)


@dataclasses.dataclass
class Changeable:
    def build(self):
        pass


def encoder(entry):
    return named.from_json(entry, room="jaxssl.models", does="build")


@pytest.mark.parametrize("config", [*ENCODERS, OwnConfig(7)], ids=str)
def test_what_is_written_is_read_back(config):
    written = json.loads(json.dumps(named.to_json(config)))
    restored = encoder(written)
    assert restored == config and hash(restored) == hash(config)
    assert written["name"] == f"{type(config).__module__}:{type(config).__name__}"


@pytest.mark.parametrize("config", ENCODERS, ids=str)
def test_a_module_is_of_the_axis_it_is_built_for(config):
    assert config.build(axis_name="data").axis_name == "data"
    assert type(config.build()).__name__ == named.short(config)


def test_short_names_of_earlier_records_are_found():
    entry = {"name": "ResNet", "fields": {"depth": 18}}
    assert encoder(entry) == models.ResNetConfig(depth=18)
    found = named.find("SimCLR", room="jaxssl.methods", does="build")
    assert found is methods.all_configs()["SimCLR"]
    assert named.find("ImageData", room="jaxssl.data", does="open") is data.ImageData


def test_short_names():
    assert [named.short(each) for each in (models.ViTConfig(), models.ViTConfig)] == ["ViT"] * 2
    assert named.short("jaxssl.methods.simclr:SimCLR") == named.short("SimCLR") == "SimCLR"


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("Vit", {}, "jaxssl.models: must be one of ConvNeXt, Dual, ResNet, Split, TextTransf"),
        ("Vit", {}, "got 'Vit'. Did you mean \"ViT\"?"),
        ("nosuch.module:Config", {}, "the module must be importable; got No module named 'nosuch'"),
        ("jaxssl.models.vit:VitConfig", {}, 'got no such class. Did you mean "ViTConfig"?'),
        ("jaxssl.models.vit:ViT", {}, "must be a frozen dataclass with build(); got type"),
        ("subprocess:Popen", {"args": ["true"]}, "must be a frozen dataclass with build(); got"),
        ("os:system", {"command": "true"}, "must be a frozen dataclass with build(); got builtin"),
        (f"{__name__}:Changeable", {}, "must be a frozen dataclass with build(); got type"),
        ("ConvNeXt", {"depth": 3}, "ConvNeXtConfig: a field must be one of size, depths, dims"),
        ("ViT", {"patchsize": 8}, "got 'patchsize'. Did you mean \"patch_size\"?"),
        ("Split", {"half": {"depths": 18}}, "ResNetConfig: a field must be one of depth, width_mu"),
        ("ViT", {"size": "XL"}, "ViTConfig: size must be one of"),
        ("ResNet", {"color_space": "hsv"}, "ResNetConfig: color_space must be one of 'rgb', 'li"),
    ],
)
def test_nothing_else_is_made_of_a_name(name, fields, text):
    with pytest.raises(ValueError, match=re.escape(text)) as raised:
        encoder({"name": name, "fields": fields})
    assert "\n" not in str(raised.value)
