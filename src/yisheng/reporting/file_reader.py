"""Reading the files of a run folder one by one: what is wrong with one of them does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.validation_texts import describe_all_invalid
from yisheng.reporting.history import History, read_history

MAX_JSON_BYTES = 64 << 20
MAX_TEXT_BYTES = 1 << 20
T = TypeVar("T")


class FileReader:
    """Reads the files of a folder, and records what is wrong with each.

    Args:
        folder: the folder.

    Attributes:
        problems: for each file that could not be read completely, the reason.

    >>> reader = FileReader(Path("no-such-run"))
    >>> reader.read_text("config.toml"), reader.read_object("scores.json"), reader.read("fix.json", dict)
    ('', {}, None)
    >>> reader.parse("model.json", int, "five"), reader.problems
    (None, {'model.json': "invalid literal for int() with base 10: 'five'"})
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: dict[str, str] = {}

    def read_text(self, name: str) -> str:
        """Return the first MiB of a text file, empty if it is missing."""
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(MAX_TEXT_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            self.problems[name] = f"{name} cannot be read: {describe_os_error(error)}"
            return ""

    def read_object(self, name: str) -> Mapping[str, Any]:
        """Return a JSON object, empty if the file is missing or damaged."""
        path = self.folder / name
        if not path.exists():
            return {}
        try:
            value = files.read_json(path, limit=MAX_JSON_BYTES)
        except DataError as error:
            self.problems[name] = error.problem.replace(str(path), name)
            return {}
        if not isinstance(value, dict):
            self.problems[name] = Message("{name} holds {kind}, not an object", name=name, kind=type(value).__name__)
            return {}
        return value

    def read(self, name: str, parse: Callable[[Any], T]) -> T | None:
        """Return the parsed object of a JSON file, or None if the file is missing, empty or damaged."""
        return self.parse(name, parse, self.read_object(name) or None)

    def parse(self, name: str, parse: Callable[[Any], T], content: Any) -> T | None:
        """Return parsed content of a file, or None if there is none or it is damaged.

        Args:
            name: of the file.
            parse: raises an error for what is damaged.
            content: what was read of the file, or None.
        """
        if content is None:
            return None
        try:
            return parse(content)
        except ValidationError as error:
            self.problems[name] = describe_all_invalid(error.errors()[:1])
        except DataError as error:
            self.problems[name] = error.problem
        except (TypeError, ValueError) as error:
            self.problems[name] = str(error)
        return None

    def read_history(self, name: str) -> History:
        """Return the steps and epochs of a log, empty if it is missing."""
        try:
            history = read_history((self.folder / name).parent)
        except DataError as error:
            self.problems[name] = error.problem
            return History()
        if history.damaged_lines:
            self.problems[name] = Message(
                "lines that could not be read and were left out: {count}", count=f"{history.damaged_lines:,}"
            )
        return history
