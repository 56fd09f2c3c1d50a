"""What is odd about a data set: each rule a sentence with its number and what it leads to."""
from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .facts import Facts, column

FEW = 1000                               # samples; below, a network of 360 million parameters remembers rather than learns
FRONTAL_DEGREES = 12.0                   # a data set whose yaw has a smaller mean size shows no turned heads to speak of
LARGE_PERSON = 1 / 3                     # share of the data
MANY = 0.25                              # share of samples from which an oddity of single ones is told
DARK, BRIGHT = 0.3, 1.6                  # shading of a surface that faces the viewer; a good photo has about 1


def warnings_of(facts: Sequence[Facts], manifest_settings: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """Sentences, the gravest first; [] for a data set without oddities."""
    return [*_about_people(facts), *_about_heads(facts), *_about_captions(facts), *_about_light(facts),
            *_about_making(facts, manifest_settings, summary)]


def _share(facts: Sequence[Facts], odd: Sequence[bool]) -> float:
    return sum(odd) / len(facts)


def _about_people(facts: Sequence[Facts]) -> list[str]:
    found = []
    people = Counter(column(facts, "person"))
    name, count = people.most_common(1)[0]
    if len(people) > 1 and count > LARGE_PERSON * len(facts):
        found.append(f"one person, {name}, is {count / len(facts):.0%} of the data: others will look like them")
    if len(people) == 1 and len(facts) > 1:
        found.append(f"all photos are of one person, {name}: identity cannot be learnt from one")
    if len(facts) < FEW:
        found.append(f"{len(facts):,} samples are few: below {FEW:,} the network remembers pictures rather than learns faces")
    if max(people.values()) == 1 and len(facts) > 1:
        found.append("every person has a single photo: identity and target are the same photo, and the network can learn to copy "
                     "it; two photos of a person are better")
    return found


def _about_heads(facts: Sequence[Facts]) -> list[str]:
    found = []
    turned = statistics.fmean(abs(yaw) for yaw in column(facts, "yaw"))
    if turned < FRONTAL_DEGREES:
        found.append(f"nearly all heads are frontal (mean yaw {turned:.0f} degrees): turned heads will not be learnt")
    mean = statistics.fmean(column(facts, "yaw"))
    if abs(mean) > FRONTAL_DEGREES:
        found.append(f"heads look to the picture's {'right' if mean > 0 else 'left'} on the whole (mean yaw {mean:.0f} degrees): "
                     "prepare with --flips and train with flips")
    unknown = _share(facts, [not known for known in column(facts, "expression_known")])
    if unknown > MANY:
        found.append(f"the expression of {unknown:.0%} of the heads is not known (five points cannot tell it): expressions will "
                     "not be learnt; MediaPipe, insightface or DECA can tell")
    elif statistics.pstdev(column(facts, "expression")) < 1e-6 and len(facts) > 1:
        found.append("all heads have one expression: expressions will not be learnt")
    closed = _share(facts, [area < 0.01 for area in column(facts, "face_area")])
    if closed:
        found.append(f"{closed:.0%} of the face targets are all but empty: look at them in the contact sheet")
    return found


def _about_captions(facts: Sequence[Facts]) -> list[str]:
    empty = _share(facts, [words == 0 for words in column(facts, "words")])
    if empty == 1:
        return ["no photo has a caption: the network will see no text, and prompts may lose their hold"]
    return [f"{empty:.0%} of the captions are empty"] if empty else []


def _about_light(facts: Sequence[Facts]) -> list[str]:
    found = []
    light = column(facts, "brightness")
    odd = _share(facts, [not DARK < value < BRIGHT for value in light])
    if odd > MANY:
        found.append(f"{odd:.0%} of the heads are lit very darkly or brightly")
    if len(facts) > 1 and statistics.pstdev(light) + statistics.pstdev(column(facts, "side_light")) < 0.02:
        found.append("all heads are lit alike: light will not be learnt")
    return found


def _about_making(facts: Sequence[Facts], settings: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    found = []
    if settings.get("parser") == "rendered head":
        found.append("faces were told from the rest by the rendered head, not by BiSeNet: hair and neck under it count as face")
    refused = sum(summary.get("refused", {}).values())
    if refused > len(facts):
        found.append(f"more photos were refused ({refused:,}) than kept: look at refused.tsv")
    unnamed = summary.get("licences", {}).get("", 0)
    if unnamed:
        found.append(f"{unnamed:,} photos do not say their licence: an exported model card cannot either")
    if not settings.get("tokens", True):
        found.append("CLIP's tokens are not in the shards: training computes them in every step, or needs data.clip_vision")
    return found
