"""Reading shards: any record by its number, every byte checked against the manifest before it is used."""
from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from caphuman_core.check import fail, require

from .manifest import Manifest, Shard, load_manifest
from .record import Record, from_tar
from .sample import Sample

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE_BYTES = 2 << 30                  # folders up to this are read whole when they are opened: some seconds
Tokens = Callable[[bytes], "Tensor"]     # the webp of a face -> CLIP's tokens [257, 1024]


@dataclass(frozen=True)
class Shards:
    """A folder of prepared data, or some of its samples. `sample(i)` reads; nothing is held in memory."""

    folder: Path
    manifest: Manifest
    places: tuple[tuple[int, int], ...]  # (shard, entry) of each sample
    tokens: Tokens | None = None
    references: str = ""                 # a regular expression: which photos tell who a person is; "": all

    @classmethod
    def open(cls, folder: Path, verify: bool | None = None, tokens: Tokens | None = None, references: str = "") -> Shards:
        """The data of a folder. InputError if a shard is missing, cut short or changed since the manifest was written.

        verify: read everything now; None: if it is less than AT_ONCE_BYTES. What is not read now is checked record by record.
        tokens: makes CLIP's tokens of a face for shards that were prepared without the tower.
        references: a regular expression; see `others`.
        """
        folder = Path(folder)
        manifest = load_manifest(folder)
        for shard in manifest.shards:
            require_size(folder, shard)
        if verify or (verify is None and sum(shard.bytes for shard in manifest.shards) <= AT_ONCE_BYTES):
            for shard in manifest.shards:
                require_unchanged(folder, shard)
        places = tuple((i, j) for i, shard in enumerate(manifest.shards) for j in range(len(shard.entries)))
        require(bool(places), f"shards folder '{folder}'", "must hold samples", "none", "look at refused.tsv in it")
        return cls(folder, manifest, places, tokens, references)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def digest(self) -> str:
        """Of the whole folder's data: a resumed run must have the same."""
        return self.manifest.digest

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Of each sample."""
        return tuple(self.manifest.shards[i].entries[j].key for i, j in self.places)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Whose photo each sample is."""
        return tuple(self.manifest.shards[i].entries[j].person for i, j in self.places)

    @cached_property
    def by_person(self) -> dict[str, tuple[int, ...]]:
        """The samples of each person."""
        found: dict[str, list[int]] = {}
        for index, person in enumerate(self.people):
            found.setdefault(person, []).append(index)
        return {person: tuple(indices) for person, indices in found.items()}

    def others(self, index: int) -> tuple[int, ...]:
        """The person's other photos, beginning with the next one; () if this is the only one. Where `references` is found in the
        keys of some, those alone."""
        same = self.by_person[self.people[index]]
        at = same.index(index)
        found = same[at + 1:] + same[:at]
        return tuple(other for other in found if re.search(self.references, self.keys[other])) or found

    def subset(self, indices: Sequence[int]) -> Shards:
        """Some of the samples, in that order."""
        return replace(self, places=tuple(self.places[i] for i in indices))

    def split(self, held_out: int) -> tuple[Shards, Shards]:
        """(to train on, held out): `held_out` samples or a few more, of people who are in no sample to train on.

        Whom it meets depends on the people's names alone, so that more data later leaves the choice nearly as it was.
        """
        ranked = sorted(self.by_person, key=lambda person: hashlib.sha256(person.encode()).hexdigest())
        out: set[int] = set()
        for person in ranked:
            if len(out) >= held_out:
                break
            out.update(self.by_person[person])
        require(len(out) < len(self), "held-out samples", "must leave people to train on",
                f"{held_out} of {len(self)} samples of {len(ranked)} people", "hold out fewer, or prepare photos of more people")
        return (self.subset([i for i in range(len(self)) if i not in out]), self.subset(sorted(out)))

    def record(self, index: int) -> Record:
        """What is stored. InputError if the bytes are not those that the manifest knows."""
        shard = self.manifest.shards[self.places[index][0]]
        entry = shard.entries[self.places[index][1]]
        name = f"shard '{shard.file}'"
        with (self.folder / shard.file).open("rb") as file:
            file.seek(entry.offset)
            content = file.read(entry.length)
        if len(content) != entry.length or zlib.crc32(content) != entry.crc32:
            _changed(name, f"other bytes for sample '{entry.key}'")
        try:
            return from_tar(content)
        except (tarfile.TarError, KeyError, ValueError) as error:
            fail(name, "must hold records of this version", f"'{entry.key}', which cannot be read ({error})", "prepare it again")

    def sample(self, index: int, reference: int | None = None, flipped: bool = False) -> Sample:
        """A training sample. reference: the photo that tells who it is; None: the person's next one, or the target itself.

        flipped: the mirrored target, as prepare --flips has encoded it; the identity stays as it is.
        """
        target = self.record(index)
        chosen = next(iter(self.others(index)), index) if reference is None else reference
        who = target if chosen == index else self.record(chosen)
        mean, std = (target.flipped_mean, target.flipped_std) if flipped else (target.latent_mean, target.latent_std)
        if mean is None or std is None:
            fail("horizontal flips", "must have been encoded", "shards without mirrored latents",
                 "prepare with --flips, or train with a flip probability of 0")
        return Sample(
            key=target.key, latent_mean=mean, latent_std=std, text=target.text, global_embedding=who.global_embedding,
            local_tokens=self._tokens(who), head=target.head,
            face_target=target.face_target.flip(-1) if flipped else target.face_target, width=target.head.width,
            height=target.head.height, person=target.person, licence=target.licence, source=target.source,
            reference_key=who.key, flipped=flipped)

    def _tokens(self, who: Record) -> Tensor:
        if who.local_tokens is not None:
            return who.local_tokens
        if self.tokens is None:
            fail("CLIP's tokens", "must be in the shards, or the CLIP vision tower must be given", "neither",
                 "prepare without --no-tokens, or name the tower")
        return self.tokens(who.face)


def require_size(folder: Path, shard: Shard) -> None:
    """Refuse a shard that is missing or has another length."""
    path = folder / shard.file
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        fail(f"shard '{shard.file}'", "must be there", f"no such file in {folder}", "copy it there, or prepare again")
    if size != shard.bytes:
        _changed(f"shard '{shard.file}'", f"{size:,} bytes in place of {shard.bytes:,}")


def require_unchanged(folder: Path, shard: Shard) -> None:
    """Refuse a shard with other content."""
    mark = hashlib.sha256()
    with (folder / shard.file).open("rb") as file:
        while block := file.read(1 << 20):
            mark.update(block)
    if mark.hexdigest() != shard.sha256:
        _changed(f"shard '{shard.file}'", "other content")


def _changed(name: str, got: str) -> None:
    fail(name, "must be as prepare has left it", got, "copy it again from where it was made, or prepare again into a new folder")
