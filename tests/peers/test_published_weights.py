"""Weights of timm, torchvision and transformers in and out: the features of the real networks.

Random weights, far from their initialisation, so that no branch is near 0; two sizes of each. What
goes out is read by the programs themselves, by the line that ``jaxssl export`` prints.
"""

import dataclasses
import os
import warnings

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxssl import inputs, interop, models, named
from jaxssl.checkpoints import RestoredEncoder
from jaxssl.interop import recognition, resizing

os.environ["HF_HUB_OFFLINE"] = "1"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, not ours
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    timm = pytest.importorskip("timm")
    transformers = pytest.importorskip("transformers")
    import safetensors.torch

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
TOLERANCE = 1e-4  # of the largest feature
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 2}
LARGER = {"img_size": 48, "patch_size": 16, "embed_dim": 96, "depth": 3, "num_heads": 3}
AVERAGED = {"class_token": False, "global_pool": "avg", "fc_norm": False}


def of_timm(name, size, **arguments):
    return lambda: (timm.create_model(name, num_classes=0, **arguments), size)


def of_torchvision(name):
    def make():
        model = getattr(torchvision.models, name)()
        model.fc = torch.nn.Identity()
        return model, 64

    return make


def of_transformers(name, config, *, larger, **fields):
    """A model, and its name of what holds the encoder within it."""
    width, depth, heads, size, patch = (96, 3, 3, 48, 16) if larger else (64, 2, 2, 32, 8)
    fields = {
        "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads,
        "image_size": size, "patch_size": patch, **fields,
    }  # fmt: skip
    if "Dinov2" not in name:
        fields["intermediate_size"] = 4 * width
    made = getattr(transformers, config)(**fields)
    return lambda: (getattr(transformers, name)(made), size)


def huggingface(name, config, **fields):
    return {
        f"{name} {size}": of_transformers(name, config, larger=larger, **fields)
        for size, larger in (("small", False), ("larger", True))
    }


MODELS = {
    "torchvision resnet18": of_torchvision("resnet18"),
    "torchvision resnet50": of_torchvision("resnet50"),
    "timm resnet34": of_timm("resnet34", 64),
    "timm resnet50": of_timm("resnet50", 64, in_chans=1),
    "timm vit": of_timm("vit_small_patch16_224", 32, **SMALL),
    "timm vit larger": of_timm("vit_small_patch16_224", 48, **LARGER),
    "timm vit averaged": of_timm("vit_small_patch16_224", 32, **SMALL, **AVERAGED),
    "timm dinov2": of_timm("vit_small_patch14_dinov2", 32, **SMALL),
    "timm dinov2 registers": of_timm("vit_small_patch14_reg4_dinov2", 48, **LARGER),
    "timm dinov2 swiglu": of_timm("vit_giant_patch14_dinov2", 32, **SMALL, mlp_ratio=5.5),
    "timm convnext": of_timm("convnext_tiny", 64, depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)),
    "timm convnext_atto": of_timm("convnext_atto", 64),
    **huggingface("ViTModel", "ViTConfig"),
    **huggingface("ViTForImageClassification", "ViTConfig"),
    **huggingface("ViTMAEModel", "ViTMAEConfig"),
    **huggingface("IJepaModel", "IJepaConfig"),
    **huggingface("Dinov2Model", "Dinov2Config"),
    **huggingface("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig"),
    "Dinov2 swiglu": of_transformers(
        "Dinov2Model", "Dinov2Config", larger=False, use_swiglu_ffn=True
    ),
    **huggingface("DINOv3ViTModel", "DINOv3ViTConfig", num_register_tokens=2),
}


def random_model(make):
    """With weights, statistics and tables far from where they begin; those of MAE stay."""
    torch.manual_seed(0)
    model, size = make()
    for name, each in [*model.named_parameters(), *model.named_buffers()]:
        # What is in no file, such as the frequencies of positions, stays too.
        if name not in model.state_dict() or (
            "position_embeddings" in name and not each.requires_grad
        ):
            continue
        if each.is_floating_point() and each.numel():
            noise = torch.rand_like(each) if "running" in name else torch.randn_like(each)
            each.data += 0.05 * noise
    return model.eval(), size


def saved(model, folder):
    """Its files, as its own library writes them."""
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder)
    else:
        folder.mkdir(exist_ok=True)
        safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def theirs(model, images):
    """Pooled features and tokens of a model of any of the libraries."""
    x = torch.tensor(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        if isinstance(model, transformers.PreTrainedModel):
            base = getattr(model, "vit", model)
            if isinstance(model, transformers.ViTMAEModel):
                model.config.mask_ratio = 0.0
                count = model.embeddings.patch_embeddings.num_patches
                noise = torch.arange(count)[None].repeat(len(x), 1)
                tokens = model(x, noise=noise.float()).last_hidden_state
            else:
                tokens = base(x).last_hidden_state
            if tokens.ndim == 4:  # a ResNet's map
                return {"pooled": base(x).pooler_output[:, :, 0, 0].numpy()}
            registers = getattr(base.config, "num_register_tokens", 0)
            has_class = not isinstance(model, transformers.IJepaModel)
            return pooled(tokens, has_class, registers + has_class)
        if hasattr(model, "num_prefix_tokens"):
            tokens = model.forward_features(x)
            return pooled(tokens, model.has_class_token, model.num_prefix_tokens)
        return {"pooled": model(x).numpy()}


def pooled(tokens, has_class, num_extra):
    patches = tokens[:, num_extra:]
    found = tokens[:, 0] if has_class else patches.mean(1)
    return {"pooled": found.numpy(), "tokens": patches.numpy()}


def assert_same(found, expected):
    for name, values in expected.items():
        ours = np.asarray(getattr(found, name) if hasattr(found, name) else found[name])
        assert np.abs(ours - values).max() <= TOLERANCE * np.abs(values).max()


def images_for(size, channels):
    return np.random.default_rng(0).random((2, size, size, channels), np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_published_weights_give_the_features_of_the_real_network(name, tmp_path):
    model, size = random_model(MODELS[name])
    folder = saved(model, tmp_path / "model")
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    what = recognition.recognise(tensors, where=name)
    written = what.layout.write(what.layout.read(what.tensors, what.guess), what.guess)
    assert written.keys() == what.tensors.keys()
    for key, each in written.items():
        np.testing.assert_array_equal(each, what.tensors[key])

    heads = 3 if "larger" in name or "registers" in name else 2
    options = {"num_heads": heads} if name.startswith("timm vit") or "timm dino" in name else {}
    channels = what.guess.channels
    options |= {"image_size": size, "mean": (0.0,), "std": (1.0,)}
    encoder = interop.load(folder, interop.ImportConfig(**options))
    images = images_for(size, channels)
    assert_same(jax.jit(encoder)(images), theirs(model, images))


def vit(**fields):
    size = {"width": 64, "depth": 2, "num_heads": 2, "patch_size": 8}
    return models.ViTConfig(**(size | {"position": "learned"} | fields))


ENCODERS = {
    "resnet10": (models.ResNetConfig(10), ("timm", "torchvision", "hf")),
    "resnet50": (models.ResNetConfig(50), ("timm", "torchvision", "hf")),
    "vit": (vit(), ("timm", "hf")),
    "vit sincos": (vit(position="sincos", scan_layers=True), ("timm", "hf")),
    "vit averaged": (vit(pool="mean", position="sincos"), ("timm", "hf")),
    "vit registers": (vit(num_registers=3), ("timm", "hf")),
    "vit swiglu": (vit(mlp="swiglu"), ("timm", "hf")),
    "vit of DINOv2": (vit(num_registers=4, layer_scale=0.1, mlp="swiglu"), ("timm", "hf")),
    "vit averaged registers": (vit(pool="mean", num_registers=2), ("timm",)),
    "vit of DINOv3": (vit(position="rope", num_registers=4, layer_scale=0.1), ("hf",)),
    "vit rope swiglu": (vit(position="rope", mlp="swiglu"), ("hf",)),
    "convnext": (models.ConvNeXtConfig(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)), ("timm",)),
    "convnext Atto": (models.ConvNeXtConfig("Atto"), ("timm",)),
}
CASES = [(name, to) for name, (_, programs) in ENCODERS.items() for to in programs]


@pytest.mark.parametrize(("name", "to"), CASES)
def test_what_leaves_is_read_by_the_program_itself(name, to, tmp_path):
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    config = dataclasses.replace(ENCODERS[name][0], mean=mean, std=std)
    module = config.build()
    images = images_for(32, 3)
    generator = np.random.default_rng(1)

    def moved(leaf):
        noise = 0.05 * generator.normal(size=leaf.shape)
        noise = np.abs(noise) if leaf.ndim == 1 else 0.2 * noise  # variances stay above 0
        return np.float32(np.asarray(leaf) + noise)

    variables = jax.tree.map(moved, jax.jit(module.init)(jax.random.key(0), images))
    meta = {"inputs": inputs.to_json(inputs.of_image(32, 3)), "encoder": named.to_json(config)}
    encoder = RestoredEncoder(module, variables, meta)

    made = interop.export(encoder, to, tmp_path / "out")

    namespace = {each.__name__: each for each in (torch, timm, torchvision, transformers)}
    namespace["safetensors"] = safetensors
    if to == "torchvision":
        exec(made.usage, namespace)
        model = namespace["model"]
    else:
        model = eval(made.usage, namespace)
    if to == "timm":
        said = timm.data.resolve_model_data_config(model)
        assert (tuple(said["mean"]), tuple(said["std"])) == (mean, std)
        assert tuple(said["input_size"]) == (3, 32, 32)
    if to == "hf":
        said = transformers.AutoImageProcessor.from_pretrained(made.path)
        assert (tuple(said.image_mean), tuple(said.image_std)) == (mean, std)
    expected = theirs(model.eval(), ((images - mean) / std).astype(np.float32))
    assert_same(jax.jit(encoder)(images), expected)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("sides", [(7, 5), (5, 12), (37, 16), (16, 16)])
def test_tables_of_positions_are_resized_as_pytorch_does(sides, antialias):
    before, after = sides
    table = np.random.default_rng(0).normal(size=(before, before, 3)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.tensor(table.transpose(2, 0, 1)[None]),
        size=(after, after), mode="bicubic", align_corners=False, antialias=antialias,
    )  # fmt: skip
    found = resizing.resize(table, after, antialias=antialias)
    np.testing.assert_allclose(found, expected[0].numpy().transpose(1, 2, 0), atol=2e-6)


def test_a_file_of_torch_save_is_read_without_torch(tmp_path):
    model, _ = random_model(of_timm("vit_small_patch16_224", 32, **SMALL))
    state = {f"module.{name}": each for name, each in model.state_dict().items()}
    state["module.shared"] = state["module.norm.weight"]  # one storage, two tensors
    state["module.turned"] = state["module.blocks.0.mlp.fc1.weight"].T
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth")
    found = interop.load(tmp_path / "a.pth", interop.ImportConfig(num_heads=2))
    safetensors.torch.save_file(model.state_dict(), tmp_path / "a.safetensors")
    expected = interop.load(tmp_path / "a.safetensors", interop.ImportConfig(num_heads=2))
    for left, right in zip(*map(jax.tree.leaves, (found.variables, expected.variables))):
        np.testing.assert_array_equal(left, right)
