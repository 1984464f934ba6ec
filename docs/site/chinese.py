"""Sphinx's extension for the Chinese site: a search that finds Chinese words, and lines that join without a blank."""

from __future__ import annotations

import itertools
import re

from docutils import nodes
from sphinx.search.zh import SearchChinese

HAN = "\u3400-\u9fff"
WIDE = HAN + "\u2014\u2018-\u201d\u2026\u3000-\u303f\uff00-\uffef"
"""Han characters, and the punctuation that is set between them, as ranges of a regular expression."""

HAN_WORDS = re.compile(f"[{HAN}]+")
LINE_END = re.compile(f"(?<=[{WIDE}])\n(?=[{WIDE}])")


def pairs_of_characters(text: str) -> list[str]:
    """Return each two neighboring Han characters, and the characters that stand alone.

    Chinese has no blanks between words. With pairs on both sides (the index and the query), a word of any length is
    found without a dictionary: a page matches if it has all pairs of the query.
    """
    pairs = []
    for word in HAN_WORDS.findall(text):
        pairs += [word] if len(word) == 1 else ["".join(pair) for pair in itertools.pairwise(word)]
    return pairs


class SearchPairs(SearchChinese):
    """Sphinx's Chinese search, with pairs of characters in place of the words of a dictionary."""

    language_name = "English"  # the stemmer of Latin words is EnglishStemmer; Sphinx 9.0 has no ChineseStemmer
    js_splitter_code = """
function splitQuery(query) {
  const words = query.match(/[\\u3400-\\u9fff]+|[a-zA-Z0-9_]+/g) || [];
  return words.flatMap((word) =>
    word.length < 3 || word.charCodeAt(0) < 0x3400
      ? [word]
      : Array.from({ length: word.length - 1 }, (_, i) => word.slice(i, i + 2)));
}
"""

    def split(self, input: str) -> list[str]:
        """Return the terms of a text for the index: pairs, single characters for queries of one, and Latin words."""
        latin = self.latin1_letters.findall(input)
        self.latin_terms.update(latin)
        return [*pairs_of_characters(input), *"".join(HAN_WORDS.findall(input)), *latin]

    def word_filter(self, stemmed_word: str) -> bool:
        """Keep Latin words of two letters and more, and Han characters."""
        return len(stemmed_word) > 1 or bool(HAN_WORDS.fullmatch(stemmed_word))


def join_lines(app, doctree) -> None:  # noqa: ARG001  # Sphinx gives them
    """Remove the line ends within Chinese text, which a browser would show as blanks."""
    for text in doctree.findall(nodes.Text):
        if LINE_END.search(text) and not isinstance(text.parent, nodes.literal_block):
            text.parent.replace(text, nodes.Text(LINE_END.sub("", text)))


def setup(app) -> dict[str, bool]:
    """Register the search of Chinese and the joined lines."""
    app.add_search_language(SearchPairs)
    app.connect("doctree-read", join_lines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
