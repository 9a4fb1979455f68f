#!/usr/bin/env bash
# From nothing to a plugin of one's own that changes a real call, with a clock: makes one from a template, fetches its
# packages, changes a line of it, runs it behind a gateway and calls a tool through that.
#
#     scripts/first-plugin.sh [python-external|typescript-external|rust-external] [MORTISE]
set -euo pipefail

template="${1:-python-external}"
mortise="$(realpath "${2:-$(dirname "$0")/../target/debug/mortise}")"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

begun=$EPOCHREALTIME
passed() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }
# step WORDS COMMAND...: runs it, and says how long it took. What it says is shown where it fails.
step() {
    local what="$1" from=$EPOCHREALTIME
    shift
    "$@" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
    printf '%6s s  %s\n' "$(passed "$from")" "$what"
}

step "make a plugin from the template $template" "$mortise" plugin new my-first --template "$template"
cd my-first
step "fetch its packages" make install-dev
# The change that makes it one's own: another word is taken out.
source="$(grep -rlE --include=*.py --include=*.ts --include=*.rs 'PLUGIN_WORD' . --exclude-dir=node_modules --exclude-dir=.venv | head -1)"
sed -i 's/"secret"/"walrus"/' "$source"
call() { "$mortise" plugin dev --port 0 --call echo --args '{"message": "the walrus is late"}' --once; }
step "build it, run it behind a gateway, call a tool" call
grep -q 'echo: the \*\*\*\*\*\* is late' "$folder/log" || { cat "$folder/log" >&2; exit 1; }
printf '%6s s  from nothing to a call that it changed\n' "$(passed "$begun")"
