"""From a class path to an instance: where modules are looked for, which hooks a class has, what went wrong.

Folders of plugins stand behind the standard library and before installed packages: nothing in them can take the place
of `os`, and a folder named like an installed package still counts. That also holds below a package that an installed
one shares its name with (`plugins`).
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import sysconfig
import traceback

from . import families

#: Modules that are no plugins, and would do harm if a configuration named their classes.
REFUSED = ("builtins", "code", "codeop", "compileall", "ctypes", "http.server", "importlib", "os", "runpy", "shutil")
REFUSED += ("socket", "subprocess", "sys")


class LoadError(Exception):
    """A class that cannot be used, and why, in words for whoever configured it."""


def look_in(folders):
    """Adds folders to the search path."""
    library = {os.path.realpath(path) for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))}
    after = 0
    for at, path in enumerate(sys.path):
        real = os.path.realpath(path)
        if path.endswith(".zip") or real in library or os.path.dirname(real) in library:
            if "site-packages" not in real and "dist-packages" not in real:
                after = at + 1
    new = [folder for folder in folders if folder not in sys.path]
    sys.path[after:after] = new
    if new:
        importlib.invalidate_caches()


def graft(module_name, folders):
    """Lets packages that are imported already find modules in `folders` as well."""
    parts = module_name.split(".")
    for depth in range(1, len(parts)):
        package = sys.modules.get(".".join(parts[:depth]))
        path = getattr(package, "__path__", None)
        if package is None:
            try:
                package = importlib.import_module(".".join(parts[:depth]))
            except Exception:  # noqa: BLE001 - told when the module itself is imported
                return
            path = getattr(package, "__path__", None)
        for folder in folders:
            below = os.path.join(folder, *parts[:depth])
            if isinstance(path, list) and os.path.isdir(below) and below not in path:
                path.insert(0, below)


def find_class(path, folders):
    """The class of a dotted path."""
    module_name, _, class_name = path.rpartition(".")
    if not module_name or ".." in path or "/" in path or "\\" in path:
        raise LoadError(f"`{path}` is not the dotted path of a class")
    if any(module_name == refused or module_name.startswith(refused + ".") for refused in REFUSED):
        raise LoadError(f"`{module_name}` is a module of the language itself, not of plugins")
    look_in(folders)
    graft(module_name, folders)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise LoadError(_not_found(error, module_name, folders)) from error
    except SyntaxError as error:
        raise LoadError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        raise LoadError(f"importing `{module_name}`: {error!r} {_place(error)}") from error
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        there = ", ".join(name for name in classes if getattr(module, name).__module__ == module_name) or "none"
        raise LoadError(f"there is no class `{class_name}` in `{module_name}` ({module.__file__}); there: {there}")
    return found


def _not_found(error, module_name, folders):
    missing = error.name or ""
    if missing and (module_name == missing or module_name.startswith(missing + ".")):
        where = ", ".join(folders) or "no folder: name one in `plugin_dirs`"
        return f"there is no module `{module_name}`; looked in {where}, and in what {sys.executable} has installed"
    return (
        f"ModuleNotFoundError: {error} {_place(error)}; install it: {sys.executable} -m pip install "
        f"{missing.split('.')[0]}, or name it in `plugin_settings.python.requirements`"
    )


def _place(error):
    """Where in the plugin's code it happened."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    library = sysconfig.get_path("stdlib")
    own = [frame for frame in frames if not frame.filename.startswith(library)] or frames
    return f"({own[-1].filename}:{own[-1].lineno})" if own else ""


class Handler:
    """One hook of one instance."""

    __slots__ = ("function", "waits", "shown")

    def __init__(self, function):
        self.function = function
        self.waits = inspect.iscoroutinefunction(inspect.unwrap(function))
        self.shown = _positional(function)

    def arguments(self, family, payload, context):
        """What it is called with: payload, context, and where it wants them the extensions."""
        if self.shown >= 3:
            return payload, context, family.extensions()
        return (payload, context)[: self.shown]


def _positional(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind == inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return 2
    required = [one for one in parameters if one.kind in kinds and one.default is inspect.Parameter.empty]
    offered = [one for one in parameters if one.kind in kinds]
    third = len(offered) >= 3 and (len(required) >= 3 or offered[2].name == "extensions")
    return 3 if third else min(len(offered), 2)


def handlers_of(instance, family, hooks):
    """The handlers of an instance by hook. `hooks` are the names each is known by, the first the one that counts."""
    marked = {}
    for name, member in inspect.getmembers(type(instance), callable):
        about = getattr(member, "_plugin_hook_metadata", None)
        types = getattr(about, "hook_types", None) or [getattr(about, "hook_type", None)]
        for hook in types:
            marked.setdefault(getattr(hook, "value", hook), name)
    handlers = {}
    for names in hooks:
        for name in names:
            function = getattr(instance, marked.get(name, name), None)
            inherited = getattr(family.base, name, None) is not None and name not in marked
            if inherited and getattr(type(instance), name, None) is getattr(family.base, name):
                continue
            if callable(function):
                handlers[names[0]] = Handler(function)
                break
    return handlers


async def instantiate(path, folders, config):
    """An instance of a class, initialised, and its framework."""
    found = find_class(path, folders)
    family = families.family_of(found)
    try:
        instance = found(family.config(config))
    except Exception as error:
        raise LoadError(f"`{path}` could not be made of its `config`: {error!r} {_place(error)}") from error
    begin = getattr(instance, "initialize", None)
    if begin is not None:
        try:
            begun = begin()
            if inspect.isawaitable(begun):
                await begun
        except Exception as error:
            raise LoadError(f"`initialize` of `{path}`: {error!r} {_place(error)}") from error
    return instance, family
