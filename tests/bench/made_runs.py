"""Run folders made of numbers: for the statistics and reports, where no picture is looked at."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from caphuman_bench.lists import load_conditions, load_prompts
from caphuman_bench.plan import IdentityEntry, Plan, save_plan
from caphuman_bench.score.run import INFO
from caphuman_bench.store import Store

VERSIONS = {"face": "faces by made", "dlib": "made judge", "clip": "made CLIP", "control": "made fit"}


def made_plan(people: int, prompts: int = 35, heads: int = 10, samples: int = 3) -> Plan:
    """People named p000, p001, ... and the tool's own lists."""
    names = [f"p{number:03d}" for number in range(people)]
    entries = tuple(IdentityEntry(name, f"inputs/{name}.jpg", (f"inputs/{name}.jpg",)) for name in names)
    workflow = {"1": {"class_type": "LoadImage", "inputs": {}}}
    return Plan(entries, load_prompts()[:prompts], load_conditions()[:heads], samples, 0, workflow, {})


def made_run(folder: Path, plan: Plan, scores: dict[str, np.ndarray], done: int | None = None, info: dict | None = None) -> Path:
    """A run folder with the first `done` images made and scores by metric [N], NaN as missing; no picture in it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_plan(plan, folder)
    done = len(plan) if done is None else done
    with Store.create(folder, plan) as store:
        store.finish((number, f"images/{number}.png", 1.5) for number in range(done))
        for metric, values in scores.items():
            store.put_scores((number, metric, None if value != value else float(value))
                             for number, value in enumerate(values[:done]))
        store.put_info(INFO, {"versions": VERSIONS, "missing": {}, "notes": [], "packages": {}} if info is None else info)
    return folder


def random_scores(plan: Plan, seed: int = 0, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Plausible numbers with a share that belongs to the person; 3 % without a face."""
    generator = np.random.default_rng(seed)
    size, people = len(plan), len(plan.identities)
    person = np.repeat(generator.normal(0, 0.06, people), size // people)
    lost = generator.random(size) < 0.03

    def faced(values: np.ndarray) -> np.ndarray:
        return np.where(lost, np.nan, values)
    return {"face_found": (~lost).astype(float), "identity_dlib": faced(0.55 + shift + person + generator.normal(0, 0.08, size)),
            "clip_score": generator.normal(0.26, 0.02, size), "prompt_accuracy": (generator.random(size) < 0.7).astype(float),
            "shape_rmse": faced(generator.gamma(4, 0.1, size)), "pose_rmse": faced(generator.gamma(3, 0.03, size)),
            "expression_rmse": faced(generator.gamma(4, 0.05, size)), "light_rmse": faced(generator.gamma(3, 0.05, size)),
            "head_angle": faced(generator.gamma(3, 2, size))}
