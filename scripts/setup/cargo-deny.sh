#!/usr/bin/env bash
# cargo-deny, into .tools: from source, so once per version it takes some minutes. Not optimised: it runs for seconds, and
# is built in half the time.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

version=0.20.2
[ "$("$TOOLS/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $version" ] && exit 0
say "building cargo-deny $version (two minutes or so, once)"
(cd "$ROOT" && CARGO_TARGET_DIR="$TOOLS/build" cargo install --quiet --debug --locked --root "$TOOLS" cargo-deny --version "$version" </dev/null)
rm -rf "$TOOLS/build"
