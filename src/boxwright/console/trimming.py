"""A script without what only its readers need: comments, indentation, empty lines, blanks beside brackets and commas.

Nothing is renamed and no line is joined to another. Strings, templates and regular expressions stay as they are.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)"""
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[\w$]+)|(?P<mark>.)""",
    re.DOTALL,
)
_TEMPLATE = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?P<end>`|\$\{)", re.DOTALL)
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_BEFORE_REGEX = frozenset("([{,;=:!&|?+-*%~^<>")
_WORDS_BEFORE_REGEX = frozenset({"return", "typeof", "case", "in", "of", "void", "delete", "await", "yield"})
_NO_BLANKS = frozenset("{}()[],;:?=")  # no blank beside them means anything


class _Script:
    """What is written so far; blanks are written once it is known what follows."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.last = ""  # what was written last
        self._blank = ""

    def blank(self, text: str) -> None:
        """White space, or a comment in its place."""
        self._blank = "\n" if "\n" in self._blank + text else self._blank or text[:1]

    def write(self, text: str) -> None:
        """A token."""
        if self._blank == "\n" or (self._blank and not {self.last[-1:], text[:1]} & _NO_BLANKS):
            self.parts.append("\n" if self._blank == "\n" else " ")
        self._blank = ""
        self.parts.append(text)
        self.last = text

    @property
    def awaits_value(self) -> bool:
        """Whether a slash begins a regular expression here."""
        return not self.last or self.last in _WORDS_BEFORE_REGEX or self.last[-1] in _BEFORE_REGEX


def trimmed(script: str) -> str:
    """Trims a script.

    Raises:
        ValueError: a template does not end.
    """
    out, at = _Script(), 0
    depths: list[int] = []  # of braces, in each template that an expression is in
    while at < len(script):
        token = _TOKEN.match(script, at)
        assert token is not None  # any character is one
        text, kind = token[0], token.lastgroup
        if kind == "mark" and text == "/" and out.awaits_value and (found := _REGEX.match(script, at)):
            text = found[0]
        elif text == "`" or (text == "}" and depths and depths[-1] == 0):
            if text == "}":
                depths.pop()
            text = _template(script, at)
            if text.endswith("${"):
                depths.append(0)
        elif depths and text in ("{", "}"):
            depths[-1] += 1 if text == "{" else -1
        at += len(text)
        if kind == "space":
            out.blank(text)
        elif kind in ("line", "block"):
            out.blank("\n" if "\n" in text else " ")
        else:
            out.write(text)
    return "".join(out.parts) + "\n"


def _template(script: str, at: int) -> str:
    """From a template's begin, or the end of an expression in it, to its end or the next expression."""
    found = _TEMPLATE.match(script, at + 1)
    if found is None:
        raise ValueError(f"a template does not end: {script[at : at + 80]!r}")
    return script[at : found.end()]
