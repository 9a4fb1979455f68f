"""Plain data of whatever a plugin hands back: what `json.dumps` is to do with objects it does not know."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import pathlib
import types
import uuid
from collections.abc import Mapping, Set

_TEXT = (uuid.UUID, pathlib.PurePath, decimal.Decimal)
_TIME = (datetime.datetime, datetime.date, datetime.time)


def of(value):
    """One level of `value` as dict, list, text or number; what is below is asked for again."""
    own = getattr(value, "_mortise_plain", None)
    if own is not None and not isinstance(value, type):
        return own()
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (Set, types.GeneratorType)):
        return list(value)
    if isinstance(value, types.SimpleNamespace):
        return vars(value)
    if isinstance(value, _TEXT):
        return str(value)
    if isinstance(value, _TIME):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    attributes = getattr(value, "__dict__", None)
    if attributes and not callable(value) and not isinstance(value, type):
        return {name: held for name, held in attributes.items() if not name.startswith("_")}
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} is not serialisable")
