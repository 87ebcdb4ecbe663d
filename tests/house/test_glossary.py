"""Words have one meaning: the last word of every public class name is a term, the API's own, or a plain word."""

from __future__ import annotations

import ast
import collections
import pathlib
import re

from google.cloud.automl_v1 import types
from tests.house import plain_words

import boxwright

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = pathlib.Path(boxwright.__file__).parent
GLOSSARY = ROOT / "docs" / "glossary.md"
ENTRY = re.compile(r"^- \*\*(.+?)\*\*: (.+?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)
FEWEST, MOST = 30, 50


def _entries() -> dict[str, str]:
    """Term to explanation, in the order of the page."""
    found = ENTRY.findall(GLOSSARY.read_text(encoding="utf-8"))
    return {term: " ".join(text.split()) for term, text in found}


def _words(name: str) -> list[str]:
    """The words of a name in CamelCase, in small letters: ``GcsEmulator`` is gcs, emulator."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _singular(word: str) -> str:
    if word.endswith("children"):
        return "child"
    if word.endswith("ies") and word != "series":
        return word.removesuffix("ies") + "y"
    if word.endswith(("sses", "xes")):
        return word.removesuffix("es")
    return word if word.endswith(("ss", "us", "is", "series")) else word.removesuffix("s")


def _noun(name: str) -> str:
    return _singular(_words(name)[-1])


def _public_classes() -> dict[str, list[str]]:
    """Noun to the classes that end in it, as ``Name (file)``."""
    found = collections.defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[_noun(node.name)].append(f"{node.name} ({path.relative_to(PACKAGE)})")
    return found


def _terms() -> set[str]:
    """The last words of the terms: of "shard report", report."""
    return {_singular(term.lower().split()[-1]) for term in _entries()}


def _words_of_the_api() -> set[str]:
    return {_noun(name) for name in dir(types) if name[0].isupper()}


def test_the_last_word_of_every_public_class_name_is_known() -> None:
    known = _terms() | _words_of_the_api() | plain_words.PLAIN.keys()
    unknown = {noun: names for noun, names in _public_classes().items() if noun not in known}
    assert not unknown, (
        "choose a word of docs/glossary.md or of the API, or add it there or to tests/house/plain_words.py"
    )


def test_names_are_read_as_words() -> None:
    assert {name: _noun(name) for name in ("GcsEmulator", "AutoMl", "ObjectUri", "ShardFiles", "translated")} == {
        "GcsEmulator": "emulator",
        "AutoMl": "ml",
        "ObjectUri": "uri",
        "ShardFiles": "file",
        "translated": "translated",
    }
    assert [_singular(word) for word in ("losses", "boxes", "entries", "children", "series", "progress")] == [
        "loss",
        "box",
        "entry",
        "child",
        "series",
        "progress",
    ]
    assert {"dataset", "spec", "evaluation"} <= _words_of_the_api()


def test_terms_are_in_the_order_of_the_alphabet_and_said_in_few_sentences() -> None:
    entries = _entries()
    terms = list(entries)
    assert FEWEST <= len(terms) <= MOST
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) == len(re.findall(r"^- ", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE))
    for term, text in entries.items():
        assert text.endswith("."), term
        assert 1 <= len(re.findall(r"\.(?: |$)", text)) <= 2, term


def test_a_word_is_in_one_list_only_is_used_and_has_a_reason() -> None:
    assert not (_words_of_the_api() | _terms()) & plain_words.PLAIN.keys()
    assert plain_words.PLAIN.keys() <= _public_classes().keys()
    assert all(reason.strip() for reason in plain_words.PLAIN.values())
    assert list(plain_words.PLAIN) == sorted(plain_words.PLAIN)


def test_no_module_is_told_from_its_neighbour_by_an_s() -> None:
    stems = collections.defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        stems[path.parent].add(path.stem)
    assert not [f"{folder.name}/{stem}" for folder, names in stems.items() for stem in names if f"{stem}s" in names]


def test_modules_that_run_as_processes_end_in_main() -> None:
    entries = [
        path for path in PACKAGE.rglob("*.py") if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    ]
    assert {str(path.relative_to(PACKAGE)) for path in entries if not path.stem.endswith("_main")} == {
        "cli.py",
        "demo/__main__.py",
    }
