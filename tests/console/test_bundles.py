"""Modules put together: each is there once, does what it did alone, and a form that is not known is told."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess

import pytest
from tests.support.clients import console_tools

from boxwright.console import bundles, files, trimming

SENT = files.read_files()
OURS = {
    path.relative_to(files.FOLDER).as_posix(): path.read_text("utf-8")
    for path in files.FOLDER.rglob("*.js")
    if path.parent.name != "vendor"
}
SHARED = {
    "app/main.js": 'import { Page, load } from "../parts/page.js";\nimport * as all from "../parts/page.js";\n'
    "globalThis.seen = [new Page().name, Object.keys(all).sort(), (await load()).late];\n",
    "parts/page.js": 'import { twice as both } from "./twice.js";\nexport class Page {\n  name = both("a");\n}\n'
    'const [hidden] = ["h"];\nexport const load = () => import("../pages/late.js");\nexport { hidden };\n',
    "parts/twice.js": "export function twice(text) {\n  return text + text;\n}\n",
    "pages/late.js": 'import { twice } from "../parts/twice.js";\nawait null;\nexport const late = twice("b");\n',
}


def test_each_module_is_in_one_of_the_files() -> None:
    together = [SENT[path].content.decode() for path in (bundles.FIRST, bundles.LATER)]
    together += [SENT[f"text/{name}.js"].content.decode() for name in ("en", "en_later", "id", "id_later")]
    for path in OURS:
        assert sum(f'\n"{path}":async($)=>' in text for text in together) == 1, path


SAME = """
const ts = require(process.argv[1]);
let text = '';
process.stdin.on('data', (part) => text += part).on('end', () => {
  const printer = ts.createPrinter({removeComments: true});
  const print = (script) => printer.printFile(ts.createSourceFile('one.js', script, ts.ScriptTarget.ES2022));
  const plain = (script) => print(script).replace(/\\s+/g, ' ');
  console.log(JSON.stringify(JSON.parse(text).map(([before, after]) => plain(before) === plain(after))));
});
"""
ODD = """const a = 1; // a comment with a " and a `
const b = /[/"'`]\\/\\/x/g.test("// none") ? `/* ${ {a: `${a} // ` }.a } { */` : a / b / 2; /* more
 lines */ const c = b
  + +a; // it goes on
if (a) { /x"/.exec('\\'/*') } /** @type {any} */ (c);
const d = (x) => `${x}` + "a" / 2 / "b"; return /a/ ?? .5;
"""


def test_what_is_left_out_of_a_script_is_no_program() -> None:
    compiler = console_tools.MODULES / "typescript" / "lib" / "typescript.js"
    if not compiler.exists():
        pytest.skip("TypeScript is not installed: `make test` installs it where there is npm")
    scripts = [ODD, *OURS.values(), *bundles.bundled(OURS).values()]
    pairs = json.dumps([(one, trimming.trimmed(one)) for one in scripts])
    done = subprocess.run(["node", "-e", SAME, str(compiler)], input=pairs, capture_output=True, text=True)
    assert json.loads(done.stdout or "[]") == [True] * len(scripts), done.stderr


def test_comments_and_indentation_are_left_out_and_templates_stay() -> None:
    text = "// first\nconst a = {\n  b: `\n  ${ 1 } // x\n`, // second\n};\n\n/** third */\nexport { a };\n"
    assert trimming.trimmed(text) == "\nconst a={\nb:`\n  ${1} // x\n`,\n};\nexport{a};\n"
    with pytest.raises(ValueError, match="a template does not end"):
        trimming.trimmed("const a = `${1} never")


def test_a_module_of_its_own_address_is_the_one_that_runs() -> None:
    assert SENT["parts/save.js"].content.decode().endswith('=await load("parts/save.js");\n')
    assert SENT["app/store.js"].content.startswith(b'import{load}from "./main.js";\n')


def test_modules_do_together_what_they_do_alone(tmp_path: pathlib.Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    seen = []
    for name, modules in (("alone", SHARED), ("together", bundles.bundled(SHARED))):
        for path, text in {**modules, "vendor/ui.js": "export const html = 1;\n"}.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        (tmp_path / name / "package.json").write_text('{"type": "module"}')
        program = 'await import("./app/main.js"); console.log(JSON.stringify(globalThis.seen));'
        done = subprocess.run([node, "--input-type=module", "-e", program], cwd=tmp_path / name, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        seen.append(json.loads(done.stdout))
    assert seen[0] == seen[1] == ["aa", ["Page", "hidden", "load"], "bb"]


@pytest.mark.parametrize(
    "line",
    [
        "export let changing = 1;",
        "export const [one, two] = pair;",
        'export { one } from "./other.js";',
        'export * from "./other.js";',
        'import whole from "./other.js";',
        'import "./other.js";',
        'import {\n  one,\n  two } from "other";',
        "export default function () {}",
    ],
)
def test_a_form_that_is_not_known_is_told(line: str) -> None:
    with pytest.raises(bundles.UnknownForm, match=r"parts/odd\.js"):
        bundles.function("parts/odd.js", f"const a = 1;\n{line}\n")
