"""One model in the console: what is known of it, another name, an export."""

from __future__ import annotations

from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage


def test_a_model_is_renamed_and_keeps_the_name(world: World, console: ConsolePage) -> None:
    path = f"{PARENT}/models/{world.ids['model']}"
    former = world.get(path)["displayName"]
    for name in ("with_another_name", former):
        console.open(f"models/{world.ids['model']}")
        console.click("Rename")
        console.until("document.querySelector('dialog[open] input')")
        console.page.run("document.querySelector('dialog[open] input').select()")
        console.type_into("dialog[open] input", name)
        console.click("Give this name")
        console.until(f"document.querySelector('h1').innerText === '{name}' && !document.querySelector('dialog')")
        assert world.get(path)["displayName"] == name


def test_a_model_is_exported_to_a_folder(world: World, console: ConsolePage) -> None:
    bucket = world.service.bucket("exported")
    console.open(f"models/{world.ids['model']}")
    assert "96 × 64 px" in console.settled()
    console.click("Export")
    console.type_into("dialog[open] input", "gs://exported/")
    console.click("Write the files")
    console.until(
        "!document.querySelector('dialog') && document.querySelector('.notices').innerText.includes('gs://exported/')"
    )
    assert [path.suffix for path in bucket.rglob("*.onnx")] == [".onnx"]


def test_operations_are_chosen_by_their_kind(world: World, console: ConsolePage) -> None:
    console.open("operations")
    kinds = "[...document.querySelectorAll('main tbody tr td:nth-child(2)')].map((one) => one.innerText)"
    assert len(set(console.page.run(kinds))) > 1
    console.page.run("(() => { const one = document.querySelectorAll('main select')[1]; one.value = 'import_data'; "
                     "one.dispatchEvent(new Event('change', {bubbles: true})); })()")  # fmt: skip
    console.until(f"new Set({kinds}).size === 1 && {kinds}[0] === 'Import'")
