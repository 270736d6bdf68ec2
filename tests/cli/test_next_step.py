"""What a command says at its end: the next one, ready to be typed."""

import pytest

from jaxssl import cli
from jaxssl.cli import next_step

SILENT = {"export", "train-tokenizer", "completion"}


@pytest.mark.parametrize(
    ("line", "follows"),
    [
        ("pretrain mae --out runs/mae", "evaluate runs/mae"),
        ("pretrain mae --out=runs/mae --process-id 0", "evaluate runs/mae"),
        ("linear-eval runs/mae --step 3", "report runs/mae"),
        ("embed runs/mae photos --out f.npz", "search runs/mae QUERY f.npz"),
        (
            "prepare photos my/set",
            "pretrain simclr_fashion_mnist --out runs/simclr --data.path my/set",
        ),
        ("audit my/own.py", "pretrain my/own.py --out runs/own"),
        ("import vit.pth --out runs/vit", "linear-eval runs/vit --data-path PATH"),
        ("doctor", "recipes"),
    ],
)
def test_its_words_are_those_of_the_command(line, follows):
    assert next_step.after(line.split()) == f"next: jaxssl {follows}"


def test_a_run_that_was_audited_is_not_trained_anew(tmp_path):
    assert next_step.after(["audit", str(tmp_path)]) == f"next: jaxssl report {tmp_path}"


def test_names_with_spaces_can_be_typed():
    assert next_step.after(["report", "my run"]).startswith("next: jaxssl embed 'my run' ")


def test_of_several_processes_one_says_it():
    assert next_step.after(["pretrain", "mae", "--out", "x", "--process-id", "1"]) is None


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_followed_by_one_that_there_is(name):
    line = next_step.after([name, "a", "b", "--out", "c"])
    assert (line is None) == (name in SILENT)
    assert line is None or line.split()[2] in cli.COMMANDS


def test_it_is_said_beside_the_results_and_not_after_a_failure(capsys):
    assert cli.main(["recipes"]) == 0
    assert capsys.readouterr().err == "next: jaxssl pretrain simclr_fashion_mnist --help\n"
    assert cli.main(["report", "nowhere"]) == 2
    assert "next:" not in capsys.readouterr().err
