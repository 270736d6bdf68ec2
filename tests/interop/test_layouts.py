"""Every layout: recognised by its keys, bit-equal there and back, and what does not fit is named.

That the numbers mean the same is shown beside timm, torchvision and transformers (tests/peers).
"""

import numpy as np
import pytest
import weight_files

from jaxssl import models
from jaxssl.interop import layout, recognition

LAYOUTS = recognition.all_layouts()
CASES = [(name, guess) for name, guesses in weight_files.GUESSES.items() for guess in guesses]
EVERY = pytest.mark.parametrize(("name", "guess"), CASES, ids=lambda each: str(each)[:40])


def recognise(tensors, **options):
    return recognition.recognise(tensors, where="file", **options)


def test_every_layout_has_its_cases():
    assert weight_files.GUESSES.keys() == LAYOUTS.keys()


@EVERY
def test_tensors_are_recognised_and_come_back_bit_for_bit(name, guess):
    tensors = weight_files.tensors(name, guess)
    found = recognise(
        {f"model.{key}": each for key, each in tensors.items()} | {"head.w": np.ones(1)}
    )

    assert (found.layout.name, found.prefix, found.others) == (name, "model.", ("head.w",))
    assert found.guess.image_size == guess.image_size
    if isinstance(guess.config, models.ViTConfig):  # no shape says the heads
        assert found.guess.config.dimensions[:2] == guess.config.dimensions[:2]
        same = ("pool", "position", "num_registers", "mlp", "layer_scale", "norm_epsilon")
        assert all(getattr(found.guess.config, f) == getattr(guess.config, f) for f in same)
    else:
        assert found.guess.config == guess.config
    variables = found.layout.read(found.tensors, found.guess)
    again = found.layout.write(variables, found.guess)
    assert again.keys() == tensors.keys()
    for key, each in tensors.items():
        assert again[key].dtype == np.float32
        np.testing.assert_array_equal(again[key], each)


@EVERY
def test_every_leaf_of_the_encoder_is_read(name, guess):
    import jax

    from jaxssl import inputs

    found = layout.flat(LAYOUTS[name].read(weight_files.tensors(name, guess), guess))
    (image,) = inputs.shapes(guess.fed).values()
    module = guess.config.build()
    like = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    assert {path: leaf.shape for path, leaf in found.items()} == {
        path: leaf.shape for path, leaf in layout.flat(like).items()
    }


def test_names_and_axes_by_hand():
    """A few of timm's; PyTorch computes x W^T + b, and its convolutions are [O, I, H, W]."""
    guess = weight_files.vit()
    tensors = weight_files.tensors("ViT of timm", guess)
    params = LAYOUTS["ViT of timm"].read(tensors, guess)["params"]

    kernel = tensors["blocks.1.attn.qkv.weight"]
    np.testing.assert_array_equal(params["block_1"]["attention"]["qkv"]["kernel"], kernel.T)
    patch = tensors["patch_embed.proj.weight"]  # [D, C, row, column]
    for row, column, channel in ((0, 0, 0), (1, 2, 0), (3, 1, 2)):
        ours = params["patch_embedding"]["kernel"][(row * 4 + column) * 3 + channel]
        np.testing.assert_array_equal(ours, patch[:, channel, row, column])
    table = tensors["pos_embed"]
    np.testing.assert_array_equal(params["class_position"], table[:, :1])
    np.testing.assert_array_equal(params["position"][2, 3], table[0, 1 + 2 * 4 + 3])


def test_of_several_networks_the_one_that_is_evaluated_is_taken_or_asked_for():
    tensors = weight_files.tensors("ViT of timm", weight_files.vit())

    def both(*prefixes):
        return {f"{prefix}{name}": each for prefix in prefixes for name, each in tensors.items()}

    pair = both("student.backbone.", "teacher.backbone.")
    assert recognise(pair).prefix == "teacher.backbone."
    assert recognise(pair, prefix="student.backbone.").prefix == "student.backbone."
    assert recognise(both("module.base_encoder.", "module.momentum_encoder.")).prefix == (
        "module.base_encoder."
    )
    with pytest.raises(ValueError, match=r"--prefix must say which; got those of 'a\.', 'b\.'"):
        recognise(both("a.", "b."))
    with pytest.raises(ValueError, match=r"must be one of 'a\.', 'b\.'; got 'c\.'"):
        recognise(both("a.", "b."), prefix="c.")


def test_five_leaves_that_differ_are_named_and_how_many_more():
    tensors = weight_files.tensors("ViT of timm", weight_files.vit())
    for index in (0, 1):
        for name in ("norm1.bias", "norm2.bias", "attn.proj.bias"):
            del tensors[f"blocks.{index}.{name}"]

    with pytest.raises(ValueError) as caught:
        recognise(tensors)

    text = str(caught.value)
    assert "the nearest is ViT of timm" in text
    assert "blocks.0.attn.proj.bias: nothing there, expected [8]" in text
    assert text.count("nothing there") == 5 and "and 1 more" in text


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("norm.weight", (9,), r"norm\.weight: \[9\] there, expected \[8\]"),
        ("norm_pre.weight", (8,), r"norm_pre\.weight: \[8\] there, expected nothing"),
        ("blocks.0.attn.q_norm.weight", (4,), r"q_norm\.weight: \[4\] there, expected nothing"),
        ("reg_token", (1, 4, 8), "reg_token: nothing there|reg_token: .* there, expected nothing"),
        ("pos_embed", (1, 12, 8), "row for each patch of a square image; got 12 rows"),
        ("blocks.0.mlp.fc1.weight", (48, 8), r"mlp\.fc1\.weight: \[48, 8\] there, expected"),
    ],
)
def test_a_part_that_has_no_place_is_refused(name, shape, said):
    tensors = weight_files.tensors("ViT of timm", weight_files.vit())
    with pytest.raises(ValueError, match=said):
        recognise(tensors | {name: np.ones(shape, np.float32)})


def test_a_resnet_of_another_depth_is_named():
    name = "ResNet of torchvision and timm"
    tensors = weight_files.tensors(name, weight_files.GUESSES[name][0])
    tensors = {name: each for name, each in tensors.items() if not name.startswith("layer4")}
    with pytest.raises(ValueError, match=r"must be one of 10, 18.*stages of 1, 1, 1, 0 blocks"):
        recognise(tensors)


def test_tensors_of_no_layout_are_told_the_layouts():
    with pytest.raises(ValueError, match=r"ResNet of torchvision and timm, .*got features\.0"):
        recognise({"features.0.weight": np.ones(3)})
    with pytest.raises(ValueError, match=r"The nearest is ViT of timm, which has blocks\.0\.attn"):
        recognise({"blocks.0.attn.q.weight": np.ones(3)})


def test_a_bias_that_has_no_place_is_refused_on_writing():
    name = "DINOv3 of Hugging Face"
    (guess,) = weight_files.GUESSES[name]
    variables = LAYOUTS[name].read(weight_files.tensors(name, guess), guess)
    variables["params"]["block_1"]["attention"]["qkv"]["bias"] += 1
    with pytest.raises(ValueError, match=r"bias of layer\.1\.attention\.k_proj must be 0"):
        LAYOUTS[name].write(variables, guess)


def test_what_a_layout_has_no_names_for_is_refused():
    for name, guess, field in (
        ("ViT of Hugging Face", weight_files.vit(layer_scale=0.1), "layer_scale"),
        ("ViT of timm", weight_files.vit(num_registers=2), "num_registers"),
        ("ViT of timm", weight_files.vit(position="rope"), "position"),
        ("ViT of Hugging Face", weight_files.vit(mlp="swiglu"), "mlp"),
        ("ViT of timm", weight_files.vit(scan_layers=True), "scan_layers"),
        ("ViT of timm", weight_files.vit(causal=True, pool="mean"), "causal"),
    ):
        with pytest.raises(ValueError, match=f"ViT: {field} must be another for this layout"):
            list(LAYOUTS[name].ties(guess.config, guess.fed))
    fed = weight_files.vit().fed
    narrow = models.ResNetConfig(10, width_multiplier=0.5)
    with pytest.raises(ValueError, match="and Hugging Face, which have no others"):
        list(LAYOUTS["ResNet of torchvision and timm"].ties(narrow, fed))
    halved = models.ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), stem_patch=2)
    with pytest.raises(ValueError, match="stem_patch must not be 2 for timm"):
        list(LAYOUTS["ConvNeXt of timm"].ties(halved, fed))
