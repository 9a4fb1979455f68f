#!/usr/bin/env bash
# cargo-fuzz, into .tools: from source, so once per version it takes a minute or two. It brings libFuzzer, which is C++.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

version=0.13.2
have c++ || packages g++
[ "$("$TOOLS/bin/cargo-fuzz" --version 2>/dev/null)" = "cargo-fuzz $version" ] && exit 0
say "building cargo-fuzz $version (a minute or two, once)"
(cd "$ROOT" && CARGO_TARGET_DIR="$TOOLS/build" cargo install --quiet --locked --root "$TOOLS" cargo-fuzz --version "$version" </dev/null)
rm -rf "$TOOLS/build"
