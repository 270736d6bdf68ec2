import json

import pytest

from jaxssl.evaluation import protocol

PROTOCOL = {"evaluator": "linear", "l2_grid": (0.1, 0.01), "seed": 0, "data": {"size": 5}}


@pytest.mark.parametrize(
    "change",
    [{"evaluator": "knn"}, {"l2_grid": (0.1,)}, {"seed": 1}, {"data": {"size": 6}}, {"new": None}],
)
def test_stamp_changes_with_any_entry(change):
    assert protocol.stamp(PROTOCOL | change) != protocol.stamp(PROTOCOL)


def test_stamp_ignores_order_and_a_trip_through_json():
    shuffled = dict(reversed(list(PROTOCOL.items())))
    assert protocol.stamp(shuffled) == protocol.stamp(PROTOCOL)
    assert protocol.stamp(json.loads(json.dumps(PROTOCOL))) == protocol.stamp(PROTOCOL)
    assert len(protocol.stamp(PROTOCOL)) == 16


def test_subject_and_results_stand_outside_the_stamp(tmp_path):
    path = tmp_path / "evaluation" / "linear.json"
    records = [
        protocol.write(path, protocol=PROTOCOL, subject={"step": step}, results={"accuracy": 0.5})
        for step in (1, 2)
    ]
    assert records[0]["stamp"] == records[1]["stamp"] == protocol.stamp(PROTOCOL)
    written = json.loads(path.read_text())
    assert written == json.loads(json.dumps(records[1]))
    assert [file.name for file in path.parent.iterdir()] == ["linear.json"]


def test_a_failed_write_leaves_the_file_before_it(tmp_path):
    path = tmp_path / "knn.json"
    protocol.write(path, protocol=PROTOCOL, subject={}, results={"accuracy": 0.5})
    before = path.read_text()
    with pytest.raises(TypeError):
        protocol.write(path, protocol=PROTOCOL, subject={}, results={"accuracy": object()})
    assert path.read_text() == before


BASE = {"evaluator": "linear", "dataset": "fashion-mnist", "train_split": "train"}
BASE |= {"test_split": "test", "layer": "pooled", "seed": 0}
WHO = {"encoder": "trained", "step": 468}


def test_a_result_lies_by_step_and_data_set():
    root = "run/evaluation/step-468/fashion-mnist"
    assert str(protocol.path("run", BASE, WHO)) == f"{root}/linear-trained.json"
    random = WHO | {"encoder": "random", "weights_seed": 1}
    assert str(protocol.path("run", BASE, random)) == f"{root}/linear-random-seed1.json"
    grid = BASE | {"layer": "stage 2 as a 4 x 4 grid", "seed": 3}
    name = "linear-trained-holdout3-stage-2-as-a-4-x-4-grid.json"
    assert str(protocol.path("run", grid, WHO)) == f"{root}/{name}"
    fit = BASE | {"train_split": "fit", "test_split": "validation"}
    assert protocol.path("run", fit, WHO).parent.name == "fashion-mnist-fit-validation"


def test_no_result_takes_the_place_of_another():
    changes = [
        {},
        {"dataset": "/data/a/photos"},
        {"dataset": "/data/b/photos"},
        {"train_split": "train[:50%]"},
        {"train_split": "train[50%:]"},
        {"layer": "stage 1"},
        {"seed": 1},
        {"evaluator": "knn"},
    ]
    others = [{"step": 469}, {"encoder": "pixels"}, {"weights_seed": 0}, {"weights_seed": 1}]
    paths = [protocol.path("run", BASE | change, WHO) for change in changes]
    paths += [protocol.path("run", BASE, WHO | other) for other in others]
    assert len(set(paths)) == len(paths)
    assert all(path.parts[:2] == ("run", "evaluation") and len(path.parts) == 5 for path in paths)


def test_the_results_of_one_step_are_read(tmp_path):
    for step in (1, 2):
        who = WHO | {"step": step}
        place = protocol.path(tmp_path, BASE, who)
        protocol.write(place, protocol=BASE, subject=who, results={"accuracy": step})
    assert [record["results"] for record in protocol.read(tmp_path, 2)] == [{"accuracy": 2}]
    assert protocol.read(tmp_path, 3) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "must be JSON; got other text: Expecting"),
        ("[" * 10**5, "must be JSON; got other text: "),
        ("[]", r"must be an object, name to value; got \[\]"),
        ('{"stamp": "0", "results": {}}', ": protocol must be there; got none"),
        (
            '{"stamp": "0", "results": {}, "subject": {}, "protocol": {}}',
            r": protocol\.dataset must be there; got none",
        ),
    ],
    ids=lambda each: each[:8],
)
def test_a_file_that_is_no_result_is_named(tmp_path, text, told):
    file = protocol.path(tmp_path, BASE, WHO)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"linear-trained\.json ?{told}.* Delete it, and eval"):
        protocol.read(tmp_path, WHO["step"])
