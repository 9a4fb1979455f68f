"""Objects with named fields that behave like the models plugins expect, without depending on pydantic.

Only what is given or set afterwards is kept on the object; defaults are read from the class. So a value that nobody
touched goes back to the gateway as it came, without keys that were not there.
"""

from __future__ import annotations

import copy
import inspect
import json

from . import plain

_MISSING = object()


class Model:
    """A record. Subclasses declare fields as annotations, with defaults as class attributes."""

    model_fields: dict = {}
    #: Field names under other names that are accepted as well.
    _renamed: dict = {}
    #: How the value of a field is read when it is a dict or list.
    _reads: dict = {}

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        fields = dict(cls.model_fields)
        for name in _annotated(cls):
            if name.startswith("_") or name in ("model_fields", "model_config"):
                continue
            fields[name] = _default(cls, name)
        cls.model_fields = fields

    def __class_getitem__(cls, _):
        return cls

    def __init__(self, **values):
        for given, field in self._renamed.items():
            if given in values and field not in values:
                values[field] = values.pop(given)
        for name, default in self.model_fields.items():
            if name in values:
                value = values[name]
                read = self._reads.get(name)
                self.__dict__[name] = read(value) if read and isinstance(value, (dict, list)) else value
            elif default is _MISSING:
                raise ValueError(f"{type(self).__name__}: the field `{name}` is required")
            elif isinstance(default, (dict, list, set)) or callable(default):
                self.__dict__[name] = default() if callable(default) else copy.copy(default)
        self._extra({name: value for name, value in values.items() if name not in self.model_fields})

    def _extra(self, values):
        """Takes what is no field: kept, so that nothing a gateway says is lost."""
        self.__dict__.update(values)

    def _mortise_plain(self):
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def model_dump(self, *, include=None, exclude=None, exclude_none=False, exclude_unset=False, **_):
        """All fields as plain data."""
        given = self._mortise_plain()
        if not exclude_unset:
            defaults = {name: getattr(self, name, None) for name in self.model_fields}
            given = {**defaults, **given}
        kept = {
            name: _dumped(value)
            for name, value in given.items()
            if (include is None or name in include) and (exclude is None or name not in exclude)
        }
        return {name: value for name, value in kept.items() if value is not None} if exclude_none else kept

    def dict(self, **options):
        """The older name of `model_dump`."""
        return self.model_dump(**options)

    def model_dump_json(self, *, indent=None, **options):
        """All fields as JSON."""
        return json.dumps(self.model_dump(**options), default=plain.of, indent=indent)

    def json(self, **options):
        """The older name of `model_dump_json`."""
        return self.model_dump_json(**options)

    def model_copy(self, *, update=None, deep=False):
        """The same with some fields replaced."""
        twin = copy.deepcopy(self) if deep else copy.copy(self)
        twin.__dict__.update(update or {})
        return twin

    def copy(self, *, update=None, deep=False, **_):
        """The older name of `model_copy`."""
        return self.model_copy(update=update, deep=deep)

    @classmethod
    def model_validate(cls, value, **_):
        """An object of `value`, a mapping or an object of this class."""
        if isinstance(value, cls):
            return value
        return cls(**(value if isinstance(value, dict) else vars(value)))

    @classmethod
    def model_validate_json(cls, text, **_):
        """An object of a JSON text."""
        return cls(**json.loads(text))

    @classmethod
    def parse_obj(cls, value):
        """The older name of `model_validate`."""
        return cls.model_validate(value)

    @classmethod
    def model_construct(cls, _fields_set=None, **values):
        """An object without any check."""
        return cls(**values)

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        """Lets models of pydantic have fields of these types."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(cls.model_validate)

    def __iter__(self):
        return iter(self.model_dump().items())

    def __eq__(self, other):
        return type(self) is type(other) and self.model_dump() == other.model_dump()

    __hash__ = None

    def __repr__(self):
        fields = ", ".join(f"{name}={value!r}" for name, value in self._mortise_plain().items())
        return f"{type(self).__name__}({fields})"


def _annotated(cls):
    """Names of the fields that a class declares itself."""
    own = cls.__dict__.get("__annotations__")
    # Python 3.14 makes them only when asked.
    if own is None and hasattr(inspect, "get_annotations"):
        own = inspect.get_annotations(cls)
    return own or {}


def _default(cls, name):
    """What a field is where it is not given; pydantic's `Field(...)` is understood."""
    default = cls.__dict__.get(name, _MISSING)
    if type(default).__name__ != "FieldInfo":
        return default
    delattr(cls, name)
    if getattr(default, "default_factory", None):
        return default.default_factory
    value = default.default
    if type(value).__name__ == "PydanticUndefinedType" or value is ...:
        return _MISSING
    setattr(cls, name, value)
    return value


def _dumped(value):
    if isinstance(value, dict):
        return {key: _dumped(held) for key, held in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_dumped(held) for held in value]
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) and not isinstance(value, type) else value
