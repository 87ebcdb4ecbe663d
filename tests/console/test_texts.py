"""The console's sentences: the same in both languages, all of them used, none of them missing."""

from __future__ import annotations

import re

from boxwright.console.files import FOLDER

ENTRY = re.compile(r'"([\w.-]+)": (?:"((?:[^"\\]|\\.)*)"|\{ ((?:\w+: "(?:[^"\\]|\\.)*",? ?)+)\})')
FORM = re.compile(r'(\w+): "((?:[^"\\]|\\.)*)"')
PLACEHOLDER = re.compile(r"\{\w+\}")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for room in ("app", "parts", "editor", "pages")
    for path in sorted((FOLDER / room).iterdir())
)


def _read(language: str) -> dict[str, dict[str, str]]:
    """Sentences by id, each by its forms; a sentence with one form has it as ``other``."""
    modules = sorted((FOLDER / "text").glob(f"{language}*.js"))  # those of pages that are loaded later, too
    text = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    found = {key: dict(FORM.findall(forms)) if forms else {"other": plain} for key, plain, forms in ENTRY.findall(text)}
    assert len(found) == len(ENTRY.findall(text)), "a sentence is there twice"
    return found


def test_both_languages_have_the_same_sentences_and_placeholders() -> None:
    english, indonesian = _read("en"), _read("id")
    assert english.keys() == indonesian.keys()
    assert len(english) > 200
    for key, forms in english.items():
        for form in (*forms.values(), *indonesian[key].values()):
            assert form.strip(), key
            assert set(PLACEHOLDER.findall(form)) == set(PLACEHOLDER.findall(forms["other"])), key
        assert set(indonesian[key]) == {"other"}, key
        assert set(forms) in ({"other"}, {"one", "other"}), key


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    english = _read("en")
    built = list(re.findall(r"`([a-z.]+\.)\$\{", SOURCES))  # t(`state.${of}`)
    used = set(re.findall(r'\bt\((?:[^"`()]*\? )?"([^"]+)"', SOURCES))
    assert used <= english.keys()
    unused = [key for key in english if f'"{key}"' not in SOURCES and not key.startswith(tuple(built))]
    assert not unused
