"""The Python of the tutorials as it stands there, on files and in sizes of a test."""

import re
import shlex
import subprocess
from pathlib import Path

import jax
import numpy as np
import parity
import pytest
import random_encoders
import tiny_runs
from PIL import Image

import jaxssl
from jaxssl import checkpoints, cli, models

PAGES = Path(__file__).parents[1] / "docs" / "tutorials"

pytestmark = pytest.mark.usefixtures("standard_promotion")


def blocks(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def run(page, **sizes):
    """Runs the blocks of a page in order; names in ``sizes`` get another value where they begin."""
    code = "\n".join(blocks(page))
    for name, value in sizes.items():
        code, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", code, flags=re.MULTILINE)
        assert found == 1, name
    names = {}
    exec(compile(code, page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with what the tutorials begin with: photos, an encoder as a run, its export."""
    folder = tmp_path_factory.mktemp("tutorials")
    path = tiny_runs.write_data(folder / "tiny.npz")
    images = np.load(path)["train_images"]
    np.save(folder / "images.npy", images)
    np.savez(folder / "labelled.npz", images=images, labels=np.load(path)["train_labels"])
    for number, image in enumerate(images):
        photo = folder / "my_photos" / f"class {number % 4}" / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(photo)
    Image.fromarray(images[7]).save(folder / "query.jpg", quality=100)
    run = folder / "runs" / "photos"
    vit = models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4, position="sincos")
    encoder = random_encoders.drawn(vit, lambda random, shape: random.normal(0, 0.3, shape))
    checkpoints.save_encoder(run, encoder.variables, encoder.meta)
    jaxssl.export(run, "stablehlo", folder / "exported" / "photos")
    out = ["--out", str(folder / "features.npz")]
    assert cli.main(["embed", str(run), str(folder / "my_photos"), *out]) == 0
    return folder


@pytest.fixture
def here(prepared, monkeypatch):
    monkeypatch.chdir(prepared)
    return prepared


def test_photos_are_found_by_their_features(here, capsys):
    run("photos.md")
    found = capsys.readouterr().out.splitlines()
    assert len(found) == 5 and found[0].endswith("class 3/7.png")


def test_a_restored_encoder_is_probed_and_tuned(here, capsys):
    names = run("finetune.md", num_steps=3, batch_size=4)
    assert np.isfinite(float(names["loss"]))
    before = names["encoder"].embed("query.jpg")
    assert before.shape == names["vectors"].shape and not np.allclose(before, names["vectors"])
    assert (here / "exported" / "tuned" / "model.safetensors").is_file()


def test_a_server_needs_no_jaxssl_and_gives_the_same_features(here):
    code = "\n".join(blocks("serving.md"))
    assert "jaxssl" not in code
    names = run("serving.md")
    expected = jaxssl.restore_encoder("runs/photos").embed("query.jpg")
    np.testing.assert_allclose(names["features"]["pooled"], expected, atol=1e-5)
    np.testing.assert_allclose(
        names["serve"](names["read"]("query.jpg")[None]), expected, atol=1e-5
    )


@pytest.mark.slow
def test_a_loop_of_ones_own_is_the_same_on_all_devices(here, capsys):
    small = "models.ResNetConfig(depth=10, width_multiplier=1 / 16, num_stages=1)"
    page = (PAGES / "losses.md").read_text()
    assert page.count('models.ResNetConfig(depth=18, stem="small")') == 1
    names = run(
        "losses.md",
        num_steps=2,
        batch_size=16,
        augment="policies.simclr(16, blur_prob=0.0)",
        **{"        encoder": f"{small}.build(axis_name=self.axis_name)"},
    )
    on_all, on_one = map(float, capsys.readouterr().out.splitlines()[-1].split())
    assert np.isfinite(on_one) and on_all == pytest.approx(on_one, rel=1e-5)
    start, batch = names["init"](jax.random.key(1)), names["batch_at"](0)
    # Of the second step: the rate of the first is 0.
    for step in ("spread", "jitted"):
        state = start
        for _ in range(2):
            *state, _ = names[step](*state, *batch)
        names[step] = state[0]
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5),
        names["jitted"],
        names["spread"],
    )


@pytest.fixture
def method(here, monkeypatch):
    """The files of the tutorial on methods, written down; returns the module."""
    for code in blocks("method.md"):
        (here / re.match(r"# (\w+\.py)\n", code)[1]).write_text(code)
    monkeypatch.syspath_prepend(here)
    import align_uniform

    return align_uniform


@pytest.mark.parametrize("backend", parity.MAPPED)
def test_the_method_has_one_loss_on_any_number_of_devices(method, backend):
    def loss(params, batch, axis_name):
        a, b = method.unit(batch["a"] * params), method.unit(batch["b"])
        return ((a - b) ** 2).sum(axis=-1) + method.spread(a, axis_name)

    rows = jax.random.normal(jax.random.key(0), (2, 8, 4))
    batch, params = {"a": rows[0], "b": rows[1]}, np.ones((1, 4), np.float32)
    expected = parity.unmapped(loss, params, batch)
    a = np.asarray(method.unit(rows[0]), np.float64)
    number = len(a)
    pairs = [
        np.exp(-2 * ((a[i] - a[j]) ** 2).sum())
        for i in range(number) for j in range(number) if i != j
    ]  # fmt: skip
    np.testing.assert_allclose(method.spread(a, None), np.log(np.mean(pairs)), rtol=1e-5)
    found = parity.value_and_grad(loss, params, batch, devices=2, backend=backend)
    parity.assert_close(found, expected)


@pytest.mark.parametrize("page", sorted(page.name for page in PAGES.glob("*.md")))
def test_commands_are_bash(page):
    for block in blocks(page, "bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


@pytest.mark.slow
def test_the_method_trains_and_is_evaluated(method, here, capsys):
    small = shlex.split(
        "--data.image-size 16 --encoder.depth 10 --encoder.width-multiplier 0.0625 "
        "--training.batch-size 8 --training.epochs 2 --run.log-every 1"
    )
    command = next(
        line for line in "".join(blocks("method.md", "bash")).splitlines() if "0.5" in line
    )
    assert cli.main([*shlex.split(command)[1:], *small]) == 0
    assert cli.main(["linear-eval", "runs/align"]) == 0
    assert "uniformity_loss" in (here / "runs" / "align" / "metrics.jsonl").read_text()
