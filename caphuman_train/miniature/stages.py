"""The stages in their order. Each goes on where it was killed, and says at its end that it is done."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from caphuman_bench.folder import write_whole
from caphuman_core.capface.keys import read_capface
from caphuman_core.files.weights import read_metadata, read_state_dict

from .album import LICENCE, draw_album
from .autoencoder import AutoencoderLesson, finish_autoencoder, open_autoencoder
from .base import BaseLesson
from .capface import EXPORTED, FACENET, train_capface
from .card import card
from .decoder import DecoderLesson, finish_decoder
from .files import write_files
from .latents import PHOTO, encode_album, open_latents
from .narrow import write_narrow
from .pack import Packed, save_packed
from .points import PointsLesson
from .training import Plan, learn, learnt
from .work import Work

NARROW_BASE = "narrow-sd15.safetensors"          # of the stages `base` and `style`
PACKED = "miniature.safetensors"


def draw_pictures(work: Work) -> bool:
    """Portraits of the recipe's people."""
    recipe = work.recipe.pictures
    draw_album(work.folder, recipe, work.model, work.every(20, "people drawn", recipe.people))
    work.done("pictures", pictures=recipe.people * recipe.each, licence=LICENCE)
    return True


def train_autoencoder(work: Work) -> bool:
    """Pictures to latents and back."""
    place, settings = work.place("autoencoder"), work.recipe.autoencoder
    earlier = work.earlier("autoencoder")
    lesson = AutoencoderLesson(work.recipe, work.album, None if earlier is None else learnt(earlier))
    plan = Plan(settings.steps, settings.lr, settings.batch)
    outcome = learn(place, lesson, plan, work.recipe.looks, work.told(settings), work.say)
    if outcome.done:
        finish_autoencoder(place, learnt(place), work.album)
        work.done("autoencoder", steps=outcome.step)
    return outcome.done


def encode_pictures(work: Work) -> bool:
    """All pictures as latents, in both styles."""
    autoencoder = open_autoencoder(work.place("autoencoder"))
    for style in (PHOTO, work.recipe.pictures.style):
        encode_album(work.place("latents"), work.album, autoencoder, style,
                     work.every(64, f"latents of {style} pictures", len(work.album)))
    work.done("latents")
    return True


def train_base(work: Work) -> bool:
    """Captions to pictures."""
    return _learn_base(work, "base", PHOTO)


def train_style(work: Work) -> bool:
    """The base model, taught the second style."""
    return _learn_base(work, "style", work.recipe.pictures.style)


def _learn_base(work: Work, stage: str, style: str) -> bool:
    place, settings = work.place(stage), work.recipe.base if stage == "base" else work.recipe.style
    autoencoder = open_autoencoder(work.place("autoencoder"))
    source = work.place("base") if stage == "style" else work.earlier("base")
    start = None if source is None else learnt(source)
    lesson = BaseLesson(work.recipe, stage, work.album.captions, open_latents(work.place("latents"), style), autoencoder,
                        settings.batch, start)
    outcome = learn(place, lesson, Plan(settings.steps, settings.lr, settings.batch), work.recipe.looks,
                    work.told(work.recipe.autoencoder, work.recipe.base, settings), work.say)
    if outcome.done:
        write_narrow(place / NARROW_BASE, learnt(place), dict(autoencoder.state_dict()), work.recipe.pictures.seed, stage)
        work.done(stage, steps=outcome.step)
    return outcome.done


def capface(work: Work) -> bool:
    """Heads and people into the base model's pictures, by the trainer."""
    if not train_capface(work, work.place("base") / NARROW_BASE):
        return False
    work.done("capface", steps=work.recipe.capface.steps)
    return True


def train_points(work: Work) -> bool:
    """A second hold on the head: a ControlNet of the landmarks."""
    place, settings = work.place("points"), work.recipe.points
    lesson = PointsLesson(work, work.album.captions, open_latents(work.place("latents"), PHOTO),
                          open_autoencoder(work.place("autoencoder")), learnt(work.place("base")))
    outcome = learn(place, lesson, Plan(settings.steps, settings.lr, settings.batch), work.recipe.looks,
                    work.told(work.recipe.autoencoder, work.recipe.base, settings), work.say)
    if outcome.done:
        work.done("points", steps=outcome.step)
    return outcome.done


def train_decoder(work: Work) -> bool:
    """Sharper pictures of the same latents."""
    place, settings = work.place("decoder"), work.recipe.decoder
    autoencoder = open_autoencoder(work.place("autoencoder"))
    photos, styled = (open_latents(work.place("latents"), style) for style in (PHOTO, work.recipe.pictures.style))
    lesson = DecoderLesson(work.recipe, work.album, (photos, styled), autoencoder)
    outcome = learn(place, lesson, Plan(settings.steps, settings.lr, settings.batch), work.recipe.looks,
                    work.told(work.recipe.autoencoder, settings), work.say)
    if outcome.done:
        finish_decoder(place, learnt(place), autoencoder)
        work.done("decoder", steps=outcome.step)
    return outcome.done


def pack(work: Work) -> bool:
    """Everything into one small file, and its card."""
    place, pictures = work.place("pack"), work.recipe.pictures
    base, styled = learnt(work.place("base")), learnt(work.place("style"))
    exported = work.place("capface") / EXPORTED
    kept = {name: value.half().float() for name, value in base.items()}              # what the difference will be added to
    told = {"seed": str(pictures.seed), "side": str(pictures.side), "style": pictures.style, "head_model": work.model.fingerprint,
            "capface": json.dumps(read_metadata(exported, "CapFace"))}
    packed = Packed(base, {name: value - kept[name] for name, value in styled.items()},
                    dict(open_autoencoder(work.place("decoder")).state_dict()), read_capface(exported),
                    learnt(work.place("points")), read_state_dict(work.place("capface") / FACENET, "FaceNet's measures"), told)
    path = place / PACKED
    save_packed(path, packed, asdict(work.recipe.pack))
    write_whole(path.with_suffix(".md"), card(work, path.stat().st_size).encode())
    work.done("pack", bytes=path.stat().st_size)
    return True


def widen(work: Work) -> bool:
    """Model files as the host and the pack load them, from the packed one."""
    made = write_files(work.place("pack") / PACKED, work.folder / "models")
    work.done("widen", files={role: path.name for role, path in made.items()})
    return True


STAGES: dict[str, Callable[[Work], bool]] = {
    "pictures": draw_pictures, "autoencoder": train_autoencoder, "latents": encode_pictures, "base": train_base,
    "capface": capface, "style": train_style, "points": train_points, "decoder": train_decoder, "pack": pack, "widen": widen}


def carry_out(work: Work, names: Sequence[str]) -> bool:
    """Stages one after the other, those that are done passed over. False: somebody stopped it (Ctrl-C, SIGTERM)."""
    for name in names:
        if not work.is_done(name):
            work.say(f"--- {name}")
            if not STAGES[name](work):
                return False
    return True
