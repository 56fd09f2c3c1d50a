"""CapFace in a graph: a conditioning that carries a person."""
from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.v0_0_2 import io

from ...caphuman_core.capface.schedule import CURVES, parse_schedule, parse_values
from ...caphuman_core.check import require
from ...caphuman_core.flow import CLIP_TOKENS, CLIP_WIDTH, IDENTITY_WIDTH
from .. import wires

if TYPE_CHECKING:
    from ...caphuman_core.flow import HeadHint, Identity
    from .control import CapFace, CapFaceControl, Person

logger = logging.getLogger(__name__)
MASKS = ["predicted", "rendered", "none"]


class ApplyCapFace(io.ComfyNode):
    """Adds one person, posed, to a positive and negative conditioning."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanApplyCapFace", display_name="CapHuman Apply CapFace", category="CapHuman/conditioning",
            description="Puts one person, with the head as drawn, into the picture. For two people use two of these in a "
                        "row; ordinary ControlNets may stand before or after.",
            search_aliases=["capface", "identity", "face control", "portrait", "apply controlnet", "head pose", "ip-adapter face",
                            "ipadapter faceid", "instantid", "pulid", "photomaker", "consistent character"],
            inputs=[*_main_inputs(), *_optional_inputs()],
            outputs=[
                io.Conditioning.Output("positive", display_name="positive", tooltip="For the sampler, or the next Apply node."),
                io.Conditioning.Output("negative", display_name="negative", tooltip="For the sampler, or the next Apply node."),
                io.Mask.Output("face_mask", display_name="face_mask",
                               tooltip="Where CapFace acts, 0..1 before thresholding, at the hint's size; all 0 at strength 0."),
            ])

    @classmethod
    def execute(cls, positive, negative, capface, identity, hint, strength=1.0, start_percent=0.0, end_percent=1.0,
                id_dropout_tau=0, mask="predicted", model=None, head_strength=1.0, identity_strength=1.0, soft_mask=False,
                strength_schedule="", easing="linear", frame_strengths="", spatial_mask=None,
                reference_hint=None) -> io.NodeOutput:
        from .base_model import require_sd15
        from .control import CapFaceControl, Person, preview_mask
        person = Person(identity, hint, strength, start_percent, end_percent, id_dropout_tau, mask, soft_mask, head_strength,
                        identity_strength, parse_schedule(strength_schedule, easing), parse_values(frame_strengths), spatial_mask)
        _check(person)
        warn_of_another_head(capface, hint)
        if model is not None:
            require_sd15(model.model, "model")
        if strength == 0:
            return io.NodeOutput(positive, negative, torch.zeros(len(hint), *hint.maps.shape[-2:]))
        controls: dict[Any, CapFaceControl] = {}
        implied = _implied(positive)
        positive = _controlled(positive, controls, CapFaceControl(capface, person))
        if reference_hint is not None:
            _check_hint(reference_hint, "reference_hint")
            person, controls = replace(person, hint=reference_hint), {}
        negative = _controlled(negative, controls, CapFaceControl(capface, person), implied)
        return io.NodeOutput(positive, negative, preview_mask(capface, replace(person, hint=hint)))


def _main_inputs() -> list:
    return [
        io.Conditioning.Input("positive", tooltip="The prompt, from CLIP Text Encode or another Apply node."),
        io.Conditioning.Input("negative", tooltip="The negative prompt. CapFace acts on both, as it was trained."),
        wires.CapFace.Input("capface", tooltip="From CapHuman Load CapFace."),
        wires.Identity.Input("identity", tooltip="Who: from CapHuman Encode Identity. One for all frames, or one a frame."),
        wires.Hint.Input("hint", tooltip="The posed head: from CapHuman Render Head, drawn at the picture's size. Frame i of a "
                                         "batch uses hint i; fewer hints than frames start over from the first."),
        io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01,
                       tooltip="How strongly the person is imposed: 1 as trained, 0 not at all (nothing is computed)."),
        io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001,
                       tooltip="Share of the run, 0..1, at which CapFace begins to act."),
        io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001,
                       tooltip="Share of the run, 0..1, at which CapFace stops acting."),
        io.Int.Input("id_dropout_tau", default=0, min=0, max=999,
                     tooltip="Identity is silent at timesteps above this (999 the start, 0 the end of the run), so that the prompt "
                             "shapes the picture first; the head's pose acts all along. 0 switches the rule off."),
        io.Combo.Input("mask", options=MASKS, default="predicted",
                       tooltip="Where CapFace acts: the face region it predicts from the hint, the drawn head, or everywhere."),
    ]


def _optional_inputs() -> list:
    return [
        io.Model.Input("model", optional=True, tooltip="Connect the model to have it checked now that it is Stable Diffusion 1.5; "
                                                       "else the check is made when sampling starts."),
        io.Float.Input("head_strength", default=1.0, min=0.0, max=10.0, step=0.01, optional=True, advanced=True,
                       tooltip="Factor on the head's pose, shape and light alone; 1 as trained."),
        io.Float.Input("identity_strength", default=1.0, min=0.0, max=10.0, step=0.01, optional=True, advanced=True,
                       tooltip="Factor on what identity tells CapFace alone; 1 as trained, 0 silences it."),
        io.Boolean.Input("soft_mask", default=False, optional=True, advanced=True,
                         tooltip="Let the face mask fade at its edge in the place of the hard edge CapFace was trained with."),
        io.String.Input("strength_schedule", default="", optional=True, advanced=True,
                        tooltip="Strength over the run, as points 'position: factor' with positions 0..1 or 0%..100%, for example "
                                "0: 1, 0.6: 1, 1: 0.3. It multiplies strength; empty is 1 throughout."),
        io.Combo.Input("easing", options=list(CURVES), default="linear", optional=True, advanced=True,
                       tooltip="How the schedule goes from one point to the next; hold keeps a value until the next point."),
        io.String.Input("frame_strengths", default="", optional=True, advanced=True,
                        tooltip="One factor for each frame of a batch, for example 1, 0.8, 0.6; the last holds for later frames. "
                                "Empty is 1 for all."),
        io.Mask.Input("spatial_mask", optional=True,
                      tooltip="Factor 0..1 on CapFace's effect at each place of the picture; the prompt is not masked by it. "
                              "A mask of another size is centre-cropped to the picture's aspect and resized."),
        wires.Hint.Input("reference_hint", optional=True,
                         tooltip="Reference control guidance: a render of the photo's own, unedited head, used on the negative "
                                 "side. CFG then pushes away from the photo's pose. Costs one more CapFace forward each step."),
    ]


def _implied(positive: list) -> Any:
    """The control of the host's plain Apply ControlNet, which stands in the positive alone but acts on both sides."""
    both_sides = (options for _, options in positive if options.get("control_apply_to_uncond"))
    return next((options["control"] for options in both_sides if options.get("control")), None)


def _controlled(conditioning: list, controls: dict[Any, CapFaceControl], control: CapFaceControl, implied: Any = None) -> list:
    """The conditioning with the control object put before whatever it carries; one object for each predecessor."""
    from .pieces import AREA_KEY, AreaCond
    out = []
    for embedding, options in conditioning:
        previous = options.get("control") or implied
        if previous not in controls:
            controls[previous] = control.copy()
            controls[previous].set_previous_controlnet(previous)
        carried = {**(options.get("model_conds") or {}), AREA_KEY: AreaCond()}
        added = {"control": controls[previous], "control_apply_to_uncond": False, "model_conds": carried}
        out.append([embedding, {**options, **added}])
    return out


_warned: set[tuple[str, str, str]] = set()     # file and the two head models


def warn_of_another_head(capface: CapFace, hint: HeadHint) -> None:
    """Say once that the hint was drawn with another head model than CapFace has learnt: its face will be off."""
    learnt, drawn = capface.about.head_model_fingerprint, hint.model_fingerprint
    known = (capface.name, learnt, drawn)
    if learnt and drawn and learnt != drawn and known not in _warned:
        _warned.add(known)
        logger.warning("CapHuman: '%s' was trained with the head model '%s' (%s), but this hint was drawn with another (%s): "
                       "connect that head model to the nodes that make the head, or load a CapFace trained with yours.",
                       capface.name, capface.about.head_model, learnt, drawn)


def _check(person: Person) -> None:
    require(person.start_percent <= person.end_percent, "start_percent", "must not be above end_percent",
            f"{person.start_percent:g} > {person.end_percent:g}", "lower start_percent or raise end_percent")
    require(person.mask in MASKS, "mask", f"must be one of {', '.join(MASKS)}", repr(person.mask), "choose one of them")
    _check_hint(person.hint, "hint")
    _check_identity(person.identity)
    if person.spatial_mask is not None:
        shape = list(person.spatial_mask.shape)
        require(len(shape) == 3 and min(shape) > 0, "spatial_mask", "must be a batch of masks [B, H, W]", f"shape {shape}",
                "connect a MASK output")
        require(bool(person.spatial_mask.isfinite().all()), "spatial_mask", "must hold finite numbers", "NaN or infinity",
                "check the node that made the mask")


def _check_hint(hint: HeadHint, name: str) -> None:
    shape = list(hint.maps.shape)
    require(len(shape) == 4 and shape[1] == 9 and shape[0] > 0 and min(shape[2:]) >= 8, name,
            "must hold nine maps of at least 8x8 pixels", f"shape {shape}", "connect the hint output of CapHuman Render Head")
    require(bool(hint.maps.isfinite().all() and hint.mask.isfinite().all()), name, "must hold finite numbers", "NaN or infinity",
            "render the head again, and check the values of the nodes that edit it")


def _check_identity(identity: Identity) -> None:
    local, whole = list(identity.local_tokens.shape), list(identity.global_embedding.shape)
    fits = (len(local) == 3 and local[1:] == [CLIP_TOKENS, CLIP_WIDTH] and len(whole) == 2
            and whole[1] == IDENTITY_WIDTH
            and local[0] == whole[0] == len(identity.present) > 0)
    require(fits, "identity",
            f"must hold {CLIP_TOKENS} CLIP tokens of {CLIP_WIDTH} and a face embedding of {IDENTITY_WIDTH} for each photo",
            f"shapes {local} and {whole}", "connect CapHuman Encode Identity, which uses both encoders")
    require(bool(identity.local_tokens.isfinite().all() and identity.global_embedding.isfinite().all()), "identity",
            "must hold finite numbers", "NaN or infinity", "encode the photo again, and check the encoders' files")


NODES: list[type] = [ApplyCapFace]
