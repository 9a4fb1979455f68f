"""What the interop tests stand on: processes, upstream servers, gateways and remote-controlled clients."""
