"""References to a user's own code: ``module:attribute`` or ``file.py:Class``, as written in a shell or a TOML file.

Code is imported only when the user names it in the present command or call, never because a file of a run folder
mentions it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path

IN_MEMORY: Final = "in-memory"
"""Reference of an object that no file can name: an instance, a lambda, a class of a notebook."""
_REFERENCE = re.compile(r"(?P<source>.+\.py|in-memory|[^\W\d][\w.]*):(?P<attribute>[^\W\d][\w.]*)")


def is_reference(text: str) -> bool:
    """Return whether text has the form of a reference to code.

    >>> is_reference("net.py:Net"), is_reference("package.nets:Net"), is_reference("C:/lab/net.py:Net")
    (True, True, True)
    >>> is_reference("lenet"), is_reference("C:/lab/net.py"), is_reference("https://host/net.py")
    (False, False, False)
    """
    return _REFERENCE.fullmatch(text.strip()) is not None


def import_reference(text: str) -> Any:
    """Import the object that a reference names.

    A file may import its neighbors: its folder is on Python's path while it is imported. A module is looked up in the
    present folder too, as ``python -m`` does.

    Args:
        text: ``module:attribute`` or ``file.py:attribute``.

    Raises:
        UsageError: the file or module is missing, its code raises an error, or it has no such attribute.

    >>> import_reference("math:sqrt")(4.0)
    2.0
    """
    match = _REFERENCE.fullmatch(text.strip())
    if match is None or match["source"] == IN_MEMORY:
        raise UsageError(
            Message("{text} cannot be imported", text=f"{text!r}"),
            Message("write file.py:Class or package.module:Class"),
        )
    source, attribute = match["source"], match["attribute"]
    module = _import_file(source) if source.endswith(".py") else _import_module(source)
    value: Any = module
    for name in attribute.split("."):
        if not hasattr(value, name):
            defined = [name for name, item in vars(module).items() if callable(item) and not name.startswith("_")]
            raise UsageError(
                Message("{source} defines no {attribute}", source=source, attribute=attribute),
                suggest(attribute, defined),
            )
        value = getattr(value, name)
    return value


def make_reference(component: object) -> str:
    """Return the reference of an object: one that can be imported again, or ``in-memory:Name``.

    >>> import collections
    >>> make_reference(collections.OrderedDict), make_reference(lambda x: x)
    ('collections:OrderedDict', 'in-memory:function')
    """
    module, name = getattr(component, "__module__", None), getattr(component, "__qualname__", None)
    if isinstance(name, str) and isinstance(module, str) and "<" not in name:
        file = getattr(sys.modules.get(module), "__file__", None)
        if module == "__main__" and file is not None:
            return f"{Path(file).absolute()}:{name}" if file.endswith(".py") else f"{IN_MEMORY}:{name}"
        if module != "__main__" and _resolve(module, name) is component:
            path = _loaded_files.get(module)
            return f"{module if path is None else path}:{name}"
    return f"{IN_MEMORY}:{_describe(component)}"


def hash_source(component: object) -> str | None:
    """Return the SHA-256 of the file that defines an object or its class, or None if there is no such file.

    A class of a notebook has the source of its cell.
    """
    target: Any = component if inspect.isclass(component) or inspect.isroutine(component) else type(component)
    target = getattr(component, "func", target)  # a functools.partial
    with contextlib.suppress(OSError, TypeError, ValueError):
        file = inspect.getsourcefile(target)
        if file is not None and Path(file).is_file():
            return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    with contextlib.suppress(OSError, TypeError, ValueError):
        return hashlib.sha256(inspect.getsource(target).encode()).hexdigest()
    return None


def short_name(reference: str) -> str:
    """Return the last part of a reference, for titles and names of folders; other names are returned unchanged.

    >>> short_name("net.py:Net"), short_name("package.nets:Outer.Net"), short_name("lenet")
    ('Net', 'Net', 'lenet')
    """
    return reference.rpartition(":")[2].rpartition(".")[2] if is_reference(reference) or ":" in reference else reference


def distinct_reference(reference: str, used: Collection[str]) -> str:
    """Return the reference of an object in memory with a number if another one of its list has the same name.

    Args:
        reference: of the object; one that can be imported is returned unchanged.
        used: short names of the objects before it.

    >>> distinct_reference("in-memory:function", ["function"]), distinct_reference("in-memory:Noise", ["function"])
    ('in-memory:function_2', 'in-memory:Noise')
    """
    name = short_name(reference)
    if name not in used or not reference.startswith(f"{IN_MEMORY}:"):
        return reference
    return next(f"{reference}_{i}" for i in itertools.count(2) if f"{name}_{i}" not in used)


_loaded_files: dict[str, Path] = {}
"""Names in ``sys.modules`` of files that were imported by their path."""


def _import_file(source: str) -> ModuleType:
    path = parse_path(source, Message("the file of a reference")).absolute()
    if not path.is_file():
        raise UsageError(
            Message("there is no file {source}", source=source), Message("check the path before the colon")
        )
    content = path.read_bytes()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode() + content).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # inspect and dataclasses look their module up there
    _loaded_files[name] = path
    try:
        with _search_first(path.parent):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name], _loaded_files[name]
        if not isinstance(error, Exception):
            raise
        raise UsageError(
            Message("{source} cannot be imported: {error}", source=source, error=_explain(error, path)),
            Message("fix it, and try again"),
        ) from error
    return module


def _import_module(name: str) -> ModuleType:
    try:
        with _search_first(Path.cwd()):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                Message("there is no module {name}", name=name),
                Message("check the name, or write {name}.py:Class", name=name),
            ) from None
        raise UsageError(
            Message("{name} cannot be imported: {error}", name=name, error=error), Message("install what it needs")
        ) from error
    except Exception as error:
        raise UsageError(
            Message(
                "{name} cannot be imported: {name__}: {error}", name=name, name__=type(error).__name__, error=error
            ),
            Message("fix it, and try again"),
        ) from error


@contextlib.contextmanager
def _search_first(folder: Path) -> Iterator[None]:
    """Put a folder at the beginning of Python's path during the block."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the imported code may have changed the path, too
            sys.path.remove(str(folder))


def _explain(error: Exception, path: Path) -> str:
    """Return an error of imported code with the line of that file where it was raised."""
    lines = []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            lines.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" + (f" (line {line})" if line and f"line {line}" not in text else "")


def _resolve(module: str, name: str) -> object:
    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _describe(component: object) -> str:
    """Return an identifier for an object: its own name, or that of its class."""
    name: Any = getattr(component, "__name__", None)
    if not isinstance(name, str):
        partial = getattr(component, "func", None)
        name = getattr(partial, "__name__", type(component).__name__)
    return "function" if name == "<lambda>" else re.sub(r"\W", "_", name)
