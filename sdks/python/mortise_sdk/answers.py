"""What a plugin decides about a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Block:
    """The call must not go on. Nothing in it may be a secret: clients are told."""

    reason: str
    code: str = "PLUGIN_BLOCKED"
    description: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    """HTTP status to answer with, where the surface speaks plain HTTP; 403 unless set."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Change:
    """The call goes on changed. At the hooks about headers `payload` is the headers to set, where it is asked who a caller
    is their record, and else the members of the payload that are to change."""

    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Response:
    """The answer of an endpoint, or the head of a stream."""

    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def block(
    reason: str,
    code: str = "PLUGIN_BLOCKED",
    *,
    description: str = "",
    details: Mapping[str, Any] | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
) -> Block:
    """Refuses a call."""
    raw = body.encode() if isinstance(body, str) else body
    return Block(reason, code, description or reason, details or {}, status, headers or {}, raw)


def change(payload: Mapping[str, Any]) -> Change:
    """Changes a call."""
    return Change(payload)
