"""The console's files: what they are sent with, how large they are, and where they are not served."""

from __future__ import annotations

import graphlib
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.conftest import Service
from tests.console.conftest import World
from tests.support.clients.console_page import ConsolePage

from boxwright.console import bundles, files

FOLDER = files.FOLDER
MODULES = sorted(path for path in FOLDER.rglob("*.js") if path.parent.name != "vendor")
VENDORED = sorted((FOLDER / "vendor").iterdir())
TEXTS = sorted((FOLDER / "text").iterdir())
SPOKEN = re.compile(r'\bspeak\("(\w*)"\)')
IMPORT = re.compile(r'(?:from|import)\s*\(?\s*"(\.{1,2}/[^"]+)"')
MOST_BYTES = 120_000  # of JavaScript, compressed
BROWSER = {
    "accept": "text/html,*/*",
    "sec-fetch-site": "none",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


def _loaded_by(path: pathlib.Path, *, later: bool = False) -> set[pathlib.Path]:
    """The modules that a module imports at once, itself included; with `later`, those of pages that are opened, too."""
    found: set[pathlib.Path] = set()
    left = [path]
    while left:
        one = left.pop().resolve()
        if one not in found:
            found.add(one)
            text = one.read_text(encoding="utf-8")
            names = [name for name in IMPORT.findall(text) if later or f'import("{name}")' not in text]
            left += [one.parent / name for name in names if one.parent.name != "vendor"]
    return found


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
        yield client


def test_every_file_is_sent_with_the_strict_policy_and_its_type(http: httpx.Client) -> None:
    for path, file in files.read_files().items():
        answer = http.get(f"/console/{path}")
        assert (answer.status_code, answer.content) == (200, file.content)
        assert answer.headers.get_list("content-type") == [file.content_type]
        assert answer.headers.get_list("content-security-policy") == [files.POLICY]
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_a_browser_that_takes_gzip_gets_the_same_files(http: httpx.Client) -> None:
    for accepted, encoding in (("gzip, br", "gzip"), ("identity", None)):
        answer = http.get("/console/app/main.js", headers={"accept-encoding": accepted})
        assert answer.headers.get("content-encoding") == encoding
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.content == files.read_files()["app/main.js"].content


def test_a_file_that_the_browser_has_is_not_sent_again(http: httpx.Client) -> None:
    etag = http.get("/console/app.css").headers["etag"]
    again = http.get("/console/app.css", headers={"if-none-match": f'W/"other", {etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert http.get("/console/app.css", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", ["nothing.js", "../settings/groups.py", "%2e%2e/files.py", "files.py", "app", "app/"])
def test_nothing_but_the_pages_is_served(http: httpx.Client, path: str) -> None:
    assert http.get(f"/console/{path}").status_code == 404


def test_browsers_are_led_to_the_console_and_programs_are_not(http: httpx.Client) -> None:
    led = http.get("/", headers=BROWSER)
    assert (led.status_code, led.headers["location"]) == (307, "console/")
    assert http.get("/console", headers=BROWSER).headers["location"] == "console/"
    assert http.get("/").text.startswith("<!doctype html>")
    assert http.get("/console/", headers=BROWSER | {"sec-fetch-site": "cross-site"}).status_code == 200
    assert http.get("/console/app.css", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_without_the_setting_there_is_no_console(service_factory: Callable[..., Service]) -> None:
    url = service_factory(environment={"BOXWRIGHT_CONSOLE": "false"}).url
    assert httpx.get(f"{url}/console/", trust_env=False).status_code == 404
    assert httpx.get(f"{url}/", headers=BROWSER, trust_env=False).text.startswith("<!doctype html>")


def test_what_a_browser_loads_is_small() -> None:
    """What it fetches over a visit of all pages, in one language."""
    size = {path: len(file.compressed) for path, file in files.read_files().items()}
    for language in ("en", "id"):
        first = [bundles.FIRST, "vendor/ui.js", f"text/{language}.js"]
        assert sum(size[path] for path in first) <= 60_000
        assert sum(size[path] for path in [*first, bundles.LATER, f"text/{language}_later.js"]) <= MOST_BYTES
    assert sum(size[path] for path in size if path.endswith(".css")) <= 15_000


def test_a_visit_fetches_few_files(world: World, console: ConsolePage) -> None:
    _visit(world, console, ["datasets", "settings", f"batches/{world.ids['batch']}"])


@pytest.mark.full
def test_a_visit_of_all_pages_fetches_few_files(world: World, console: ConsolePage) -> None:
    _visit(world, console, world.pages)


def _visit(world: World, console: ConsolePage, paths: list[str]) -> None:
    before = len(console.requests())  # those of other tests in this tab
    for path in paths:
        console.open(path)
    asked = console.requests()[before:]
    fetched = {url.removeprefix(console.root) for _, url in asked if url.startswith(console.root)}
    scripts = {path for path in fetched if path.endswith(".js")}
    assert scripts == {"app/main.js", "app/later.js", "vendor/ui.js", "text/en.js", "text/en_later.js"}
    assert sum(len(files.read_files()[path].compressed) for path in scripts) <= MOST_BYTES


def test_every_module_is_loaded_by_some_page() -> None:
    found = _loaded_by(FOLDER / "app" / "main.js", later=True)
    assert set(MODULES) - set(TEXTS) == {path for path in found if path.parent.name != "vendor"}
    spoken = {part for path in found for part in SPOKEN.findall(path.read_text(encoding="utf-8"))}
    assert {path.name for path in TEXTS} == {
        f"{language}{part and '_'}{part}.js" for part in spoken for language in ("en", "id")
    }


def test_imports_go_down_from_pages_to_parts_to_the_app_and_never_in_a_circle() -> None:
    floors = {"vendor": 0, "text": 0, "app": 1, "parts": 2, "editor": 3, "pages": 4}
    imports = {
        path: {(path.parent / name).resolve() for name in IMPORT.findall(path.read_text(encoding="utf-8"))}
        for path in MODULES
        if path != FOLDER / "app" / "main.js"  # which loads the pages
    }
    upward = [
        f"{path.name} -> {other.name}"
        for path, others in imports.items()
        for other in others
        if floors[other.parent.name] > floors[path.parent.name]
    ]
    assert not upward
    assert len(list(graphlib.TopologicalSorter(imports).static_order())) >= len(imports)  # a circle raises


def test_every_module_says_what_it_is() -> None:
    for path in MODULES:
        assert path.read_text(encoding="utf-8").startswith("// "), path


@pytest.mark.parametrize("path", VENDORED, ids=lambda path: path.name)
def test_a_vendored_library_carries_its_licence(path: pathlib.Path) -> None:
    head = path.read_text(encoding="utf-8").partition("*/")[0]
    stated = re.findall(r"^(?:/\*! )?(\S+) \d+\.\d+\.\d+, (\S+)$", head, re.MULTILINE)
    assert stated and {licence for _, licence in stated} <= {"MIT", "Apache-2.0"}
    digest, content = re.search(r"sha256 of what follows: (\w+) \*/\n(.*)", path.read_text("utf-8"), re.DOTALL).groups()
    assert hashlib.sha256(content.encode()).hexdigest() == digest, "changed by hand: see tools/vendor.mjs"
    assert head.count("Permission is hereby granted") == sum(licence == "MIT" for _, licence in stated)


def test_no_page_brings_markup_or_addresses_of_elsewhere() -> None:
    for path in [*MODULES, FOLDER / "index.html", FOLDER / "app.css"]:
        text = path.read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "dangerouslySetInnerHTML",
            "eval(",
            "document.write",
            "insertAdjacentHTML",
            "document.cookie",
        ):
            assert word not in text, (path, word)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path
        assert ' style="' not in text, path
