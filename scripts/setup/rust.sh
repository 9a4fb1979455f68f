#!/usr/bin/env bash
# The Rust toolchain that rust-toolchain.toml names, with clippy and rustfmt. It is installed by name: rustup may be
# told not to install toolchains by itself (RUSTUP_AUTO_INSTALL=0).
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

channel="$(sed -n 's/^channel *= *"\(.*\)"/\1/p' "$ROOT/rust-toolchain.toml")"
is_there() {
    [ "$(cd "$ROOT" && rustc --version 2>/dev/null | cut -d' ' -f2)" = "$channel" ] &&
        (cd "$ROOT" && cargo fmt --version && cargo clippy --version) >/dev/null 2>&1
}
is_there && exit 0

# Debian's package where it exists (Debian 13, Ubuntu 24.04), else the installer of the server that serves the
# toolchains too. Only root's machine is changed without being asked.
install_rustup() {
    local server="${RUSTUP_UPDATE_ROOT:-https://static.rust-lang.org/rustup}" target installer
    local by_hand="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain none"
    [ "$(id -u)" = 0 ] || cannot "rustup is missing" "$by_hand"
    fresh_lists
    if offered rustup; then
        packages rustup
        return
    fi
    target="$(uname -m)-unknown-linux-gnu"
    installer="$TOOLS/rustup-init"
    say "installing rustup from $server"
    curl -fsSL -o "$installer" "$server/dist/$target/rustup-init" || cannot "$server is out of reach" "$by_hand"
    local wanted got
    wanted="$(curl -fsSL "$server/dist/$target/rustup-init.sha256" | cut -d' ' -f1)"
    got="$(sha256sum "$installer" | cut -d' ' -f1)"
    [ "$got" = "$wanted" ] || cannot "rustup-init is not what its checksum says ($got, not $wanted)" "$by_hand"
    chmod +x "$installer"
    "$installer" -y --quiet --no-modify-path --default-toolchain none </dev/null
    rm "$installer"
}

have rustup || install_rustup
say "installing Rust $channel with clippy and rustfmt"
rustup toolchain install "$channel" --profile minimal --component clippy --component rustfmt --no-self-update </dev/null
is_there || cannot "Rust $channel is installed but $(command -v cargo || echo 'no cargo') comes first on PATH" \
    "export PATH=\"\$HOME/.cargo/bin:\$PATH\""
