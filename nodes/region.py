"""Heads and hints for a part of a picture, which a detailer samples alone."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from comfy_api.v0_0_2 import io

from ..caphuman_core.check import fail, require
from ..caphuman_core.render.options import MAX_SIDE
from . import wires

if TYPE_CHECKING:
    from ..caphuman_core.flow import Head, HeadHint
    from ..caphuman_core.head.region import Region


# name, default, least and what it is, of the region's numbers
SIDES = (("x", 0, -MAX_SIDE, "Left edge"), ("y", 0, -MAX_SIDE, "Top edge"), ("width", 512, 1, "Width"),
         ("height", 512, 1, "Height"))


class HeadInRegion(io.ComfyNode):
    """Head or hint -> the same in the frame of a part of the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanHeadInRegion", display_name="CapHuman Head in Region", category="CapHuman/head",
            description="Takes a head, or a hint, into the frame of a part of the picture: for face detailers, which crop that "
                        "part, sample it larger and paste it back.",
            search_aliases=["face detailer", "detailer", "adetailer", "crop head", "crop region", "inpaint crop", "segs", "bbox",
                            "head in crop", "detail face"],
            inputs=[*_numbers(), *_sources()],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="The head in the region's frame, for CapHuman Render Head."),
                wires.Hint.Output("hint", display_name="hint",
                                  tooltip="The part of the hint in the region, for CapHuman Apply CapFace."),
                io.BoundingBox.Output("region", display_name="region", tooltip="The region as x, y, width and height."),
                *(io.Int.Output(name, display_name=name, tooltip=f"{what} of the region, for Crop Image and Composite.")
                  for name, _, _, what in SIDES),
                io.Int.Output("draw_width", display_name="draw_width",
                              tooltip="Width at which the crop is sampled: for Render Head and Upscale Image."),
                io.Int.Output("draw_height", display_name="draw_height", tooltip="Height at which the crop is sampled."),
            ])

    @classmethod
    def execute(cls, x, y, width, height, grow, side, head=None, hint=None, bounding_box=None, mask=None, segs=None,
                index=0) -> io.NodeOutput:
        from ..caphuman_core.head.region import Region, head_in, hint_in
        size = _picture(head, hint)
        given = {"bounding_box": bounding_box, "mask": mask, "segs": segs}
        connected = [name for name, value in given.items() if value is not None]
        require(len(connected) < 2, "region", "must come from one input", " and ".join(connected), "disconnect all but one")
        found = _region(given, index, size) if connected else Region(x, y, width, height)
        region = found if grow == 1.0 else found.grown(grow, *size)
        box = {"x": region.x, "y": region.y, "width": region.width, "height": region.height}
        return io.NodeOutput(None if head is None else head_in(head, region), None if hint is None else hint_in(hint, region),
                             box, *box.values(), *region.sampled_size(side))


def _numbers() -> list:
    return [
        *(io.Int.Input(name, default=default, min=least, max=MAX_SIDE,
                       tooltip=f"{what} of the region, pixels of the picture. Not used when a box, a mask or segs are connected.")
          for name, default, least, what in SIDES),
        io.Float.Input("grow", default=1.0, min=0.1, max=10.0, step=0.05,
                       tooltip="Factor on the region's sides, round its centre; it stays within the picture. 1 takes it as it is, "
                               "2 to 3 gives a face box some surroundings."),
        io.Int.Input("side", default=512, min=64, max=MAX_SIDE, step=8,
                     tooltip="Shorter side of the sampled crop, pixels: draw_width and draw_height are the region at this size, in "
                             "multiples of 8."),
    ]


def _sources() -> list:
    return [
        wires.Head.Input("head", optional=True, tooltip="The head in the whole picture."),
        wires.Hint.Input("hint", optional=True,
                         tooltip="A hint that was drawn at the whole picture's size; it is cut. A head drawn anew is sharper."),
        # Without forceInput newer frontends draw numbers of their own in its place, which would always be sent.
        wires.BoundingBox.Input("bounding_box", optional=True, extra_dict={"forceInput": True},
                                tooltip="A box, or the bboxes of CapHuman Detect Faces."),
        io.Mask.Input("mask", optional=True,
                      tooltip="The region is the smallest rectangle that holds what the mask selects."),
        wires.Segs.Input("segs", optional=True, tooltip="SEGS of the Impact Pack: the region is the crop region of one of them."),
        io.Int.Input("index", default=0, min=0, max=999, optional=True,
                     tooltip="Which one of several boxes or segs, from 0: the number in the preview of CapHuman Detect Faces."),
    ]


def _picture(head: Head | None, hint: HeadHint | None) -> tuple[int, int]:
    """Width and height of the picture that the region is a part of."""
    if head is not None:
        return head.width, head.height
    if hint is not None:
        return int(hint.maps.shape[-1]), int(hint.maps.shape[-2])
    fail("head", "or hint must be connected", "neither",
         "connect the head of CapHuman Fit Head, or the hint of CapHuman Render Head")


def _region(given: dict[str, Any], index: int, size: tuple[int, int]) -> Region:
    """The region that the connected input names. size: width, height of the picture."""
    from ..caphuman_core.head.region import around, of_mask
    if given["mask"] is not None:
        return of_mask(given["mask"], *size)
    if given["bounding_box"] is not None:
        box = _chosen("bounding_box", list(_boxes(given["bounding_box"])), index)
        return around(box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
    (height, width), parts = given["segs"]
    x1, y1, x2, y2 = _chosen("segs", list(parts), index).crop_region
    across, down = size[0] / width, size[1] / height           # segs of a picture of another size
    return around(x1 * across, y1 * down, x2 * across, y2 * down)


def _boxes(value: Any) -> Iterator[dict[str, float]]:
    """Boxes in order: the host hands on a box, a list of them, or a list for each picture."""
    if isinstance(value, dict):
        yield value
        return
    for inner in value:
        yield from _boxes(inner)


def _chosen(name: str, found: list, index: int) -> Any:
    if index >= len(found):
        fail(name, f"must hold number {index}", f"{len(found)} in all",
             "choose a smaller index, or a picture in which the face is found")
    return found[index]


NODES: list[type] = [HeadInRegion]
