#!/usr/bin/env bash
# System packages for a purpose: `build` (a C compiler, curl), `python` (venv), `node` (npm), `bench` (nginx),
# `postgres` (a server that tests start by themselves).
# Looks for the commands, not for the packages: tools that came another way are as good.
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

missing=()
for purpose in "$@"; do
    case "$purpose" in
    build)
        have cc || missing+=(gcc libc6-dev)
        have curl || missing+=(curl)
        [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
        ;;
    python)
        "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
        have curl || missing+=(curl)
        ;;
    node)
        have node || missing+=(nodejs)
        have npm || missing+=(npm)
        ;;
    postgres)
        # Debian keeps the programs off the path, by version.
        have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
        ;;
    bench) have nginx || missing+=(nginx-light) ;;
    *) cannot "unknown purpose \`$purpose\`" "scripts/setup/system.sh build|python|node|bench|postgres" ;;
    esac
done
[ ${#missing[@]} -eq 0 ] || packages "${missing[@]}"
