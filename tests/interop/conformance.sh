#!/usr/bin/env bash
# Runs the official MCP conformance suite against its fixture directly and through the gateway, and shows both
# summaries. Needs `make setup` and a built binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../../.venv/mcp1/bin/python -m pytest test_conformance.py -s "$@"
