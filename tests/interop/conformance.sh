#!/usr/bin/env bash
# Runs the official MCP conformance suite, and shows each summary: against its fixture directly and through the gateway,
# and against a server that is an endpoint of a plugin, by itself and as that endpoint. Needs `make setup` and a built
# binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../.venv/mcp1/bin/python -m pytest test_conformance.py -s "$@"
