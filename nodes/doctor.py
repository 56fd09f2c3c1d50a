"""The doctor inside the host: a node whose output is a report, and one line in the server's log at start."""
from __future__ import annotations

import logging
import threading
from pathlib import Path

import comfy.model_management
import folder_paths
from comfy_api.v0_0_2 import io

log = logging.getLogger(__name__)
AFTER_SECONDS = 1.0                      # after loading: other packs are being imported, and threads share the interpreter


class Doctor(io.ComfyNode):
    """What is there, what is missing, what to do next."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanDoctor", display_name="CapHuman Doctor", category="CapHuman/help",
            description="Lists every model file the pack can use: found where and recognised as what, or where to get it and where "
                        "to put it; packages, versions, device; and the next thing to do. It changes nothing and fetches nothing.",
            search_aliases=["missing models", "diagnose", "check installation", "help", "setup"], is_output_node=True,
            inputs=[io.Boolean.Input("checksums", default=False,
                                     tooltip="Read every recognised file whole and say whether it is a known original: about 10 "
                                             "seconds for each 4 GB.")],
            outputs=[
                io.String.Output("report", display_name="report",
                                 tooltip="The whole report as text, for a preview or a bug report; its first line is the next "
                                         "step."),
                io.String.Output("next", display_name="next", tooltip="The one thing to do next, in a sentence.")])

    @classmethod
    def fingerprint_inputs(cls, checksums) -> float:
        return float("nan")              # files come and go: never cached

    @classmethod
    def execute(cls, checksums) -> io.NodeOutput:
        from ..caphuman_core.files.doctor import next_line, report
        text = report(folders(), host_version(), device(), checksums)      # web/doctor.js shows it in the node
        return io.NodeOutput(text, next_line(text), ui={"text": (next_line(text),), "caphuman_report": (text,)})


def folders() -> dict[str, list[Path]]:
    """The host's folders for every directory of the catalogue."""
    from ..caphuman_core.files.doctor import DIRECTORIES
    known = folder_paths.folder_names_and_paths
    return {key: [Path(folder) for folder in folder_paths.get_folder_paths(key)] for key in DIRECTORIES if key in known}


def host_version() -> str:
    """ComfyUI's version, "" where it does not tell."""
    try:
        import comfyui_version
    except ImportError:
        return ""
    return comfyui_version.__version__


def device() -> str:
    """The device that networks run on, as the host calls it."""
    return comfy.model_management.get_torch_device_name(comfy.model_management.get_torch_device())


def log_summary() -> threading.Thread:
    """Write the doctor's one line to the log, from a thread of its own: loading the pack does not wait for disks."""
    def look() -> None:
        try:
            from ..caphuman_core.files.doctor import summary
            log.info(summary(folders()))
        except Exception:                # a line of the log must never be the reason that the pack does not load
            log.debug("CapHuman's summary could not be made", exc_info=True)
    thread = threading.Timer(AFTER_SECONDS, look)
    thread.daemon = True
    thread.start()
    return thread


NODES: list[type] = [Doctor]
