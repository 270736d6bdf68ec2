import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import transformer, vit

# Per initialisation, what the official code draws for width D = 64 and patches of P = 192 values:
# the bound of a uniform distribution, or the standard deviation of a normal one.
XAVIER = {"proj": math.sqrt(6 / (64 + 64)), "mlp_in": math.sqrt(6 / (64 + 256))}
PUBLISHED = {
    "mae": XAVIER | {"qkv": math.sqrt(6 / (64 + 3 * 64)), "patch": math.sqrt(6 / (192 + 64))},
    "moco_v3": XAVIER
    | {"qkv": math.sqrt(6 / (3 * 64 // 3 + 64)), "patch": math.sqrt(6 / (3 * 8 * 8 + 64))},
    "dino": {"patch": 1 / math.sqrt(192)},
}
CLASS_TOKEN_STD = {"mae": 0.02, "moco_v3": 1e-6, "dino": 0.02}


@pytest.mark.parametrize(
    ("name", "scan_layers"), [("mae", False), ("moco_v3", True), ("dino", False)]
)
def test_initialisations_are_the_published_ones(name, scan_layers):
    """MAE: models_mae.py; MoCo v3: vits.py; DINO: vision_transformer.py and PyTorch's Conv2d."""
    config = vit.ViTConfig(
        width=64,
        depth=1,
        num_heads=2,
        patch_size=8,
        num_registers=64,
        initialization=name,
        scan_layers=scan_layers,
    )
    params = jax.jit(config.build().init)(jax.random.key(1), jnp.zeros((1, 8, 8, 3)))["params"]
    block = transformer.unstack_layers(params)["block_0"] if scan_layers else params["block_0"]
    drawn = {
        "patch": params["patch_embedding"],
        "qkv": block["attention"]["qkv"],
        "proj": block["attention"]["proj"],
        "mlp_in": block["mlp_in"],
        "mlp_out": block["mlp_out"],
    }
    bounds = PUBLISHED[name] | ({"mlp_out": XAVIER["mlp_in"]} if name != "dino" else {})
    for layer, leaves in drawn.items():
        kernel = np.asarray(leaves["kernel"])
        assert abs(kernel.mean()) < 5 * kernel.std() / math.sqrt(kernel.size)
        if layer in bounds:  # uniform
            assert 0.98 * bounds[layer] < np.abs(kernel).max() <= bounds[layer]
            np.testing.assert_allclose(kernel.std(), bounds[layer] / math.sqrt(3), rtol=0.03)
        else:
            np.testing.assert_allclose(kernel.std(), 0.02, rtol=0.03)
            assert np.abs(kernel).max() > 3 * 0.02  # normal
        bias = np.asarray(leaves["bias"])
        if (name, layer) == ("dino", "patch"):
            assert 0.8 * bounds["patch"] < np.abs(bias).max() <= bounds["patch"]
        else:
            assert not np.any(bias)
    np.testing.assert_allclose(params["class_token"].std(), CLASS_TOKEN_STD[name], rtol=0.3)
    assert 0.017 < float(params["registers"].std()) < 0.023
    assert np.all(np.asarray(block["norm1"]["scale"]) == 1)
