"""--help shows what everybody sets, --help-all shows all."""

import pytest

from jaxssl import cli
from jaxssl.cli import arguments, short_help

MAE = "mae_fashion_mnist"


def helped(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert not ended.value.code
    return capsys.readouterr().out


def names(text):
    """Of each line about an option."""
    lines = [line.strip("│ ") for line in text.splitlines()]
    return {line.split()[0].rstrip(",") for line in lines if line.startswith("--")}


def test_help_shows_the_usual_options_and_where_the_others_are(capsys):
    few, whole = (
        helped(capsys, "pretrain", MAE, "--help"),
        helped(capsys, "pretrain", MAE, "--help-all"),
    )
    assert names(few) < names(whole)
    assert names(few) <= {f"--{name}" for name in arguments.USUAL}
    assert {"--out", "--data.path", "--training.epochs"} <= names(few)
    assert {"--method.mask-ratio", "--process-id"} <= names(whole) - names(few)
    (last,) = few.splitlines()[-1:]
    others = len(names(whole) - names(few))  # "-h, --help" begins with its short name
    assert last == f"{others + 1} options more: jaxssl pretrain {MAE} --help-all"
    assert "passes over the training split; may be a fraction. (default: 4)" in " ".join(
        few.split()
    )


@pytest.mark.parametrize("word", ["--help", "--help-all"])
def test_where_nothing_is_unusual_both_show_all(capsys, word):
    assert "--num-neighbors" in helped(capsys, "knn-eval", word)


BOXED = """\
usage: x
╭─ options ────────────────────────╮
│ -h, --help                       │
│     show this and exit           │
│ --a.rate FLOAT                   │
│     how fast, on a line and      │
│     another. (default: -1)       │
│ --flag, --no-flag                │
╰──────────────────────────────────╯
"""


@pytest.mark.parametrize("text", [BOXED, BOXED.replace("│", " ").replace("─", "-")])
def test_entries_of_a_text_with_and_without_boxes(text):
    assert short_help.entries(text) == {
        "help": ("-h, --help", "show this and exit"),
        "a.rate": ("--a.rate FLOAT", "how fast, on a line and another. (default: -1)"),
        "flag": ("--flag, --no-flag", ""),
        "no-flag": ("--flag, --no-flag", ""),
    }
