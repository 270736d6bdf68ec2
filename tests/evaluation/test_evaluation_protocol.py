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
