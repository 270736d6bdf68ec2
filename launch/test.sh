#!/usr/bin/env bash
# Installs jaxssl and runs its tests; arguments go to pytest.
#
#   bash launch/test.sh                        some 18 minutes on 2 CPU cores after the install
#   bash launch/test.sh -m slow                the slow ones, as long again: kill and resume, all methods
#   bash launch/test.sh -m exhaustive          every pair of method, backend and count: before a release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh test

python -m ruff check .
python -m ruff format --check .
# A process a core, two at most: each of them compiles for eight devices.
python -m pytest --numprocesses auto --maxprocesses 2 --dist worksteal "$@"
