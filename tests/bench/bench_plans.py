"""Small plans for simulated servers."""
from __future__ import annotations

from simulated import picture

from caphuman_bench.plan import HeadEntry, IdentityEntry, Plan, PromptEntry, SlotTarget, save_plan
from caphuman_bench.store import Store

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "slot:identity"}},
    "2": {"class_type": "Sampler", "inputs": {"text": "", "seed": 0, "yaw_degrees": 0.0},
          "_meta": {"title": "slot:prompt slot:seed slot:head"}},
    "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["2", 0]}, "_meta": {"title": "Save"}},
}


def small_plan(folder, people=2, heads=2, prompts=3, samples=2):
    """A plan with its store in `folder`."""
    names = [f"person{i}" for i in range(people)]
    hashes = {}
    for i, name in enumerate(names):
        path = folder / "inputs" / "people" / name / "0.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))
        hashes[f"inputs/people/{name}/0.png"] = f"{i:064x}"
    plan = Plan(
        tuple(IdentityEntry(name, f"inputs/people/{name}/0.png", (f"inputs/people/{name}/0.png",)) for name in names),
        tuple(PromptEntry(f"prompt{i}", f"text {i}", "simple") for i in range(prompts)),
        tuple(HeadEntry(f"head{i}", "values", {"yaw_degrees": 10.0 * i}) for i in range(heads)),
        samples, 0, GRAPH,
        {"identity": (SlotTarget("1", "image", ""),), "prompt": (SlotTarget("2", "text", ""),),
         "seed": (SlotTarget("2", "seed", ""),), "head": (SlotTarget("2", "", "values"),)}, hashes)
    Store.create(folder, plan).close()
    save_plan(plan, folder)
    return plan
