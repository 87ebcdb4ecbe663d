"""What a node keeps of models: bounded, the one that was used longest ago goes first, and never one of a job under way."""

from __future__ import annotations

import os

from boxwright.cluster.host_work import USED_FILE, HostWork


def test_models_on_a_node_are_bounded_and_those_in_use_stay(bench, tiny_model, tmp_path):
    cache = tmp_path / "cache"
    sizes = {tiny_model.copy_to(cache, name): 0 for name in "abcd"}
    for age, folder in enumerate(sizes):
        (folder / USED_FILE).touch()
        os.utime(folder / USED_FILE, (1000 + age, 1000 + age))  # a was used longest ago
        sizes[folder] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    host = HostWork(str(cache), 2 * max(sizes.values()) + max(sizes.values()) // 2)

    def opened(name: str) -> set[str]:
        answer = host.open(name, bench.job("cached", model_folder=f"/elsewhere/{name}").to_json(), "node")
        assert not answer.error
        return {folder.name for folder in cache.iterdir()}

    assert opened("a") == {"a", "d"}  # b and c are the oldest now
    tiny_model.copy_to(cache, "c")
    assert opened("c") == {"a", "c"}
    tiny_model.copy_to(cache, "b")
    assert opened("b") == {"a", "b", "c"}  # all are in use
    host.forget("a")
    tiny_model.copy_to(cache, "d")
    assert opened("d") == {"b", "c", "d"}
    assert host.open("z", bench.job("cached", model_folder="/elsewhere/z").to_json(), "node").error
