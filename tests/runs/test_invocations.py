"""What a run was called with: told, whatever becomes of the file, and of no weight."""

import sys

import jaxssl
from jaxssl.runs import invocations
from jaxssl.runs.directory import RunDirectory


def test_every_call_is_a_line(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path)
    assert invocations.read(directory) == []
    for words in (["/usr/bin/jaxssl", "pretrain", "a b"], ["/x/jaxssl/__main__.py", "pretrain"]):
        monkeypatch.setattr(sys, "argv", words)
        invocations.note(directory)
    monkeypatch.setattr(sys, "argv", ["own.py"])
    monkeypatch.setattr(invocations, "_commit", lambda _: "0123456789ab+")
    invocations.note(directory)
    first, second, third = invocations.read(directory)
    assert first["command"] == "jaxssl pretrain 'a b'" and second["command"] == "jaxssl pretrain"
    assert (third["command"], third["commit"]) == ("own.py", "0123456789ab+")
    assert first["versions"]["jaxssl"] == jaxssl.__version__ and first["num_devices"] >= 1
    assert first["date"].endswith("+00:00") and first["date"] <= second["date"]


def test_damaged_lines_are_passed_over(tmp_path):
    directory = RunDirectory(tmp_path)
    invocations.note(directory)
    with directory.invocations.open("a") as file:
        file.write('{"date": 3}\n{"da')
    assert len(invocations.read(directory)) == 1


def test_what_is_no_checkout_has_no_commit(tmp_path):
    assert invocations._commit(tmp_path) is None
    (tmp_path / ".git").write_text("nonsense")
    assert invocations._commit(tmp_path) is None
