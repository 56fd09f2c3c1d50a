"""A node that takes entries out of a batch: one frame of a video, one person of many, or the same in another order."""
from __future__ import annotations

from comfy_api.v0_0_2 import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..caphuman_core.check import require
from . import wires


class PickHead(io.ComfyNode):
    """Heads and identities at chosen places of their batches."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanPickHead", display_name="CapHuman Pick Head", category="CapHuman/head",
            description="Picks heads and identities out of a batch, or puts them into another order: to work on one frame of a "
                        "video, or on one tile of a sheet.",
            search_aliases=["select from batch", "pick frame", "reorder heads", "head index", "reverse", "identity from batch"],
            inputs=[
                io.String.Input("which", default="0",
                                tooltip="Places in the batch, from 0, in the order you want: 0 or 3, 1 or 2-5 or last or all or "
                                        "reversed. The same place may come twice."),
                wires.Head.Input("head", optional=True, tooltip="A batch of heads, of a video or of keyframes."),
                wires.Identity.Input("identity", optional=True, tooltip="A batch of identities; the same places are taken.")],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="The heads at those places."),
                wires.Identity.Output("identity", display_name="identity", tooltip="The identities at those places."),
                io.Int.Output("count", display_name="count", tooltip="How many were picked: the batch size of the latent.")])

    @classmethod
    def execute(cls, which, head=None, identity=None) -> io.NodeOutput:
        from ..caphuman_core.picking import pick, places
        given = [batch for batch in (head, identity) if batch is not None]
        require(bool(given), "head", "or identity must be linked", "neither", "link a batch to one of them")
        sizes = {len(batch) for batch in given}
        require(len(sizes) == 1, "identity", "must hold as many entries as head", f"{' and '.join(map(str, sorted(sizes)))}",
                "use one CapHuman Pick Head for each")
        chosen = places(which, sizes.pop())
        wires_in = (("head", head), ("identity", identity))
        picked = [_absent(name) if batch is None else pick(batch, chosen) for name, batch in wires_in]
        return io.NodeOutput(*picked, len(chosen))


def _absent(name: str) -> ExecutionBlocker:
    """What comes out where nothing went in: whoever uses it is told why."""
    return ExecutionBlocker(f"{name} of CapHuman Pick Head must come from a batch, but no {name} is linked to it: link one.")


NODES: list[type] = [PickHead]
