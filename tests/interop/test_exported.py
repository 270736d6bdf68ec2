"""Encoders leave for other programs: compared before they count, with what their images go through.

That those programs read them as they are meant is shown beside them (tests/peers).
"""

import importlib.util
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from random_encoders import MEAN, STD, encoder_of, vit

import jaxssl
from jaxssl import cli, interop, models
from jaxssl.checkpoints import RestoredEncoder, save_encoder
from jaxssl.interop import exported, layout, outgoing, recognition


def read(path):
    return json.loads(path.read_text())


def test_a_folder_for_timm(tmp_path):
    encoder = encoder_of(vit(num_registers=2, position="learned", scan_layers=True))
    made = jaxssl.export(encoder, "timm", tmp_path / "out")

    assert made.difference < 1e-5
    assert made.usage == f'timm.create_model("local-dir:{tmp_path}/out", pretrained=True)'
    assert {each.name for each in made.path.iterdir()} == {"config.json", "model.safetensors"}
    said = read(made.path / "config.json")
    assert said["model_args"]["num_heads"] == 2 and said["model_args"]["reg_tokens"] == 2
    assert said["pretrained_cfg"]["mean"] == list(MEAN)
    assert said["pretrained_cfg"]["input_size"] == [3, 16, 16]
    back = interop.load(made.path)
    assert (back.module.config.mean, back.module.config.std) == (MEAN, STD)
    assert back.module.config.dimensions == encoder.module.config.dimensions
    with safetensors.safe_open(made.path / "model.safetensors", "numpy") as opened:
        header = json.loads(opened.metadata()["preprocessing"])
    assert (header["image_size"], header["range"], header["std"]) == (16, [0, 1], list(STD))


@pytest.mark.parametrize(
    ("fields", "model", "has"),
    [
        ({}, "ViTModel", set()),
        pytest.param({"pool": "mean"}, "IJepaModel", set(), marks=pytest.mark.slow),
        pytest.param(
            {"num_registers": 2},
            "Dinov2WithRegistersModel",
            {"embeddings.mask_token"},
            marks=pytest.mark.slow,
        ),
        ({"position": "rope"}, "DINOv3ViTModel", {"embeddings.mask_token"}),
    ],
    ids=["class", "mean", "registers", "rope"],
)
def test_a_folder_for_hugging_face(tmp_path, fields, model, has):
    made = interop.export(encoder_of(vit(**fields)), "hf", tmp_path / "out")

    said, processor = (
        read(made.path / name) for name in ("config.json", "preprocessor_config.json")
    )
    assert said["architectures"] == [model]
    assert (said["num_attention_heads"], said["layer_norm_eps"]) == (2, 1e-6)
    assert processor["image_mean"] == list(MEAN) and processor["image_std"] == list(STD)
    assert processor["crop_size"] == {"height": 16, "width": 16}
    assert has <= set(safetensors.numpy.load_file(made.path / "model.safetensors"))


def test_leaves_under_their_own_names(tmp_path):
    encoder = encoder_of(vit(dtype="bfloat16"))
    made = interop.export(encoder, "safetensors", tmp_path / "out")
    found = safetensors.numpy.load_file(made.path / "model.safetensors")
    expected = layout.flat(encoder.variables)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(found[path], leaf)
    assert read(made.path / "preprocessing.json")["mean"] == list(MEAN)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "to"), [(10, "torchvision"), (50, "hf")])
def test_a_resnet(tmp_path, depth, to):
    config = models.ResNetConfig(depth, mean=(0.5,), std=(0.25,))
    made = interop.export(encoder_of(config, size=32), to, tmp_path / "out")
    assert made.difference < 1e-5
    tensors = safetensors.numpy.load_file(made.path / "model.safetensors")
    counters = [name for name in tensors if name.endswith("num_batches_tracked")]
    assert {tensors[name].shape for name in counters} == {()}
    assert len(counters) == sum(name.endswith("running_var") for name in tensors) > 0
    if to == "torchvision":
        assert "BasicBlock, [1, 1, 1, 1]" in made.usage
        assert read(made.path / "preprocessing.json")["mean"] == [0.5] * 3


def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    write = outgoing.write_tensors

    def exchanged(*arguments):
        tensors = write(*arguments)
        names = [f"blocks.{index}.attn.proj.weight" for index in (0, 1)]
        return tensors | {names[0]: tensors[names[1]], names[1]: tensors[names[0]]}

    monkeypatch.setattr(outgoing, "write_tensors", exchanged)
    with pytest.raises(ValueError, match=r"features must be the encoder's own up to 0\.0001"):
        interop.export(encoder_of(vit()), "timm", tmp_path / "new" / "out")
    assert not list(tmp_path.iterdir())


def test_weights_that_give_no_finite_features_are_refused(tmp_path):
    whole = encoder_of(vit())
    leaves = jax.tree.map(lambda leaf: 1e30 * leaf, whole.variables)
    huge = RestoredEncoder(whole.module, leaves, whole.meta)
    with pytest.raises(ValueError, match="features must be finite; got NaN or infinity of rand"):
        interop.export(huge, "timm", tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_what_a_program_has_no_network_for_is_refused(tmp_path):
    def refused(config, to, **fed):
        with pytest.raises(ValueError) as caught:
            interop.export(encoder_of(config, **fed), to, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    small = models.ResNetConfig(10, stem="small", width_multiplier=0.25, num_stages=2)
    assert 'stem must be "imagenet"' in refused(small, "timm")
    assert "torchvision has no ViT" in refused(vit(), "torchvision")
    assert 'pool must be "class"' in refused(vit(pool="mean", position="rope"), "hf")
    assert "position must be another" in refused(vit(position="rope"), "timm")
    lab = models.ResNetConfig(10, color_space="lab", num_stages=1)
    assert "color_space rgb" in refused(lab, "safetensors")
    assert "must be a ResNet, ViT or ConvNeXt" in refused(models.SplitConfig(half=small), "hf")
    grey = models.ResNetConfig(10)
    assert "channels must be 3 for torchvision" in refused(grey, "torchvision", channels=1)
    assert 'Did you mean "timm"?' in refused(vit(), "tim")


def test_the_command_exports_and_says_what_it_refuses(tmp_path, capsys):
    encoder = encoder_of(vit())
    save_encoder(tmp_path / "run", encoder.variables, encoder.meta)
    words = ["export", str(tmp_path / "run"), str(tmp_path / "out"), "--to"]
    assert cli.main([*words, "timm"]) == 0
    assert "next, in Python: timm.create_model" in capsys.readouterr().out
    for program, said in (("timm", "OUT must not exist"), ("tim", "invalid choice")):
        assert cli.main([*words, program]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["export", str(tmp_path), str(tmp_path / "b"), "--to", "hf"]) == 2
    assert "must hold a complete checkpoint" in capsys.readouterr().err


def test_a_computation_needs_flatbuffers(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "jaxssl\[stablehlo\]"'):
        interop.export(encoder_of(vit()), "stablehlo", tmp_path / "out")
    assert not list(tmp_path.iterdir())


READ = """
import json, sys, jax, numpy as np
from jax import export
folder = sys.argv[1]
graph = export.deserialize(bytearray(open(f"{folder}/encoder.stablehlo", "rb").read()))
images = np.load(f"{folder}/images.npy")
for count in (1, 3):
    np.save(f"{folder}/pooled{count}.npy", graph.call(images[:count])["pooled"])
assert not {"flax", "jaxssl"} & set(sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize("config", [vit(scan_layers=True), models.ConvNeXtConfig("Atto")])
def test_a_computation_is_read_where_there_is_only_jax(tmp_path, config):
    pytest.importorskip("flatbuffers")
    encoder = encoder_of(config, size=32)
    made = interop.export(encoder, "stablehlo", tmp_path / "out")
    images = np.random.default_rng(1).random((3, 32, 32, 3), np.float32)
    np.save(made.path / "images.npy", images)
    subprocess.run([sys.executable, "-c", READ, made.path], check=True, cwd=tmp_path)
    expected = jax.jit(encoder)(images).pooled
    for count in (1, 3):
        found = np.load(made.path / f"pooled{count}.npy")
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4, atol=1e-4)


def test_programs_and_layouts_agree():
    names = {name for each in recognition.all_layouts().values() for name in each.programs}
    assert names == exported.all_programs().keys()
