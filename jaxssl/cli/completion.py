"""``completion bash``: prints what makes a shell complete commands, recipes and options."""

import contextlib
import io
from collections.abc import Sequence

from jaxssl import cli
from jaxssl.cli import arguments, short_help
from jaxssl.runs import recipe

OF_RECIPES = ("pretrain", "audit")  # what they take may be the name of a recipe
# Options are asked for once for each command and recipe in a shell: JAX takes a second to import.
BASH = """\
# Completion of jaxssl for bash: source <(jaxssl completion bash)
declare -A _jaxssl_options
_jaxssl() {
    local word=${COMP_WORDS[COMP_CWORD]} key="${COMP_WORDS[1]} ${COMP_WORDS[2]}" choices=
    if [ "$COMP_CWORD" = 1 ]; then
        choices="@COMMANDS@"
    elif [ "${word#--}" != "$word" ]; then
        if [ -z "${_jaxssl_options[$key]}" ]; then
            _jaxssl_options[$key]=$(jaxssl completion options "${COMP_WORDS[@]:1:2}" 2>/dev/null)
        fi
        choices=${_jaxssl_options[$key]}
    elif [ "$COMP_CWORD" = 2 ]; then
        case ${COMP_WORDS[1]} in @OF_RECIPES@) choices="@RECIPES@" ;; esac
    fi
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
}
complete -o default -F _jaxssl jaxssl
"""


def run(words: Sequence[str]) -> None:
    """``jaxssl completion bash``; its script asks for ``options COMMAND [FIRST_WORD]``."""
    match list(words):
        case ["bash"]:
            print(script(), end="")
        case ["options", command, *first] if command in cli.COMMANDS:
            print(*options(command, first[:1]), sep="\n")
        case ["-h" | "--help"]:
            print("usage: source <(jaxssl completion bash)")
        case _:
            raise arguments.UsageError(
                f"completion: must be followed by bash; got {' '.join(words) or 'nothing'}. "
                "Put this into ~/.bashrc: source <(jaxssl completion bash)"
            )


def script() -> str:
    """The script for bash."""
    values = {
        "COMMANDS": " ".join(cli.COMMANDS),
        "OF_RECIPES": " | ".join(OF_RECIPES),
        "RECIPES": " ".join(recipe.shipped_names()),
    }
    text = BASH
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def options(command: str, first: Sequence[str]) -> list[str]:
    """The options of a command, as they are typed.

    Args:
        command: its name.
        first: what it is called with, a recipe or a run, as far as that decides.
    """
    text = io.StringIO()
    words = [each for each in first if not each.startswith("-")]
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        cli.command(command).run([*words, arguments.ALL])
    return [f"--{name}" for name in short_help.entries(text.getvalue())]
