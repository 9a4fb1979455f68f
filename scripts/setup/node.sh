#!/usr/bin/env bash
# Node packages of the interop tests, exactly as locked. They bring Node 22 for themselves, which the system's may
# not be; the system's only has to run npm. No package runs an installation script.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

directory="$ROOT/tests/interop/typescript"
inputs="$(hash_of "$directory/package.json" "$directory/package-lock.json")"
if [ -x "$directory/node_modules/.bin/node" ] && stamped node "$inputs"; then exit 0; fi

say "installing the Node packages of tests/interop/typescript"
(cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
[ -x "$directory/node_modules/.bin/node" ] ||
    cannot "npm has no Node 22 for $(uname -s) on $(uname -m)" "cd $directory && npm install --no-save node@22"
stamp node "$inputs"
