#!/usr/bin/env bash
# Go, for the process plugin that tests build. Any Go since 1.21 fetches the version that the module names by itself; on
# a machine without one, that version comes into .tools/go from where such a Go would fetch it.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

wanted=1.26.0
declare -A sums=(
    [amd64]=38461905b98c59173672814302e222ab43b652274bc0c95817b08b71ab66b705
    [arm64]=4c3f961bc257ff52e7a425166f9f75015f645dff071d01a81823455ffe646609
)

is_new_enough() {
    local version
    version="$("$1" version 2>/dev/null | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')"
    [ -n "$version" ] && [ "$version" -ge 21 ]
}
is_new_enough go && exit 0
is_new_enough "$TOOLS/go/bin/go" && exit 0

case "$(uname -m)" in
x86_64) machine=amd64 ;;
aarch64) machine=arm64 ;;
*) cannot "Go 1.21 or newer is missing" "install Go from https://go.dev/dl" ;;
esac
have unzip || packages unzip
proxy="${GOPROXY:-}" && proxy="${proxy%%[,|]*}"
case "$proxy" in http*) ;; *) proxy=https://proxy.golang.org ;; esac
module="golang.org/toolchain@v0.0.1-go$wanted.linux-$machine"
say "fetching Go $wanted from $proxy"
curl -fsSL -o "$TOOLS/go.zip" "$proxy/${module/@//@v/}.zip" ||
    cannot "$proxy is out of reach" "install Go 1.21 or newer from https://go.dev/dl"
got="$(sha256sum "$TOOLS/go.zip" | cut -d' ' -f1)"
[ "$got" = "${sums[$machine]}" ] ||
    cannot "the archive of Go is not what its checksum says ($got)" "install Go 1.21 or newer from https://go.dev/dl"
rm -rf "$TOOLS/go" "$TOOLS/unpacked"
unzip -q "$TOOLS/go.zip" -d "$TOOLS/unpacked"
mv "$TOOLS/unpacked/$module" "$TOOLS/go"
rm -rf "$TOOLS/unpacked" "$TOOLS/go.zip"
chmod +x "$TOOLS"/go/bin/* "$TOOLS"/go/pkg/tool/*/*
is_new_enough "$TOOLS/go/bin/go" || cannot "the Go that was fetched does not run" "install Go from https://go.dev/dl"
