"""The bench's own graph with the miniature's files and size, and the few changes that the runs make to it."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from caphuman_bench.planner import WORKFLOW
from tools.demo.prompts import MODEL_INPUTS, nodes_of, only

Graph = dict[str, dict[str, Any]]
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


def setting(**inputs: Any) -> Callable[[Graph], Graph]:
    """Inputs of Apply CapFace that differ."""
    def changed(graph: Graph) -> Graph:
        graph = neutral(graph)
        only(graph, "CapHumanApplyCapFace").update(inputs)
        return graph
    return changed
