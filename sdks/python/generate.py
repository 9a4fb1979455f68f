"""Writes mortise_sdk/wire anew from contracts/proto/tyk: `python generate.py`, with grpcio-tools.

Only messages are generated: services are read from the messages' own descriptors when they are served.
"""

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).parent
CONTRACT = HERE / "../../contracts/proto/tyk"
FILES = ["config_provider", "go_plugin", "microgateway_management", "plugin", "plugin_events"]


def main() -> int:
    out = HERE / "mortise_sdk/wire"
    return protoc.main(
        [
            "protoc",
            f"--proto_path={CONTRACT}",
            f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            *(f"{name}.proto" for name in FILES),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
