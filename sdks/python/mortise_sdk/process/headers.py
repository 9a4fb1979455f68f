"""Headers: process plugins exchange them as Go programs write them, plugins see them in lower case."""

from collections.abc import Mapping
from typing import Any


def lower(headers: Mapping[str, Any]) -> dict[str, str]:
    """Headers as plugins see them."""
    return {name.lower(): str(value) for name, value in headers.items()}


def canonical(headers: Mapping[str, Any]) -> dict[str, str]:
    """Headers as they travel: `x-api-key` is `X-Api-Key`."""
    return {"-".join(part.capitalize() for part in name.split("-")): str(value) for name, value in headers.items()}


def client(address: str) -> tuple[str | None, int | None]:
    """Address and port of a client."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and (host.startswith("[") or ":" not in host):
        return host.strip("[]") or None, int(port)
    return address or None, None
