"""Files of weights as other programs write them, made without those programs."""

import collections
import dataclasses
import io
import pickle
import sys
import types
import zipfile

import numpy as np

from jaxssl import models
from jaxssl.interop import recognition
from jaxssl.interop.layout import Guess

_TINY = models.ViTConfig(width=8, depth=2, num_heads=2, patch_size=4, position="learned")
_ROPE = {"position": "rope", "norm_epsilon": 1e-5}


def vit(image_size=16, **fields):
    """A guess of a tiny ViT."""
    return Guess(dataclasses.replace(_TINY, **fields), image_size, 3)


# Guesses that each layout can say, by its name; their ViTs have the heads of ``--num-heads 2``.
GUESSES = {
    "ResNet of torchvision and timm": [Guess(models.ResNetConfig(10), None, 3)],
    "ViT of timm": [
        vit(),
        vit(pool="mean"),
        vit(layer_scale=1e-5, mlp="swiglu"),
        vit(position="sincos"),
    ],
    "ViT of timm with registers": [vit(num_registers=3, layer_scale=1e-5)],
    "ViT of DINOv2": [vit(num_registers=2, layer_scale=1e-5, mlp="swiglu")],
    "ViT of Hugging Face": [
        vit(norm_epsilon=1e-12),
        vit(norm_epsilon=1e-12, pool="mean", position="sincos"),
    ],
    "DINOv2 of Hugging Face": [
        vit(layer_scale=1e-5),
        vit(layer_scale=1e-5, num_registers=2, mlp="swiglu"),
    ],
    "DINOv3 of Hugging Face": [vit(None, layer_scale=1e-5, num_registers=2, **_ROPE)],
    "DINOv3 of Hugging Face with key bias": [vit(None, layer_scale=1e-5, mlp="swiglu", **_ROPE)],
    "ResNet of Hugging Face": [Guess(models.ResNetConfig(10), None, 1)],
    "ConvNeXt of timm": [
        Guess(models.ConvNeXtConfig(depths=(1, 1, 2, 1), dims=(4, 8, 8, 16)), None, 3)
    ],
    "ConvNeXt of timm with conv_mlp": [
        Guess(models.ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16)), None, 1)
    ],
}


def tensors(layout, guess, seed=0):
    """Random tensors of a layout; fixed ones as they are."""
    generator = np.random.default_rng(seed)
    layout = recognition.all_layouts()[layout]
    fixed = {
        tie.tensors[0]: tie.write([])[0]
        for tie in layout.ties(guess.config, guess.fed)
        if not tie.leaves
    }
    return {
        name: fixed.get(name, np.abs(generator.normal(size=shape)).astype(np.float32))
        for name, shape in layout.shapes(guess).items()
    }


class Storage:
    """Stands for a storage of PyTorch: pickled by what torch calls it, its numbers beside."""

    def __init__(self, array, key):
        self.array, self.key = array, key


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            kind = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}
            cls = getattr(sys.modules["torch"], kind[value.array.dtype.name])
            return "storage", cls, value.key, "cpu", value.array.size
        return None


def write_pth(path, value, *, compression=zipfile.ZIP_STORED, byteorder=b"little"):
    """What torch.save writes of dictionaries of arrays; other values are pickled as they are."""
    storages = []
    with _torch() as rebuild:
        written = io.BytesIO()
        _Pickler(written, protocol=2).dump(_as_torch(value, storages, rebuild))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", written.getvalue())
        archive.writestr("archive/byteorder", byteorder)
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.array.tobytes())
    return path


class Tensor:
    """A tensor of torch.save with any form, also one that its storage does not hold."""

    def __init__(self, array, offset, size, stride):
        self.form = array, offset, size, stride


class _Rebuilt:
    def __init__(self, rebuild, form):
        self.call = rebuild, form

    def __reduce__(self):
        return self.call


def _as_torch(value, storages, rebuild):
    if isinstance(value, dict):
        made = type(value)()
        for name, each in value.items():
            made[name] = _as_torch(each, storages, rebuild)
        return made
    if isinstance(value, np.ndarray):
        step = value.itemsize
        strides = tuple(each // step for each in value.strides)
        value = Tensor(value, 0, value.shape, strides)
    if isinstance(value, Tensor):
        array, offset, size, stride = value.form
        storages.append(Storage(array.ravel(order="K"), str(len(storages))))
        hooks = collections.OrderedDict()
        form = (storages[-1], offset, size, stride, False, hooks)
        return _Rebuilt(rebuild, form)
    return value


class _torch:
    """Modules of the names that torch's own have, so that the pickle names those."""

    def __enter__(self):
        top, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
        top._utils = utils
        self.before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
        sys.modules |= {"torch": top, "torch._utils": utils}

        def _rebuild_tensor_v2(*form):
            raise AssertionError("called in a test")

        _rebuild_tensor_v2.__module__ = "torch._utils"
        _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
        utils._rebuild_tensor_v2 = _rebuild_tensor_v2
        for name in ("FloatStorage", "LongStorage", "HalfStorage"):
            setattr(top, name, type(name, (), {"__module__": "torch"}))
        return _rebuild_tensor_v2

    def __exit__(self, *exception):
        for name, module in self.before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
