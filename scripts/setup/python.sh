#!/usr/bin/env bash
# Virtual environments for the interop tests: one for each major version of the MCP SDK, which cannot share one, and one
# for the plugin framework, whose servers are theirs alone, one for plugins of our own kit. Named as words, only those.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    cannot "$("$python" --version) is too old: 3.11 or newer is needed" "PYTHON=/path/to/python3 make setup"

for name in ${*:-mcp1 mcp2 cpex contextforge llm sdk}; do
    environment="$ROOT/.venv/$name"
    requirements="$ROOT/tests/interop/requirements-$name.txt"
    inputs="$(hash_of "$requirements" "$("$python" --version)")"
    if [ -x "$environment/bin/python" ] && stamped "python-$name" "$inputs"; then continue; fi
    say "making .venv/$name from tests/interop/$(basename "$requirements")"
    "$python" -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check -r "$requirements" </dev/null
    if [ "$name" = sdk ]; then
        # The kit itself, from where it stands.
        packages="$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
        echo "$ROOT/sdks/python" >"$packages/mortise-sdk.pth"
    fi
    stamp "python-$name" "$inputs"
done
