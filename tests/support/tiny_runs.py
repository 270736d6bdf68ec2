"""Shipped recipes shrunk to 16 x 16 images, as the words of a command line, and runs of them."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import tiny
from PIL import Image

from jaxssl import checkpoints, cli, data, models, watching
from jaxssl.runs import recipe, tokenizer

PATIENCE = 300  # seconds that a started run may take, beside other tests
BATCH_SIZE = 8
NUM_TRAIN, NUM_TEST = 32, 8  # 4 steps an epoch
JAXSSL = (sys.executable, "-c", "import sys; from jaxssl import cli; sys.exit(cli.main())")
NAMES = sorted(path.stem for path in recipe.shipped_directory().glob("[!_]*.py"))
# What makes an encoder small, by the name of its config.
SMALL_ENCODERS = {
    "ViTConfig": (
        "--encoder.width 16 --encoder.depth 1 --encoder.num-heads 2 --encoder.patch-size 4"
    ),
    "ResNetConfig": "--encoder.depth 10 --encoder.width-multiplier 0.0625",
    "ConvNeXtConfig": "--encoder.depths 1 1 1 1 --encoder.dims 4 8 8 16 --encoder.stem-patch 2",
    "SplitConfig": "--encoder.half.depth 10 --encoder.half.width-multiplier 0.0625",
    "TextTransformerConfig": (
        "--encoder.width 16 --encoder.depth 1 --encoder.num-heads 2 --encoder.length 16"
    ),
}


def write_data(path):
    """An .npz file of colour images in four classes, and beside it texts, and images with texts.

    Returns its path.
    """
    images = tiny.images(NUM_TRAIN + NUM_TEST)
    labels = np.arange(len(images)) % 4
    np.savez(
        path,
        train_images=images[:NUM_TRAIN],
        train_labels=labels[:NUM_TRAIN],
        test_images=images[NUM_TRAIN:],
        test_labels=labels[NUM_TRAIN:],
    )
    for number, text in enumerate(tiny.texts(NUM_TRAIN + NUM_TEST)):
        split = "train" if number < NUM_TRAIN else "test"
        place = path.with_suffix("") / split / f"class {number % 4}" / f"{number}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((text[1:] % 256).astype(np.uint8).tobytes())
        pair = pairs_beside(path) / split / f"class {number % 4}" / f"{number}.png"
        pair.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(pair)
        pair.with_suffix(".txt").write_text(f"a photo of a class {number % 4}")
    return path


def pairs_beside(path):
    """The folder of images with texts beside an .npz."""
    return path.with_name(f"{path.stem} pairs")


def words(name, path, out, *more):
    """The command line of a shrunken run: ten steps, a row each, a checkpoint every four."""
    return [
        "pretrain", name, "--out", str(out), *_data_words(recipe.load(name), path), *shrunk(name),
        *_tokenizer_words(recipe.load(name), path),
        "--training.batch-size", str(BATCH_SIZE), "--training.epochs", "2.5",
        "--optimizer.warmup-epochs", "0.5", "--run.log-every", "1", "--run.checkpoint-every", "4",
        *map(str, more),
    ]  # fmt: skip


def train_two_steps(path, out, name="mae_fashion_mnist"):
    """A finished run of two steps, made in this process; returns its directory."""
    brief = ("--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        assert cli.main(words(name, path, out, *brief)) == 0
    return out


def _data_words(config, path):
    """What makes a recipe read small examples: a file of images, or the texts beside it."""
    if isinstance(config.data, data.TextData):
        texts = path.with_suffix("") if path.suffix == ".npz" else path
        return ["--data.path", str(texts), "--data.length", str(tiny.SIZE)]
    if isinstance(config.data, data.PairData) and path.suffix == ".npz":
        path = pairs_beside(path)
    return ["--data.path", str(path), "--data.image-size", str(tiny.SIZE)]


def _tokenizer_words(config, path):
    """What names a tokenizer to a recipe that needs one: its run, made beside the examples."""
    if not tokenizer.names(config.method):
        return []
    out = path.with_name(f"{path.stem} tokenizer")
    if not checkpoints.complete_steps(out):
        train_two_steps(path, out, "vq_autoencoder_fashion_mnist")
    return ["--tokenizer", str(out)]


def shrunk(name):
    """The options that make a recipe small; everything else stays as it is shipped."""
    config = recipe.load(name)
    views = getattr(config.method, "augment", None)
    sizes = {} if views is None else tiny.view_sizes(views)
    fields = {f"augment.{field}": value for field, value in sizes.items()}
    fields |= tiny.changes(config.method)
    if hasattr(config.method, "num_layers"):
        fields["num_layers"] = 1  # of the one block there is
    options = [
        word
        for field, value in fields.items()
        for word in (f"--method.{field.replace('_', '-')}", str(value))
    ]
    return _small(config.encoder, "encoder") + options


def _small(encoder, prefix):
    """What makes an encoder small, its options under a prefix."""
    if isinstance(encoder, models.DualConfig):
        image, text = (
            _small(getattr(encoder, each), f"{prefix}.{each}") for each in ("image", "text")
        )
        return [*image, *text, f"--{prefix}.dim", "8", f"--{prefix}.text.length", "40"]
    small = SMALL_ENCODERS[type(encoder).__name__].replace("--encoder", f"--{prefix}").split()
    if getattr(encoder, "patch_size", None) == 1:  # which reads single pixels, of small images too
        small[small.index(f"--{prefix}.patch-size") + 1] = "1"
    return small


def environment(devices):
    """The environment of a process with so many fake devices, its other settings those of here.

    It reads the compile cache and adds nothing: killed while writing, it would leave an entry that
    aborts whoever reads it.
    """
    flags = os.environ["XLA_FLAGS"].split()
    kept = [flag for flag in flags if "host_platform_device_count" not in flag]
    count = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | {
        "XLA_FLAGS": " ".join([count, *kept]),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9",
    }


def start(argv, *, devices=8, launcher=()):
    """Starts ``jaxssl ARGV`` as a user would, behind a launcher if one is given."""
    return subprocess.Popen(
        [*launcher, *JAXSSL, *argv],
        env=environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    """Waits for a started run to succeed; returns what it printed."""
    text = said(process)
    assert process.returncode == 0, text
    return text


def said(process):
    """What a started run printed, when it has ended; one that hangs is killed."""
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()[0]) from None


def signal_at(process, number, out, step, *, to=None):
    """Sends a started run, or another process, a signal once a step's row is in its metrics."""
    path = out / "metrics.jsonl"
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or f'"step": {step},' not in path.read_text():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (to or process).send_signal(number)


def kill_at(process, out, step):
    """Kills a started run once the row of a step is in its metrics."""
    signal_at(process, signal.SIGKILL, out, step)
    process.communicate()


def rows(out):
    """The rows of a run's metrics, without the fields that hold times."""
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in watching.TIMES}
        for line in lines
    ]
