"""ComfyUI-CapHuman: portraits of one person from one photo, the head posed, lit and expressed at will.

This module must import with neither ComfyUI nor torch loaded: everything heavy happens inside
`comfy_entrypoint`.
"""
from __future__ import annotations

import logging

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Entry point of the V3 node schema: the host calls it once and registers what it lists."""
    try:
        from comfy_api.v0_0_2 import ComfyExtension

        from .nodes import all_nodes, doctor, editor_routes, replacements
        from .nodes.host import lay_out_samples, register_folders

        class CapHumanExtension(ComfyExtension):
            async def on_load(self) -> None:
                register_folders()
                lay_out_samples()
                editor_routes.register()
                await replacements.register()
                doctor.log_summary()

            async def get_node_list(self) -> list[type]:
                return all_nodes()

        return CapHumanExtension()
    except Exception:
        # The host swallows what an entry point raises and prints one line; users need the cause.
        logging.getLogger(__name__).exception("ComfyUI-CapHuman could not be loaded; no node of the pack is available")
        raise
