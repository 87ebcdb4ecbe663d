"""How the help of commands is laid out: text is wrapped, examples stay as they are written."""

from __future__ import annotations

import argparse
import textwrap


class Formatter(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal; lines that begin with a blank, and lists of groups, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            textwrap.indent(paragraph, indent)
            if any(line.startswith(" ") for line in paragraph.splitlines())
            else super(Formatter, self)._fill_text(paragraph, width, indent)
            for paragraph in paragraphs
        )
