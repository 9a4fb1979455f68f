"""Endpoints: methods that serve HTTP."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

MARK = "__mortise_endpoint__"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Endpoint:
    """Where a method serves."""

    path: str
    methods: tuple[str, ...]
    auth: bool
    stream: bool
    description: str
    metadata: Mapping[str, str]
    method: str = ""


@dataclass(frozen=True)
class EndpointRequest:
    """A request to an endpoint. Header names are in lower case, one value each."""

    method: str
    path: str
    relative_path: str
    segments: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes
    query: str
    remote_addr: str = ""
    host: str = ""
    authenticated: bool = False
    app: Mapping[str, Any] | None = None
    """`id`, `name`, `description`, `owner_email`, `metadata`, … of the app that asks, where the gateway asked who it is."""
    scopes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def endpoint(
    path: str,
    methods: Iterable[str] = ("GET",),
    *,
    auth: bool = False,
    stream: bool | None = None,
    description: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Serves a method at `path` under the plugin's slug: an exact path, or `/*` for all that no other takes.

    The method takes an :class:`EndpointRequest` and a :class:`Context`, and returns a :class:`Response`. An async generator
    is a stream: bytes and texts go out as they come; a :class:`Response` that comes first is its head.
    """
    if not path.startswith("/") or ".." in path:
        raise ValueError(f"an endpoint's path begins with `/` and holds no `..`: {path!r}")
    upper = tuple(method.upper() for method in methods)
    wrong = [method for method in upper if method not in METHODS]
    if wrong or not upper:
        raise ValueError(f"methods of an endpoint are of {', '.join(METHODS)}, not {', '.join(wrong) or 'none'}")

    def mark(function: F) -> F:
        streams = inspect.isasyncgenfunction(function) if stream is None else stream
        told = description or (function.__doc__ or "").strip().partition("\n")[0]
        setattr(function, MARK, Endpoint(path, upper, auth, streams, told, metadata or {}, function.__name__))
        return function

    return mark


def endpoints_of(plugin: type) -> list[Endpoint]:
    """The endpoints of a class, those of its bases too, in the order they were written."""
    found: dict[str, Endpoint] = {}
    for base in reversed(plugin.__mro__):
        for name, member in vars(base).items():
            marked = getattr(member, MARK, None)
            if isinstance(marked, Endpoint):
                found[name] = marked
            else:
                found.pop(name, None)
    return list(found.values())


def endpoint_for(endpoints: list[Endpoint], method: str, path: str) -> Endpoint | None:
    """The endpoint that a request is for: an exact path before the catch-all."""
    allowed = [one for one in endpoints if method in one.methods]
    exact = next((one for one in allowed if one.path == path), None)
    return exact or next((one for one in allowed if one.path == "/*"), None)
