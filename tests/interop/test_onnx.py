"""Encoders as ONNX files: drawn operator by operator, and run before they count."""

import importlib.util
import json
import warnings

import pytest
from random_encoders import MEAN, STD, encoder_of, vit

from jaxssl import cli, interop, models
from jaxssl.checkpoints import RestoredEncoder, save_encoder
from jaxssl.interop import onnx_file, operators

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, not ours
    onnx = pytest.importorskip("onnx", reason='needs the package onnx: pip install "jaxssl[onnx]"')

STANDARDISED = {"mean": MEAN, "std": STD}
CONVNEXT = models.ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), **STANDARDISED)
SMALL = models.ResNetConfig(10, stem="small", width_multiplier=0.125, num_stages=1, **STANDARDISED)
EVERYTHING = {"layer_scale": 0.1, "mlp": "swiglu", "num_registers": 2, "scan_layers": True}
slow = pytest.mark.slow


# Odd sides, whose windows at the border show how a map is padded.
@pytest.mark.parametrize(
    ("config", "size"),
    [
        pytest.param(models.ResNetConfig(10, width_multiplier=0.125, **STANDARDISED), 37),
        pytest.param(
            models.ResNetConfig(50, stem="small", width_multiplier=0.125, num_stages=2),
            7,
            marks=slow,
        ),
        pytest.param(
            models.ResNetConfig(10, stem="patch", width_multiplier=0.125, mean=(0.5,)),
            12,
            marks=slow,
        ),
        pytest.param(vit(position="learned", dtype="bfloat16", **EVERYTHING), 16),
        pytest.param(vit(position="rope", pool="mean"), 16),
        pytest.param(vit(position_grid=3, pool="mean", causal=True), 16, marks=slow),
        pytest.param(CONVNEXT, 37),
    ],
    ids=["resnet", "bottlenecks", "patch_stem", "vit", "rope", "causal", "convnext"],
)
def test_it_gives_the_features_of_the_encoder(tmp_path, config, size):
    made = interop.export(encoder_of(config, size=size), "onnx", tmp_path / "out")
    assert made.difference < 1e-5
    assert {each.name for each in made.path.iterdir()} == {"encoder.onnx", "preprocessing.json"}


@slow
def test_a_table_of_positions_is_resized_as_the_encoder_does(tmp_path):
    config = vit(position="learned")
    small, large = (encoder_of(config, size=size) for size in (16, 24))
    resized = RestoredEncoder(small.module, small.variables, large.meta)
    assert interop.export(resized, "onnx", tmp_path / "out").difference < 1e-5


def test_the_file_says_what_it_takes_and_gives(tmp_path):
    made = interop.export(encoder_of(SMALL, size=8), "onnx", tmp_path / "out")

    model = onnx.load(made.path / "encoder.onnx")
    shapes = {
        each.name: [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim]
        for each in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {
        "images": ["batch", 3, 8, 8],
        "pooled": ["batch", 8],
        "tokens": ["batch", 64, 8],
    }
    assert [each.version for each in model.opset_import] == [17]
    beside = json.loads((made.path / "preprocessing.json").read_text())
    within = {each.key: json.loads(each.value) for each in model.metadata_props}
    assert within == beside
    assert (within["image_size"], within["channels"], within["range"]) == (8, 3, [0, 1])
    assert (within["mean"], within["std"]) == ([0] * 3, [1] * 3)  # they are in the graph
    assert within["encoder"]["fields"]["mean"] == list(MEAN)
    assert made.usage == (
        f'onnxruntime.InferenceSession("{tmp_path}/out/encoder.onnx")'
        '.run(["pooled"], {"images": images})'
    )


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(operators, "BATCH_NORM_EPSILON", 1e-3)
    with pytest.raises(ValueError, match=r"features must be the encoder's own up to 0\.0001"):
        interop.export(encoder_of(SMALL, size=8), "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_one_line(tmp_path, monkeypatch, capsys):
    half = models.ResNetConfig(10, num_stages=1)
    encoder = encoder_of(models.SplitConfig(half=half))
    save_encoder(tmp_path / "run", encoder.variables, encoder.meta)
    assert cli.main(["export", str(tmp_path / "run"), str(tmp_path / "a"), "--to", "onnx"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "must be a ResNet, ViT or ConvNeXt of one square image; got a Split" in line

    whole = encoder_of(vit())
    with monkeypatch.context() as context:
        context.setattr(onnx_file, "MAX_BYTES", 1000)
        with pytest.raises(ValueError, match="weights must be below 2 GiB for an ONNX file; got"):
            interop.export(whole, "onnx", tmp_path / "a")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "jaxssl\[onnx\]"'):
        interop.export(whole, "onnx", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_every_kind_of_published_encoder_is_drawn():
    kinds = {models.ResNetConfig, models.ViTConfig, models.ConvNeXtConfig}
    assert onnx_file.all_drawings().keys() == kinds
