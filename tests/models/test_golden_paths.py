"""Parameter paths are a contract: checkpoints written today must be read by later versions.

``python tests/models/test_golden_paths.py`` writes the lists anew, for a change that is meant.
"""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from jaxssl import models

GOLDEN = pathlib.Path(__file__).parent / "golden"
IMAGES = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.uint8)
INDICES = jax.ShapeDtypeStruct((1, 2), jnp.int32)

# Name of the list: module, inputs.
CASES = {
    "vit_class_sincos": (models.ViTConfig("Ti", depth=2).build(), (IMAGES,)),
    "vit_learned_registers": (
        models.ViTConfig("Ti", depth=2, position="learned", num_registers=4).build(),
        (IMAGES,),
    ),
    "vit_mean_scan": (
        models.ViTConfig("Ti", depth=2, pool="mean", scan_layers=True).build(),
        (IMAGES,),
    ),
    "vit_layer_scale": (models.ViTConfig("Ti", depth=2, layer_scale=0.1).build(), (IMAGES,)),
    "resnet18_small": (models.ResNetConfig(18, stem="small").build(), (IMAGES,)),
    "resnet50_imagenet": (models.ResNetConfig(50).build(), (IMAGES,)),
    "convnext_atto": (models.ConvNeXtConfig("Atto").build(), (IMAGES,)),
    "mlp": (
        models.MLP((2048, 2048, 128), batch_norm_last=True),
        (jax.ShapeDtypeStruct((2, 512), jnp.float32),),
    ),
    "mae_decoder": (
        models.MaskedPredictor(out_dim=768, depth=2),
        (jax.ShapeDtypeStruct((1, 2, 192), jnp.float32), INDICES, INDICES),
    ),
}


def _lines(name):
    module, inputs = CASES[name]
    options = {"grid": (2, 2)} if name == "mae_decoder" else {}
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda key, *args: module.init(key, *args, **options), key, *inputs)
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return [
        f"{jax.tree_util.keystr(path, simple=True, separator='/')} "
        f"{'x'.join(map(str, leaf.shape))} {leaf.dtype}"
        for path, leaf in leaves
    ]


@pytest.mark.parametrize("name", CASES)
def test_paths_and_shapes_are_those_of_the_golden_list(name):
    assert _lines(name) == (GOLDEN / f"{name}.txt").read_text().splitlines()


def test_every_golden_list_is_used():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


if __name__ == "__main__":
    for case in CASES:
        (GOLDEN / f"{case}.txt").write_text("\n".join(_lines(case)) + "\n")
