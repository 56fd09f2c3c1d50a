"""The bench's own graph with the miniature's files and size, and the few changes that the runs make to it."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from caphuman_bench.lists import full_values
from caphuman_bench.planner import WORKFLOW
from caphuman_train.miniature.files import file_names
from tools.demo.prompts import MODEL_INPUTS, nodes_of, only

Graph = dict[str, dict[str, Any]]
LANDMARKS = 5                                    # output of Render Head
TAU = 600                                        # timesteps of 1000 below which identity is given, in the run that has one


def portrait(names: dict[str, str], side: int, sampling: dict[str, Any]) -> Graph:
    """names: role -> model file. As shipped: head fitted to the photo, condition's pose, expression and light."""
    graph: Graph = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for kind, (name, role) in MODEL_INPUTS.items():
        only(graph, kind)[name] = names[role]
    for kind in ("CapHumanRenderHead", "EmptyLatentImage"):
        only(graph, kind).update(width=side, height=side)
    only(graph, "KSampler").update(sampling)
    graph[only(graph, "CapHumanApplyCapFace")["negative"][0]]["inputs"]["text"] = ""
    return graph


def neutral(graph: Graph) -> Graph:
    """The hint is the condition's head, with nobody's shape and skin: who it is comes by the photo alone."""
    graph = copy.deepcopy(graph)
    (load,) = nodes_of(graph, "CapHumanLoadHead")
    only(graph, "CapHumanRenderHead")["head"] = [load, 0]
    for kind in ("CapHumanFitHeadLandmarks", "CapHumanTransferHead"):
        for node in nodes_of(graph, kind):
            del graph[node]
    return graph


def masked(graph: Graph) -> Graph:
    """CapFace's predicted face mask in the place of the picture: nothing is sampled."""
    graph = neutral(graph)
    (apply,) = nodes_of(graph, "CapHumanApplyCapFace")
    graph["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": [apply, 2]}, "_meta": {"title": "Mask as a picture"}}
    only(graph, "SaveImage")["images"] = ["mask", 0]
    return graph


def without(graph: Graph) -> Graph:
    """No CapFace: the base model and the caption alone. Its slots identity and head are none."""
    graph = neutral(graph)
    apply = only(graph, "CapHumanApplyCapFace")
    only(graph, "KSampler").update(positive=apply["positive"], negative=apply["negative"])
    kept = {"CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage"}
    return {node: entry for node, entry in graph.items() if entry["class_type"] in kept}


def two(right: dict[str, float]) -> Callable[[Graph], Graph]:
    """Two people side by side in a picture as wide again, from a photo of both: the left one with the condition's head, the right
    one with a head of these values. One Apply CapFace behind the other."""
    def changed(graph: Graph) -> Graph:
        graph = neutral(graph)
        render, latent = only(graph, "CapHumanRenderHead"), only(graph, "EmptyLatentImage")
        render["width"] = latent["width"] = 2 * latent["width"]
        only(graph, "CapHumanDetectFaces").update(max_faces=2, order="left to right")
        (apply,) = nodes_of(graph, "CapHumanApplyCapFace")
        (encode,) = nodes_of(graph, "CapHumanEncodeIdentity")
        (drawn,) = nodes_of(graph, "CapHumanRenderHead")
        (faces,) = nodes_of(graph, "CapHumanDetectFaces")
        original, given = copy.deepcopy(graph), [graph[apply]["inputs"][name] for name in ("positive", "negative")]
        for index, values in enumerate(({"mode": "add", "scale": 1.0, "x": -0.5}, {**right, "x": 0.5})):
            def named(node: str, index: int = index) -> str:
                return f"{node}_{index}"
            graph[named("face")] = _node("CapHumanSelectFace", faces=[faces, 0], index=index)
            graph[named("edit")] = _node("CapHumanEditHead", **full_values(values), head=render["head"],
                                         head_model=render["head_model"])
            graph[named(encode)] = _changed(original[encode], faces=[named("face"), 0])
            graph[named(drawn)] = _changed(original[drawn], head=[named("edit"), 0])
            graph[named(apply)] = _changed(original[apply], identity=[named(encode), 0], hint=[named(drawn), 0],
                                           positive=given[0], negative=given[1])
            given = [[named(apply), 0], [named(apply), 1]]
        only(graph, "KSampler").update(positive=given[0], negative=given[1])
        for node in (apply, encode, drawn):
            del graph[node]
        return graph
    return changed


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def _changed(node: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    return {**node, "inputs": {**node["inputs"], **inputs}}


def pointed(strength: float, **inputs: Any) -> Callable[[Graph], Graph]:
    """A ControlNet of the head's landmarks behind Apply CapFace, as an openpose ControlNet is put there; inputs: of Apply CapFace
    that differ."""
    def changed(graph: Graph) -> Graph:
        graph = setting(**inputs)(graph)
        (apply,), (render,) = (nodes_of(graph, kind) for kind in ("CapHumanApplyCapFace", "CapHumanRenderHead"))
        graph["points"] = _node("ControlNetLoader", control_net_name=Path(file_names("")["points"]).name)
        graph["hold"] = _node("ControlNetApplyAdvanced", positive=[apply, 0], negative=[apply, 1], control_net=["points", 0],
                              image=[render, LANDMARKS], strength=strength, start_percent=0.0, end_percent=1.0)
        only(graph, "KSampler").update(positive=["hold", 0], negative=["hold", 1])
        return graph
    return changed


def setting(**inputs: Any) -> Callable[[Graph], Graph]:
    """Inputs of Apply CapFace that differ."""
    def changed(graph: Graph) -> Graph:
        graph = neutral(graph)
        only(graph, "CapHumanApplyCapFace").update(inputs)
        return graph
    return changed
