"""The explanation of a concept, component, key or option: its parts, printed as a page of text, and its image."""

from __future__ import annotations

import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

from yisheng.core import files, registry
from yisheng.core.errors import UsageError
from yisheng.core.help_texts import translate_help
from yisheng.core.messages import Message, as_message, translate
from yisheng.core.paths import parse_out_path
from yisheng.core.text_wrapping import fill_words

IMAGE_FORMATS = ("pdf", "png", "svg")
WIDTH = 100


@dataclass(frozen=True)
class Argument:
    """An argument of a concept: name, default as text (None if it is required), and description."""

    name: str
    default: str | None
    help: str


@dataclass(frozen=True, repr=False)
class Explanation:
    """The explanation of a concept, a component, a key or an option; printed, it is a page of text.

    Args:
        name: registered name, or the key or option.
        group: ``concept``, ``key``, ``option``, or the key of the config that chooses the component (``loss``).
        chinese: its names in Chinese, the usual one first.
        aliases: further names that `explain` knows.
        about: one sentence.
        details: further paragraphs of a component's docstring.
        equation: in plain text; of concepts.
        arguments: of a concept with their shapes; options of a component; values of a key.
        from_scratch: the code from scratch, which runs as printed; of concepts.
        usual: the library's call, which runs too; of concepts.
        command: how to use it in the shell; of others.
        when: when to use it; of concepts.
        source: paper or book.
        see: other meanings of the name and related pages, each as `explain` takes it (``loss.huber``).
        image: whether `draw` can draw an image.

    >>> import tempfile
    >>> from yisheng.experiments.explain import explain
    >>> explanation = explain("relu")
    >>> print(explanation.equation)
    relu(x) = max(x, 0)
    derivative: 1 if x > 0, else 0
    >>> explanation.draw(Path(tempfile.mkdtemp()) / "relu.png").name
    'relu.png'
    """

    name: str
    group: str
    about: str
    chinese: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    details: str = ""
    equation: str = ""
    arguments: tuple[Argument, ...] = ()
    from_scratch: str = ""
    usual: str = ""
    command: str = ""
    when: str = ""
    source: str = ""
    see: tuple[str, ...] = ()
    image: bool = False

    def draw(self, path: str | Path) -> Path:
        """Write the image; return its path.

        Args:
            path: file to write; its suffix selects the format: pdf, png or svg.

        Raises:
            UsageError: there is no image of this concept, or no such format.
            StorageError: the file cannot be written.
        """
        path = parse_out_path(path)
        form = path.suffix.lower().removeprefix(".")
        if not self.image:
            drawable = ", ".join(e.name for e in registry.entries("scratch") if "plot" in e.meta)
            raise UsageError(
                Message("there is no image of {name}", name=self.name),
                Message("leave out= out; there are images of {drawable}", drawable=drawable),
            )
        if form not in IMAGE_FORMATS:
            raise UsageError(
                Message("an image ends in .pdf, .png or .svg, got {path}", path=path),
                Message("use out={name}.png", name=self.name),
            )
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        registry.find("scratch", self.name).meta["plot"](axes)
        with files.replace_file(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the character is drawn as a box
            figure.savefig(temporary, format=form, dpi=150)
        return path

    def __str__(self) -> str:
        names = f" ({', '.join(self.chinese)})" if self.chinese else ""
        heads = {"concept": Message("arguments"), "key": Message("values")}
        parts = {
            Message("in detail"): _wrap_details(translate_help(self.details)),
            Message("equation"): self.equation,
            heads.get(self.group, Message("options")): "\n".join(map(_format_argument, self.arguments)),
            Message("from scratch"): self.from_scratch,
            Message("library"): self.usual,
            Message("when to use it"): _fill(self.when),
            Message("how to use it"): self.command,
            Message("source"): textwrap.fill(self.source, WIDTH - 2),
            Message("see also"): "\n".join(f"yisheng explain {name}" for name in self.see),
        }
        sections = [f"{translate(head)}\n\n{textwrap.indent(text, '  ')}" for head, text in parts.items() if text]
        return "\n\n".join([f"{self.name}{names}\n\n{_fill(self.about, WIDTH)}", *sections])

    __repr__ = __str__


def _fill(text: str, width: int = WIDTH - 2) -> str:
    """Return a text in the current language, wrapped to a width."""
    return fill_words(translate(as_message(text)), width)


def _wrap_details(text: str) -> str:
    """Return paragraphs with their prose and their lists wrapped; a table or a formula, which is indented, is kept."""
    lines = text.split("\n")
    return "\n".join(
        line if line.startswith(" ") else fill_words(line, WIDTH - 2, subsequent_indent="  " * line.startswith("- "))
        for line in lines
    )


def _format_argument(argument: Argument) -> str:
    default = "" if argument.default is None else f" = {argument.default}"
    line = Message("{name}: {description}", name=f"{argument.name}{default}", description=as_message(argument.help))
    return fill_words(translate(line), WIDTH - 2, subsequent_indent="    ")
