#!/usr/bin/env bash
# Two virtual environments for the interop tests, one for each major version of the MCP SDK: they cannot share one.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    cannot "$("$python" --version) is too old: 3.10 or newer is needed" "PYTHON=/path/to/python3 make setup"

for major in 1 2; do
    environment="$ROOT/.venv/mcp$major"
    requirements="$ROOT/tests/interop/requirements-mcp$major.txt"
    inputs="$(hash_of "$requirements" "$("$python" --version)")"
    if [ -x "$environment/bin/python" ] && stamped "python-mcp$major" "$inputs"; then continue; fi
    say "making .venv/mcp$major from tests/interop/$(basename "$requirements")"
    "$python" -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" </dev/null
    stamp "python-mcp$major" "$inputs"
done
