#!/usr/bin/env bash
# Node packages of the interop tests, exactly as locked. They bring Node 22 for themselves, which the system's may
# not be; the system's only has to run npm. No package runs an installation script.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

directory="$ROOT/tests/interop/typescript"
inputs="$(hash_of "$directory/package.json" "$directory/package-lock.json")"
# Not node_modules/.bin/node: npm 9 forgets that link when it drops the packages for other machines.
is_there() { compgen -G "$directory/node_modules/node-linux-*/bin/node" >/dev/null; }
if is_there && stamped node "$inputs"; then exit 0; fi

say "installing the Node packages of tests/interop/typescript"
(cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
is_there || cannot "npm has no Node 22 for $(uname -s) on $(uname -m)" "make setup, on Linux on x86_64 or aarch64"
stamp node "$inputs"
