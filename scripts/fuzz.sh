#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: runs fuzz targets, all of them unless some are named, each for so long. Ends with the
# first that finds something; the input then stands in fuzz/artifacts/TARGET, and libFuzzer has printed how to run it.
#
# Without a sanitizer, and so with the very compiler the product is built with: our code has no `unsafe`, and what is
# looked for are panics and broken promises. SANITIZER=address asks for one, with CARGO_TOOLCHAIN=+nightly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.tools/bin:$HOME/.cargo/bin:$PATH"

seconds="$1"
shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^mortise-')

fuzz() {
    nice -n "${NICE:-10}" cargo ${CARGO_TOOLCHAIN:-} fuzz "$1" --fuzz-dir fuzz --target-dir target/fuzz \
        --sanitizer "${SANITIZER:-none}" "${@:2}"
}

for target in "$@"; do
    dictionary=json
    case "$target" in config_* | manifest) dictionary=yaml ;; esac
    mkdir -p "fuzz/grown/$target"
    echo "=== $target: $seconds s"
    fuzz run "$target" "fuzz/grown/$target" "fuzz/corpus/$target" -- -dict="fuzz/dictionaries/$dictionary.dict" \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
done
