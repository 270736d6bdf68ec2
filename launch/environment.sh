# Sourced by the other scripts: a virtual environment with jaxssl and the extras named, in .venv or
# another DIRECTORY. Built once; built again when setup.cfg or the extras change.
#
#   source launch/environment.sh EXTRA[,EXTRA] [DIRECTORY]

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
extras=$1
environment=${2:-.venv}

for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "launch: needs Python 3.11 or newer; found $(python3 --version 2>&1). Name one with PYTHON=..." >&2
    exit 2
fi

# What the documentation needs concerns no environment but its own.
wanted="$extras $(awk -v asked="$extras" '
    /^[^ ]/ { left_out = /^docs =/ && asked != "docs" }
    !left_out' "$root/setup.cfg" | cksum)"
built="$root/$environment/jaxssl-installed"
if [ "$(cat "$built" 2>/dev/null)" != "$wanted" ]; then
    echo "launch: installing jaxssl into $environment (the first time takes a minute or two)"
    "$python" -m venv "$root/$environment"
    pip=("$root/$environment/bin/python" -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" --upgrade pip wheel
    # setuptools warns of editable installs in general; nothing for a user to act on
    PYTHONWARNINGS=ignore "${pip[@]}" -e "$root[$extras]"
    echo "$wanted" > "$built"
fi
export PATH="$root/$environment/bin:$PATH"
