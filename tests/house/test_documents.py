"""The documents are complete: index, decisions, settings, commands, changelog; their links lead somewhere."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import boxwright
from boxwright import settings

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "adr").glob("*.md"))
RESERVED = {"0028"}  # for decisions that are being built
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def _label(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def _linked(index: pathlib.Path) -> set[pathlib.Path]:
    """The pages that an index links, whole or at one of their headings."""
    targets = re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))
    return {(index.parent / target).resolve() for target in targets if "://" not in target}


def test_the_index_lists_every_document() -> None:
    """Experiments are listed in an index of their own, which is a document like any other."""
    experiments = DOCS / "experiments" / "README.md"
    linked = _linked(DOCS / "README.md") | {
        page for page in _linked(experiments) if page.parent == experiments.parent.resolve()
    }
    missing = [
        _label(page) for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page.resolve() not in linked
    ]
    assert not missing


def test_an_experiment_has_the_day_of_its_name() -> None:
    pages = [page for page in (DOCS / "experiments").glob("*.md") if page.name != "README.md"]
    assert pages
    for page in pages:
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}-[a-z0-9-]+\.md", page.name), page.name
        assert f"\n{page.name[:10]}, version " in page.read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize("page", PAGES, ids=_label)
def test_every_link_inside_the_project_leads_somewhere(page: pathlib.Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    broken = [target for target in targets if not (page.parent / target.split("#")[0]).exists()]
    assert not broken


def _anchors(page: pathlib.Path) -> set[str]:
    """What the headings of a page are called in links: lower case, blanks as hyphens, without other punctuation."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_label)
def test_every_link_to_a_heading_leads_to_one(page: pathlib.Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target and "#" in target]
    broken = []
    for target in targets:
        path, _, anchor = target.partition("#")
        aim = page.parent / path if path else page
        if aim.suffix == ".md" and anchor not in _anchors(aim):
            broken.append(target)
    assert not broken


def test_decisions_are_numbered_once_and_titled_alike() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name) for path in DECISIONS)
    assert len(set(numbers)) == len(numbers)
    missing = {f"{number:04d}" for number in range(1, int(max(numbers)))} - set(numbers)
    assert missing <= RESERVED, "a number is missing"
    for path in DECISIONS:
        assert path.read_text(encoding="utf-8").startswith(f"# {path.name[:4]}"), path.name


@pytest.mark.parametrize("path", DECISIONS, ids=_label)
def test_a_decision_says_what_it_cost_and_how_to_tell_that_it_was_wrong(path: pathlib.Path) -> None:
    headings = {line[3:].strip().lower() for line in path.read_text(encoding="utf-8").splitlines() if line[:3] == "## "}
    assert {"context", "choice", "what we gave up", "how to tell we were wrong"} <= headings


def _setting_lines() -> list[str]:
    """The table of settings as configuration.md must hold it."""
    lines = []
    for setting in settings.all_settings():
        if setting.depends_on_machine:
            default = "as many as usable"
        elif setting.default is None or setting.default == ():
            default = "unset"
        elif isinstance(setting.default, tuple):
            default = f"`{','.join(setting.default)}`"
        else:
            default = f"`{setting.default}`"
        lines.append(f"| `{setting.name}` | `{setting.group}.{setting.key}` | {default} | {setting.text} |")
    return lines


def test_the_table_of_settings_says_what_the_settings_say() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    documented = [line for line in text.splitlines() if re.match(r"\| `[a-z_0-9]+` \|", line)]
    assert documented == _setting_lines(), "the table should read:\n" + "\n".join(_setting_lines())


def test_the_configuration_file_of_the_documents_is_read(tmp_path: pathlib.Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "configuration.md").read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "boxwright.toml"
    path.write_text(example, encoding="utf-8")
    found = settings.read({}, path)
    assert found.storage.data_dir == tmp_path / "data"
    assert (found.storage.schemes, found.batch.jobs, found.training.model_life_days) == (("gs", "s3"), 3, None)
    named = {(table, key) for table, keys in tomllib.loads(example).items() for key in keys}
    defaults = {(one.group, one.key): one.default for one in settings.all_settings() if not one.depends_on_machine}
    changed = {place for place in named if defaults.get(place) != getattr(getattr(found, place[0]), place[1])}
    assert changed | {("server", "port")} == named, "an example that says what is so anyhow says nothing"


def test_every_flag_of_serve_is_documented() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "boxwright.cli", "serve", "--help"], capture_output=True, text=True, check=True
    ).stdout
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    flags = set(re.findall(r"--[a-z-]+", shown)) - {"--help"}
    assert flags == set(re.findall(r"`(--[a-z-]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=_label)
def test_every_make_command_in_a_document_is_a_recipe(page: pathlib.Path) -> None:
    recipes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= recipes


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text


def test_the_newest_changelog_entry_is_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert versions[0] == boxwright.__version__


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {
        path.name.removesuffix(".py")
        for path in (ROOT / "src/boxwright").iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or (path.is_dir() and any(path.iterdir())))
    }
    missing = sorted(room for room in rooms if not re.search(rf"\b{room}\b", text))
    assert not missing
