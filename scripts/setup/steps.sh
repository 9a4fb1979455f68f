# Sourced by every set-up step: what the steps share, and nothing a step does.
#
# A step says what it does, is skipped when it was done for the same inputs, and names the command that would do what
# it cannot. What was done is remembered in .tools/stamps as a hash of the inputs, so that a changed lock file or
# toolchain is taken up and an unchanged one costs nothing.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
TOOLS="$ROOT/.tools"
STEP="$(basename "$0" .sh)"
export PATH="$HOME/.cargo/bin:$PATH"

mkdir -p "$TOOLS/stamps"
[ -e "$TOOLS/.gitignore" ] || echo '*' >"$TOOLS/.gitignore"

say() { echo "set-up [$STEP] $*"; }

# Ends the step: what is missing, and the command that would bring it.
cannot() {
    echo "set-up [$STEP] cannot go on: $1" >&2
    echo "set-up [$STEP] this would do it:  $2" >&2
    exit 1
}

# Hash of the given words and of the contents of those that are files.
hash_of() {
    for word in "$@"; do
        if [ -f "$word" ]; then cat "$word"; else echo "$word"; fi
    done | sha256sum | cut -d' ' -f1
}

# stamped NAME HASH: whether this was done for these inputs.
stamped() { [ -f "$TOOLS/stamps/$1" ] && [ "$(cat "$TOOLS/stamps/$1")" = "$2" ]; }

stamp() { echo "$2" >"$TOOLS/stamps/$1"; }

have() { command -v "$1" >/dev/null 2>&1; }

# Package lists no older than today's; only root can fetch them.
fresh_lists() {
    [ "$(id -u)" = 0 ] && have apt-get || return 0
    stamped apt-lists "$(date +%F)" && return 0
    apt-get update -qq </dev/null
    stamp apt-lists "$(date +%F)"
}

# Whether Debian has a package of this name to install.
offered() {
    have apt-cache || return 1
    apt-cache policy "$1" | grep -q 'Candidate: [^(]'
}

# Installs Debian packages where that is possible, else names the command.
packages() {
    local command="apt-get install -y --no-install-recommends $*"
    have apt-get || cannot "these are missing: $*" "your system's package manager, for what Debian calls: $*"
    [ "$(id -u)" = 0 ] || cannot "these packages are missing, and only root may install them: $*" "sudo $command"
    say "installing Debian packages: $*"
    fresh_lists
    DEBIAN_FRONTEND=noninteractive $command -qq </dev/null >"$TOOLS/apt.log" 2>&1 ||
        { cat "$TOOLS/apt.log" >&2; cannot "apt-get failed" "$command"; }
}
