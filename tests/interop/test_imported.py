"""Published weights as a run: commands that ask for an encoder take it, others say why not."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy
import tiny_runs
import weight_files
from PIL import Image

import jaxssl
from jaxssl import checkpoints, cli, interop, models
from jaxssl.checkpoints import imported as saving
from jaxssl.interop import resizing

HEADS = ("--num-heads", "2")
TENSORS = weight_files.tensors("ViT of timm", weight_files.vit())


def write(path, tensors=TENSORS, **more):
    """A safetensors file of a tiny ViT with a head."""
    safetensors.numpy.save_file(
        {**tensors, "head.weight": np.ones((3, 8), np.float32)}, path, **more
    )
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    write(folder / "vit.safetensors")
    words = ["import", folder / "vit.safetensors", "--out", folder / "run", *HEADS]
    assert cli.main(list(map(str, words))) == 0
    return folder / "run"


def refused(capsys, *words):
    """What a command line that is refused says, on one line."""
    assert cli.main(list(map(str, words))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def images(count=2, size=16):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def test_a_run_of_published_weights_is_restored(run):
    encoder = jaxssl.restore_encoder(run)
    directly = interop.load(run.with_name("vit.safetensors"), interop.ImportConfig(num_heads=2))

    config = models.ViTConfig(
        width=8, depth=2, num_heads=2, patch_size=4, position="learned",
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    assert encoder.module.config == directly.module.config == config
    origin = encoder.meta["origin"]["imported"]
    assert (origin["file"], origin["layout"]) == ("vit.safetensors", "ViT of timm")
    assert len(origin["sha256"]) == 64
    for left, right in zip(*map(jax.tree.leaves, (encoder.variables, directly.variables))):
        np.testing.assert_array_equal(left, right)


def test_what_was_left_out_is_listed(tmp_path, capsys):
    words = ["import", write(tmp_path / "a.safetensors"), "--out", tmp_path / "run", *HEADS]
    assert cli.main(list(map(str, words))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ViT of timm, images 16 x 16 x 3, mean 0.485 0.456 0.406" in lines[0]
    assert lines[1] == "left out, as no part of the encoder: head.weight"


@pytest.mark.slow
def test_evaluation_takes_the_data_that_are_named(run, tmp_path):
    data = tiny_runs.write_data(tmp_path / "images.npz")
    assert cli.main(["knn-eval", str(run), "--data-path", str(data)]) == 0
    (record,) = (run / "evaluation").rglob("*.json")
    subject = json.loads(record.read_text())["subject"]
    assert subject["origin"]["imported"]["layout"] == "ViT of timm"


def test_images_are_embedded(run, tmp_path):
    Image.fromarray(images()[0]).save(tmp_path / "a.png")
    out = tmp_path / "features.npz"
    assert cli.main(["embed", str(run), str(tmp_path / "a.png"), "--out", str(out)]) == 0
    encoder = jaxssl.restore_encoder(run)
    expected = jax.jit(encoder)(images()[:1]).pooled
    np.testing.assert_allclose(np.load(out)["features"], expected, rtol=1e-4, atol=1e-5)


def test_commands_that_need_a_run_say_so(run, tmp_path, capsys):
    assert "--data-path PATH" in refused(capsys, "knn-eval", run)
    assert "got an encoder that was imported" in refused(capsys, "report", run)
    assert "finetune --data.path PATH" in refused(capsys, "finetune", run, "--out", tmp_path / "a")
    words = tiny_runs.words("simclr_fashion_mnist", tiny_runs.write_data(tmp_path / "b.npz"), run)
    assert "config.json is missing" in refused(capsys, *words)
    assert "must be a run; got an encoder" in refused(capsys, *words, "--restore-config")


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_it_is_finetuned_and_pretrained_further(run, tmp_path, capsys):
    data = tiny_runs.write_data(tmp_path / "images.npz")
    words = ["finetune", run, "--out", tmp_path / "tuned", "--data.path", data]
    assert cli.main([*map(str, words), "--training.epochs", "1"]) == 0
    assert "starting from" in capsys.readouterr().out
    words = ["pretrain", "mae_fashion_mnist", "--out", tmp_path / "mae", "--init-from", run]
    words += ["--data.path", data, "--data.image-size", 16, "--data.channels", 3]
    words += ["--training.batch-size", 8, "--encoder.patch-size", 4]
    line = refused(capsys, *words)
    assert "its encoder must be the one that is asked for" in line


def test_the_files_beside_the_weights_say_the_rest(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"num_attention_heads": 4, "layer_norm_eps": 1e-5, "image_size": 16})
    )
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]})
    )
    write(tmp_path / "model.safetensors")
    config = interop.load(tmp_path).module.config
    assert (config.num_heads, config.norm_epsilon) == (4, 1e-5)
    assert (config.mean, config.std) == ((0.5,) * 3, (0.25,) * 3)
    typed = interop.load(tmp_path, interop.ImportConfig(num_heads=2, mean=(0.0,), std=(1.0,)))
    assert (typed.module.config.num_heads, typed.module.config.mean) == (2, (0.0,))


def test_a_table_of_positions_is_resized_once(tmp_path):
    file = write(tmp_path / "a.safetensors")
    encoder = interop.load(file, interop.ImportConfig(image_size=24, num_heads=2))
    table = TENSORS["pos_embed"][0, 1:].reshape(4, 4, 8)
    expected = resizing.resize(table, 6, antialias=True)
    np.testing.assert_array_equal(encoder.variables["params"]["position"], expected)
    assert jax.eval_shape(encoder, images(size=24)).tokens.shape == (2, 36, 8)
    with pytest.raises(ValueError, match="multiples of the patch size; got image 18x18"):
        interop.load(file, interop.ImportConfig(image_size=18, num_heads=2))


@pytest.mark.parametrize("antialias", [False, True])
def test_resizing_keeps_a_plane_and_its_own_size(antialias):
    """Weights sum to 1 and are symmetric; a = -0.5 even keeps a slope, away from the border."""
    rows, columns = np.mgrid[:8, :8].astype(np.float32)
    table = np.stack([np.full_like(rows, 3), rows, columns], axis=-1)
    np.testing.assert_allclose(
        resizing.resize(table, 8, antialias=antialias), table, rtol=0, atol=1e-5
    )
    made = resizing.resize(table, 16, antialias=antialias)
    np.testing.assert_allclose(made[..., 0], 3, rtol=1e-6)
    slope = (np.arange(16) + 0.5) / 2 - 0.5
    tolerance = 1e-5 if antialias else 0.06
    np.testing.assert_allclose(made[4:12, 4:12, 1], slope[4:12, None] + np.zeros(8), atol=tolerance)


def test_resizing_by_hand():
    """From 2 rows to 3: the middle lies between both; the outer ones by the kernel's formula."""

    def kernel(x, a):
        x = abs(x)
        if x < 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0

    table = np.array([[1.0, 1.0], [5.0, 5.0]], np.float32)[..., None]
    at = 0.5 * 2 / 3 - 0.5  # of the first row
    taps = {-2: 0, -1: 0, 0: 0, 1: 1}  # the border repeated
    first = sum(kernel(at - tap, -0.75) * table[row, 0, 0] for tap, row in taps.items())
    made = resizing.resize(table, 3, antialias=False)
    np.testing.assert_allclose(made[:, 0, 0], [first, 3, 6 - first], rtol=1e-6)
    inside = [kernel(at - row, -0.5) for row in (0, 1)]  # beyond the border nothing counts
    first = np.dot(inside, table[:, 0, 0]) / np.sum(inside)
    made = resizing.resize(table, 3, antialias=True)
    np.testing.assert_allclose(made[:, 0, 0], [first, 3, 6 - first], rtol=1e-6)


def test_what_is_no_file_of_weights_is_said(tmp_path, capsys):
    out = ("--out", tmp_path / "run")
    assert "got nothing there. Download it first" in refused(capsys, "import", tmp_path / "x", *out)
    assert "got one without" in refused(capsys, "import", tmp_path, *out)
    (tmp_path / "a.h5").write_bytes(b"x")
    assert "got .h5" in refused(capsys, "import", tmp_path / "a.h5", *out)
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    assert "must be whole" in refused(capsys, "import", tmp_path / "a.safetensors", *out)
    weight_files.write_pth(tmp_path / "a.pth", {"epoch": 3})
    assert "named tensors; got none" in refused(capsys, "import", tmp_path / "a.pth", *out)
    assert not (tmp_path / "run").exists()


def test_options_that_do_not_fit_are_refused(tmp_path, capsys):
    file = write(tmp_path / "a.safetensors")
    run = ("import", file, "--out", tmp_path / "run")
    assert "width must be a multiple of num_heads" in refused(capsys, *run, "--num-heads", 3)
    assert "mean: must have 1 value or one for each of 3" in refused(capsys, *run, "--mean", 0, 1)
    resnet = weight_files.GUESSES["ResNet of torchvision and timm"][0]
    tensors = weight_files.tensors("ResNet of torchvision and timm", resnet)
    file = write(tmp_path / "b.safetensors", tensors)
    line = refused(capsys, "import", file, "--out", tmp_path / "run", "--num-heads", 2)
    assert "num_heads: must be left out of a ResNet" in line
    assert not (tmp_path / "run").exists()


def test_pth_and_half_precision_give_the_same_encoder(tmp_path):
    halved = {name: each.astype(np.float16) for name, each in TENSORS.items()}
    weight_files.write_pth(tmp_path / "a.pth", {"model": halved, "epoch": 1})
    write(tmp_path / "a.safetensors", halved)
    for suffix in ("pth", "safetensors"):
        encoder = interop.load(tmp_path / f"a.{suffix}", interop.ImportConfig(num_heads=2))
        kernel = encoder.variables["params"]["block_0"]["mlp_in"]["kernel"]
        assert kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, halved["blocks.0.mlp.fc1.weight"].T)


def test_an_encoder_is_saved_whole_or_not_at_all(run, tmp_path, monkeypatch):
    encoder = jaxssl.restore_encoder(run)
    with pytest.raises(ValueError, match="must be a new or empty directory"):
        checkpoints.save_encoder(run, encoder.variables, encoder.meta)
    with pytest.raises(ValueError, match="meta: encoder must be there"):
        checkpoints.save_encoder(tmp_path / "a", encoder.variables, {"origin": {}})
    monkeypatch.setattr(saving.manifest, "write", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        checkpoints.save_encoder(tmp_path / "b" / "c", encoder.variables, encoder.meta)
    assert not list(tmp_path.iterdir())
