"""Rows in TensorBoard, W&B and MLflow, read back from their files."""

import json
import struct
import sys
import time

import pytest
import watched_run

from jaxssl.training import trackers
from jaxssl.training.config import RunConfig

ROW = {"step": 4, "loss": 1.25, "images_per_second": 12345.6}


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """What config.json says."""
    identity = {"config": {"training": {"batch_size": 8}}}
    monkeypatch.setattr(trackers.directories, "read_identity", lambda _: identity)


class Listed:
    """A writer that remembers what it is told."""

    def __init__(self, told):
        self._told = told

    def write(self, step, values):
        self._told.append((step, dict(values)))

    def flush(self):
        self._told.append("flush")

    def close(self):
        self._told.append("close")


def test_a_writer_is_handed_every_row_and_opened_anew_when_steps_are_void(tmp_path):
    told = []

    def open_writer(run, step):
        assert run.out == tmp_path
        told.append(f"open {step}")
        return Listed(told)

    tracker = trackers.Tracker(open_writer)
    tracker.begin(watched_run.watched(tmp_path, step=3))
    tracker.see(ROW)
    tracker.sync()
    tracker.cut(2)
    tracker.close()
    values = {"loss": 1.25, "images_per_second": 12345.6}
    assert told == ["open 3", (4, values), "flush", "close", "open 2", "close"]


def test_only_the_first_process_opens_one(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    tracker = trackers.Tracker(lambda *_: pytest.fail("opened"))
    tracker.begin(watched_run.watched(tmp_path))
    tracker.see(ROW)
    tracker.sync()
    tracker.cut(0)
    tracker.close()


def write_calls(open_writer, out, *, steps=(0, 4)):
    """A run of one row a call: it is stopped after the first and resumed."""
    for step in steps:
        tracker = trackers.Tracker(open_writer)
        tracker.begin(watched_run.watched(out, step=step))
        tracker.see(ROW | {"step": step + 4, "loss": 1.25 + step})
        tracker.sync()
        tracker.close()


def test_tensorboard_gets_the_rows(tmp_path):
    write_calls(trackers.tensorboard(), tmp_path, steps=(0,))
    (file,) = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    content = file.read_bytes()
    assert content.count(b"loss") == content.count(b"images_per_second") == 1
    assert b"step" not in content


def test_mlflow_gets_the_rows_of_both_calls_in_one_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'store'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # else databases alone
    write_calls(trackers.mlflow("shoes"), tmp_path)
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("shoes").experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(each.step, each.value) for each in history] == [(4, 1.25), (8, 5.25)]
    assert run.data.params == {"training.batch_size": "8"}
    assert run.info.status == "FINISHED"
    assert run.info.run_name == tmp_path.name


def test_wandb_gets_the_rows_without_a_network(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    write_calls(trackers.wandb("shoes"), tmp_path, steps=(0,))
    time.sleep(1.1)  # its directories are named by the second
    write_calls(trackers.wandb("shoes"), tmp_path, steps=(4,))
    wandb.teardown()  # its own process writes to the end
    contents = [
        Record.FromString(content)
        for path in sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
        for content in logged(path)
    ]
    runs = [each.run for each in contents if each.HasField("run")]
    assert {each.run_id for each in runs} == {(tmp_path / "wandb.id").read_text()}
    assert {each.project for each in runs} == {"shoes"}
    rows = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in each.history.item}
        for each in contents
        if each.HasField("history")
    ]
    assert [(row["_step"], row["loss"]) for row in rows] == [(4, 1.25), (8, 5.25)]


def logged(path):
    """The records of a W&B file, a log as LevelDB has it: checksum, length, kind, content."""
    content = path.read_bytes()
    assert len(content) < 2**15  # one block, in which every record is whole
    start = 7  # of the file's own header
    while start < len(content):
        _, length, kind = struct.unpack_from("<IHB", content, start)
        assert kind == 1
        yield content[start + 7 : start + 7 + length]
        start += 7 + length


@pytest.mark.parametrize(
    ("asked", "extra", "module"),
    [
        ({"tensorboard": True}, "tensorboard", "tensorboardX"),
        ({"wandb": "shoes"}, "wandb", "wandb"),
        ({"mlflow": "shoes"}, "mlflow", "mlflow"),
    ],
)
def test_a_missing_extra_says_what_to_install(monkeypatch, asked, extra, module):
    monkeypatch.setitem(sys.modules, module, None)
    text = rf'^run.{extra}: needs the extra; install it with: pip install "jaxssl\[{extra}\]"'
    with pytest.raises(ImportError, match=text):
        trackers.asked_for(RunConfig(**asked))


def test_nothing_is_tracked_that_nobody_asks_for():
    assert trackers.asked_for(RunConfig()) == []
