"""The documentation site: built from the documents without a warning, whole, and without a call to elsewhere."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

from boxwright.surface import methods

pytestmark = pytest.mark.full

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("site") / "out"
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_document_is_a_page_that_the_navigation_names(site: pathlib.Path) -> None:
    front = (site / "README.html").read_text(encoding="utf-8")
    documents = [
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")
    ]
    for page in (*documents, "architecture.html", "changelog.html", "contributing.html", "security.html"):
        assert (site / page).exists(), page
        assert page == "README.html" or f'href="{page}"' in front, page


def test_the_reference_has_every_method_and_message(site: pathlib.Path) -> None:
    page = (site / "reference" / "rest.html").read_text(encoding="utf-8")
    for row in methods.TABLE:
        assert f"<h3>{row.rpc}<" in page, row.rpc
        assert f"<h3>{row.request_pb.DESCRIPTOR.full_name}<" in page or row.body != "*", row.rpc


def test_nothing_is_fetched_from_elsewhere(site: pathlib.Path) -> None:
    fetched = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*\"")
    found = [page.name for page in site.rglob("*.html") if fetched.search(page.read_text(encoding="utf-8"))]
    assert not found
    styles = [path.name for path in site.rglob("*.css") if re.search(r"url\(['\"]?(?:https?:)?//", path.read_text())]
    assert not styles


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "README.md").write_text("# Page\n\n[there](#nowhere)\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "-q", "-c", str(ROOT / "docs" / "site")]
    done = subprocess.run([*command, str(tmp_path), str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nowhere" in done.stderr
