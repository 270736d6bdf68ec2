#!/usr/bin/env bash
# Installs jaxssl and checks the types of the package with mypy; arguments go to mypy.
#
#   bash launch/types.sh                       under a minute after the install, seconds the next time
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh test

python -m mypy "$@"
