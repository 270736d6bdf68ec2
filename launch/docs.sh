#!/usr/bin/env bash
# Builds the documentation as a site, build/docs/index.html; any warning is an error. Arguments go to
# mkdocs.
#
#   bash launch/docs.sh                        under a minute after the install
#   bash launch/docs.sh serve                  shows it on http://127.0.0.1:8000 and follows changes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh docs .venv-docs

command=${1:-build}
# JAX is imported for the lists of methods and recipes alone.
JAX_PLATFORMS=cpu NO_MKDOCS_2_WARNING=1 \
    mkdocs "$command" --strict --config-file docs/site/mkdocs.yml "${@:2}"
if [ "$command" = build ]; then
    echo "docs: look at build/docs/index.html"
fi
