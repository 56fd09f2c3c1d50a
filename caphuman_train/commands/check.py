"""`python -m caphuman_train check`: its arguments, and what it prints and writes."""
from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from caphuman_core.check import fail

if TYPE_CHECKING:
    from caphuman_core.head.model.head_model import HeadModel

    from ..check.facts import Facts
    from ..data.shards import Shards

TOLD = (("yaw", "yaw, degrees"), ("pitch", "pitch, degrees"), ("face_share", "face height / picture height"),
        ("expression", "expression code, rms"), ("brightness", "light from the front"), ("words", "words of a caption"))
OUT = "check"                            # folder in the shards folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("shards", type=Path, help="a folder that prepare has made")
    parser.add_argument("--out", type=Path, help=f"where the pictures go (SHARDS/{OUT})")
    parser.add_argument("--samples", type=int, default=36, help="in the contact sheet (36)")
    parser.add_argument("--seed", type=int, default=0, help="chooses them (0)")
    parser.add_argument("--head-model", type=Path, help="the head model file that heads were fitted with (the built-in head)")


def main(options: argparse.Namespace) -> int:
    """Read all, write contact_sheet.jpg, histograms.png and facts.json. Status 0: nothing odd; 3: there are warnings."""
    from caphuman_bench.folder import write_whole

    from ..check.facts import facts_of
    from ..check.histograms import draw_histograms
    from ..check.sheet import contact_sheet, spread
    from ..check.warnings import warnings_of
    from ..data.shards import Shards
    if options.samples < 1:
        fail("--samples", "must be 1 or more", options.samples, "name another number")
    shards = Shards.open(options.shards, verify=True)
    model = head_model_of(shards, options.head_model)
    out = options.out or options.shards / OUT
    facts = [facts_of(shards.record(index)) for index in _with_bar(len(shards))]
    sheet = io.BytesIO()
    contact_sheet(shards, spread(len(shards), options.samples, options.seed), model).save(sheet, "JPEG", quality=90)
    write_whole(out / "contact_sheet.jpg", sheet.getvalue())
    write_whole(out / "histograms.png", draw_histograms(facts))
    warnings = warnings_of(facts, shards.manifest.settings, shards.manifest.summary)
    told = {"digest": shards.digest, "summary": dict(shards.manifest.summary), "settings": dict(shards.manifest.settings),
            "warnings": warnings, "samples": [asdict(one) for one in facts]}
    write_whole(out / "facts.json", json.dumps(told, ensure_ascii=False, indent=1).encode())
    sys.stdout.write(describe(shards, facts, warnings, out))
    return 3 if warnings else 0


def head_model_of(shards: Shards, path: Path | None) -> HeadModel:
    """The head model that the shards' heads belong to. InputError for another one."""
    from caphuman_core.head.model.head_model import load_builtin, load_file
    model = load_builtin() if path is None else load_file(path)
    wanted = shards.manifest.settings.get("head_model_fingerprint")
    if model.fingerprint != wanted:
        named = shards.manifest.settings.get("head_model")
        fail("head model", f"must be the one that the heads were fitted with, '{named}' ({wanted})",
             f"'{model.name}' ({model.fingerprint})", "name its file with --head-model")
    return model


def _with_bar(count: int):
    from tqdm import tqdm
    return tqdm(range(count), unit="sample", desc="check", disable=None)


def describe(shards: Shards, facts: Sequence[Facts], warnings: Sequence[str], out: Path) -> str:
    """What `check` prints."""
    people = Counter(one.person for one in facts)
    lines = [f"{len(shards):,} samples of {len(people):,} people, {shards.manifest.settings['width']} x "
             f"{shards.manifest.settings['height']} pixels; data {shards.digest}"]
    for name, title in TOLD:
        values = sorted(float(getattr(one, name)) for one in facts)
        low, middle, high = values[len(values) // 20], statistics.median(values), values[-1 - len(values) // 20]
        lines.append(f"  {title}: {low:.2f} to {high:.2f} (5 % to 95 %), median {middle:.2f}")
    lines += [f"warning: {sentence}" for sentence in warnings] or ["nothing odd in the numbers"]
    lines.append(f"now look at {out / 'contact_sheet.jpg'} and {out / 'histograms.png'}")
    return "\n".join(lines) + "\n"
