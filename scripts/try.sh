#!/usr/bin/env bash
# Prints what to try once `make run` has the gateway up. Argument: its port.
set -euo pipefail
url="http://127.0.0.1:${1:?port}/mcp"
call() {
  printf "  curl -s %s -H 'Content-Type: application/json' -d '%s'\n" "$url" "$1"
}
cat <<TEXT

Mortise in front of a demo MCP server. In another terminal, try

a call whose answer has e-mail, phone and card numbers masked:

$(call '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whois","arguments":{"name":"Ada Lovelace"}}}')

a call that a plugin blocks:

$(call '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_everything","arguments":{"confirm":"DELETE"}}}')

the same with the MCP Inspector (needs Node 22, which npx brings):

  npx -y -p node@22 -p @modelcontextprotocol/inspector mcp-inspector --cli $url --transport http --method tools/call --tool-name whois --tool-arg 'name=Ada Lovelace'

the plugins: curl -s ${url%/mcp}/plugins        more: examples/quickstart/README.md

Ctrl-C ends it.

TEXT
