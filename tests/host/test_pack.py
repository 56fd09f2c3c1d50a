from __future__ import annotations


def test_pack_loads(pack):
    assert pack.comfy_entrypoint
