#!/usr/bin/env bash
# Installs jaxssl beside PyTorch, lightly, timm and transformers and compares losses, views and
# published weights; arguments go to pytest.
#
#   bash launch/peers.sh                       some minutes on 2 CPU cores after the install
#
# An environment of its own, .venv-peers, keeps PyTorch away from the other tests. PyTorch comes
# first, as its CPU build, from its own index or from where pip is told to find wheels: what the
# package index has for Linux brings gigabytes of CUDA. torchvision comes with it, since the two
# belong together; without dependencies, so that these two alone are looked for there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh test .venv-peers

# Looked for, not imported: torchvision imports only where tests/peers/conftest.py has prepared it.
found='import importlib.util as u, sys
names = "torch", "torchvision", "lightly", "timm", "transformers"
sys.exit(", ".join(name for name in names if u.find_spec(name) is None) or None)'
if ! python -c "$found" 2>/dev/null; then
    echo "launch: installing PyTorch, lightly, timm and transformers into $environment"
    pip=(python -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" --no-deps --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu \
        torch==2.13.0+cpu torchvision==0.28.0 2>/dev/null ||
        "${pip[@]}" --no-deps torch==2.13.0 torchvision==0.28.0
    PYTHONWARNINGS=ignore "${pip[@]}" -e ".[peers]"
fi

# The tests skip what is not there; here it has to be there.
python -c "$found"
python -m pytest -m peers "$@" tests/peers
