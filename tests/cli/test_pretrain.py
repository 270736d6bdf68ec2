"""Every wrong input is answered with one line that says what to do, and nothing is left behind."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import tiny
import tiny_runs

from jaxssl import cli
from jaxssl.runs import directory as directories
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import loop

MAE = "mae_fashion_mnist"
DIVIDED = ["--run.backend", "jit", "--run.shard", "params"]


pytestmark = pytest.mark.usefixtures("standard_promotion")


def assert_matches(pattern, line):
    assert re.search(pattern, line), line


def test_unknown_config_names_the_nearest(refused, tmp_path):
    line = refused("pretrain", "mae_fashion_mnits", "--out", tmp_path / "run")
    assert_matches(
        "must be the path of a config file or the name of a shipped one; got "
        r"'mae_fashion_mnits'\. Did you mean \"mae_fashion_mnist\"\?",
        line,
    )


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["pretrain"], "pretrain: must be followed by a config, a file of your own or one of"),
        (["pretrain", "xyz"], "config: must be the path of .*; got 'xyz'. The shipped ones:"),
        (["audit", "xyz"], "config: must be the path of .*; got 'xyz'. The shipped ones:"),
    ],
)
def test_without_a_config_all_are_listed_in_columns(capsys, argv, text):
    assert cli.main(argv) == 2
    message, *listing = capsys.readouterr().err.splitlines()
    assert_matches(text, message)
    assert sorted(" ".join(listing).split()) == tiny_runs.NAMES
    assert max(map(len, listing)) <= 80
    assert len(listing) < len(tiny_runs.NAMES)


def test_the_beginning_of_several_names_is_none(refused, tmp_path):
    line = refused("pretrain", "simclr", "--out", tmp_path / "run")
    assert_matches(
        "'simclr', which several begin with: simclr_fashion_mnist, simclr_fashion_mnist_long. Type",
        line,
    )


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            ["--training.batchsize", 8],
            r"--training.batchsize: .*Did you mean .--training.batch-size.\?",
        ),
        (["--method.mask", 0.5], r"--method.mask: .*Did you mean .--method.mask-ratio.\?"),
        (["--encoder.weight", 16], r"--encoder.weight: .*Did you mean .--encoder.width.\?"),
        (["--encoder", "resnet50"], r"encoder: must be a name .*Did you mean .resnet-50.\?"),
        (
            ["--optimizer", "lars"],
            r"--optimizer: a group of \d+ options, which --help-all lists; wh",
        ),
        (["--batch-size", 8], r"--batch-size: .*Did you mean .--training.batch-size.\?"),
        (["--learning-rate", 1], r"Did you mean .--optimizer.base-learning-rate.\?"),
        (["--encoder.resnet50", 1], r"--encoder.resnet50: no such option\.$"),
        (["--training.batch-size", "many"], "--training.batch-size.*many"),
        (["--method.mask-ratio", 1.5], r"got mask ratio 1\.5"),
        (["--optimizer.name", "adam"], "adam.*adamw.*sgd.*lars"),
        (["--training.epochs", 0], r"training.epochs: must be .* above 0; got 0"),
        (["--optimizer.warmup-epochs", 9], "warm-up must be shorter than the run; got 36 warm-up"),
        (["--training.batch-size", 12], r"got 12 for 8 devices. Nearest: 8 or 16\."),
        (["--training.batch-size", 3], r"got 3 for 8 devices. Nearest: 8\."),
        (["--training.batch-size", 0], r"got 0 for 8 devices. Nearest: 8\."),
        (["--training.batch-size", 64], "at least one batch of 64 examples; got 32"),
        (["--run.backend", "xmap"], "xmap.*jit.*pmap.*shard_map"),
        (
            ["--run.backend", "pmap", "--run.shard", "params"],
            r"run\.shard: .*got params under pmap\. Use --run\.backend jit",
        ),
        (["--run.shard", "everything"], "everything.*none.*state.*params"),
        (
            [*DIVIDED, "--method.decoder-width", 516, "--method.decoder-heads", 2],
            r"that 8 devices divide; got params/decoder/\S+ of \[516, \d+\]\. Use another",
        ),
        (
            ["--training.batch-size", 32, "--training.micro-batch", 12],
            r"batch of 32 into parts that 8 devices share equally; got 12\. Nearest: 8 or 16\.",
        ),
        (["--training.micro-batch", 64], r"batch of 8 into .*; got 64\. Nearest: 8\."),
        (
            ["--run.device-memory-gb", 1e-6],
            r"run\.device_memory_gb: a step must fit into 0\.00 GB; got about 0\.0\d GB a device: "
            r"parameters .*\. Use --encoder.remat block, --run.shard state, a",
        ),
        (
            ["--run.device-memory-gb", 1e-6, "--run.backend", "pmap"],
            r"Use --encoder.remat block, --run.backend jit --run.shard state, a smaller batch or",
        ),
        (["--training.micro-batch", 0], r"training\.micro_batch: must be at least 1; got 0"),
        (["--encoder.patch-size", 3], "patch.*3"),
        (["--num-processes", 2], "needs --coordinator HOST:PORT and --process-id 0 to 1; got None"),
        (["--data.path", "nowhere.npz"], "nowhere.npz.*does not exist"),
        (["--data.path", "fashion-mnits"], 'fashion-mnits.*Did you mean "?fashion-mnist'),
        (["--data.train-split", "training"], "training"),
    ],
    ids=str,
)
def test_wrong_fields_are_named(refused, npz, tmp_path, more, text):
    out = tmp_path / "run"
    assert_matches(text, refused(*tiny_runs.words(MAE, npz, out, *more)))
    assert not (out / "checkpoints").exists() or not list((out / "checkpoints").iterdir())


@pytest.mark.parametrize("name", ["colorization_photographs", "split_brain_photographs"])
def test_grey_images_are_refused_by_tasks_of_colours(refused, tmp_path, name):
    images = np.repeat(tiny.images(40)[..., :1], 3, axis=-1)
    np.savez(tmp_path / "grey.npz", train_images=images[:32], test_images=images[32:])
    out = tmp_path / "run"
    text = (
        r"the images must hold colours, which it asks for; got grey ones: of 32 looked at, 0 hold"
    )
    assert_matches(text, refused(*tiny_runs.words(name, tmp_path / "grey.npz", out)))
    words = tiny_runs.words(name, tmp_path / "grey.npz", out, "--data.channels", 1)
    assert_matches(r"got images of 1 channel\. Set data\.channels to 3", refused(*words))
    assert not out.exists()


def test_missing_out_is_named(refused, npz):
    argv = tiny_runs.words(MAE, npz, "x")
    del argv[argv.index("--out") : argv.index("--out") + 2]
    assert_matches(r"jaxssl pretrain mae_fashion_mnist: .*--out", refused(*argv))


@pytest.mark.parametrize(("make", "text"), [("mkdir", "."), ("touch", "npz")])
def test_an_empty_data_set(refused, tmp_path, make, text):
    path = tmp_path / "empty.npz"
    getattr(path, make)()
    assert_matches(text, refused(*tiny_runs.words(MAE, path, tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_run_that_saved_nothing_may_be_replaced(refused, npz, tmp_path, monkeypatch, untrained):
    def fail(*_, **__):
        raise ValueError("wrong in a way that only tracing shows")

    out = tmp_path / "run"
    monkeypatch.setattr(loop, "train", fail)
    refused(*tiny_runs.words(MAE, npz, out, "--method.mask-ratio", 0.5))
    assert (out / "config.json").exists()
    untrained()
    assert cli.main(tiny_runs.words(MAE, npz, out)) == 0
    written = json.loads((out / "config.json").read_text())
    assert written["config"]["method"]["fields"]["mask_ratio"] == 0.75


CONFIGS = {
    "without get_config": (
        "x = 1\n",
        r"config .*c\.py: must define get_config\(\); got a file wit",
    ),
    "other type": (
        "def get_config():\n    return {}\n",
        r"must return a jaxssl.Recipe; got dict\.",
    ),
    "syntax": ("x = 1\ndef get_config(:\n", r"c\.py, line 2: must run as Python; got SyntaxError"),
    "import": ("import nosuchmodule\n", r"c\.py, line 1: .* got ModuleNotFoundError: No module"),
    "attribute": (
        "from jaxssl import models\ndef get_config():\n    return models.Vit\n",
        r"c\.py, line 3: .* got AttributeError.*Vit",
    ),
    "value": (
        "from jaxssl.training.config import TrainingConfig\n\n\ndef get_config():\n"
        "    return TrainingConfig(\n        epochs=0\n    )\n",
        r"c\.py, line 5: .* got ValueError: training.epochs: must be .* above 0; got 0",
    ),
    "empty": ("", "must define get_config"),
    "not text": ("\0", r"c\.py"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_file_that_is_none(refused, tmp_path, kind):
    source, text = CONFIGS[kind]
    (tmp_path / "c.py").write_text(source)
    line = refused("pretrain", tmp_path / "c.py", "--out", tmp_path / "run")
    assert_matches(text, line)


def test_the_directory_of_another_run_names_the_fields(refused, npz, finished):
    line = refused(*tiny_runs.words(MAE, npz, finished, "--method.mask-ratio", 0.5,
                                    "--training.epochs", 0.5, "--optimizer.warmup-epochs", 0,
                                    "--training.seed", 1, "--run.log-every", 7))  # fmt: skip
    assert_matches(
        r"holds another one, which differs in \(now, there\): method.fields.mask_ratio "
        r"\(0.5, 0.75\), training.seed \(1, 0\)\. Choose another --out\.",
        line,
    )


def test_a_run_from_before_a_field_existed_is_resumed(npz, finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    record = json.loads((out / "config.json").read_text())
    del record["config"]["optimizer"]["constant_rate"]
    (out / "config.json").write_text(json.dumps(record))
    argv = tiny_runs.words(MAE, npz, out, "--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)
    assert cli.main(argv) == 0


def test_a_damaged_config_json_is_restored_on_request(refused, npz, finished, tmp_path):
    out = tmp_path / "damaged"
    shutil.copytree(finished, out)
    whole = (out / "config.json").read_bytes()
    (out / "config.json").write_bytes(b"")
    argv = tiny_runs.words(MAE, npz, out, "--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)
    assert_matches("config.json is damaged.*The same command with --restore-config", refused(*argv))
    assert cli.main([*argv, "--restore-config"]) == 0
    assert (out / "config.json").read_bytes() == whole


def test_another_data_set_is_another_run(refused, finished, tmp_path):
    images = dict(np.load(tiny_runs.write_data(tmp_path / "tiny.npz")))
    np.savez(tmp_path / "tiny.npz", **images | {"train_images": 255 - images["train_images"]})
    argv = tiny_runs.words(MAE, tmp_path / "tiny.npz", finished, "--training.epochs", 0.5,
                           "--optimizer.warmup-epochs", 0)  # fmt: skip
    assert_matches(r"differs in .*data\.fields\.path.*dataset.fingerprint", refused(*argv))


@pytest.mark.slow
def test_the_same_images_elsewhere_are_the_same_run(npz, finished, tmp_path, monkeypatch):
    """Moved, or the same path in other words."""
    shutil.copy(npz, tmp_path / "moved.npz")
    monkeypatch.chdir(tmp_path)
    for path in ("moved.npz", "./moved.npz", tmp_path / "moved.npz"):
        argv = tiny_runs.words(MAE, path, finished, "--training.epochs", 0.5,
                               "--optimizer.warmup-epochs", 0, "--data.in-memory")  # fmt: skip
        assert cli.main(argv) == 0


@pytest.mark.parametrize("name", ["notes.txt", "config.json"])
def test_a_directory_with_files_of_somebody_else(refused, npz, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text('{"model_type": "vit"}')
    line = refused(*tiny_runs.words(MAE, npz, tmp_path / "mine"))
    assert_matches(r"--out .*mine: must be new, empty or a run directory; got files without", line)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [name]
    assert (tmp_path / "mine" / name).read_text() == '{"model_type": "vit"}'


def test_a_directory_that_somebody_trains_in_is_refused_before_anything_is_read(
    refused, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    nowhere = tmp_path / "nowhere.npz"  # that there is none would be said next
    with directories.hold(RunDirectory(out)):
        line = refused(*tiny_runs.words(MAE, nowhere, out))
    assert_matches(rf"--out .*run: must not be in use; process {os.getpid()} on .* is train", line)
    assert_matches("nowhere.npz", refused(*tiny_runs.words(MAE, nowhere, out)))
    assert not out.exists()


def test_out_is_a_file(refused, npz, tmp_path):
    (tmp_path / "file").touch()
    assert_matches(
        "--out .*file: must be a directory; got a file",
        refused(*tiny_runs.words(MAE, npz, tmp_path / "file")),
    )


def test_a_run_killed_while_it_claimed_its_directory_goes_on(npz, tmp_path, untrained):
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.json.tmp").write_text('{"conf')
    untrained()
    assert cli.main(tiny_runs.words(MAE, npz, out)) == 0
    assert {path.name for path in out.iterdir()} == {"config.json", "invocations.jsonl"}


def test_a_process_id_must_be_one_of_the_processes(refused, npz, tmp_path):
    words = tiny_runs.words(MAE, npz, tmp_path / "run")
    line = refused(*words, "--num-processes", 2, "--coordinator", "localhost:1", "--process-id", 2)
    assert_matches(r"--process-id 0 to 1; got localhost:1 and 2", line)
