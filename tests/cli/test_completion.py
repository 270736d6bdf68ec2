"""What bash offers while a command is typed."""

import shutil
import subprocess
import sys

import pytest

from jaxssl import cli

BASH = shutil.which("bash")
# A terminal's question: the words, of which the last is completed.
ASK = """
jaxssl() { "$PYTHON" -m jaxssl "$@"; }
source <(jaxssl completion bash)
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _jaxssl; echo "${COMPREPLY[@]}"; }
"""


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_commands_recipes_and_options():
    asked = ["jaxssl pre", "jaxssl pretrain rot", "jaxssl audit mae_fash",
             "jaxssl knn-eval --num-nei", "jaxssl report some"]  # fmt: skip
    done = subprocess.run(
        [BASH, "-c", ASK + "\n".join(f"ask {words}" for words in asked)],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "pretrain predict pretext-eval prepare",
        "rotation_fashion_mnist rotation_fashion_mnist_long",
        "mae_fashion_mnist mae_fashion_mnist_long",
        "--num-neighbors",
        "",
    ]


def test_options_are_those_of_the_recipe(capsys):
    assert cli.main(["completion", "options", "pretrain", "mae_fashion_mnist"]) == 0
    found = capsys.readouterr().out.split()
    assert {"--out", "--method.mask-ratio", "--run.no-tensorboard"} <= set(found)


def test_the_script_of_the_parser_itself_is_let_through(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["knn-eval", "--tyro-print-completion", "bash"])
    assert not ended.value.code
    assert "--num-neighbors" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["fish"], ["options", "no-command"]])
def test_another_shell_is_refused(refused, words):
    assert "completion: must be followed by bash; got" in refused("completion", *words)
