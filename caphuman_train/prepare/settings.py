"""What decides the shards, as opposed to what only decides how long they take."""
from __future__ import annotations

from dataclasses import dataclass

from caphuman_core.check import require
from caphuman_core.identity.options import CLIP_VIEWS

MULTIPLE = 64                            # pixels: the UNet halves its latents three times
LARGEST = 2048


@dataclass(frozen=True)
class Settings:
    """Of one `prepare`."""

    width: int = 512                     # of the target pictures, pixels
    height: int = 512
    face_share: float = 0.3              # least height of a face in the height of the picture; smaller ones are zoomed in on
    least_face_pixels: int = 96          # of a face's height in the target picture
    least_share_of_size: float = 0.5     # of the target's height that can be cut out of the photo; the rest is made up
    least_sharpness: float = 0.02        # see stages.sharpness
    least_confidence: float = 0.5        # of a face
    allow: tuple[str, ...] = ()          # licences; (): any
    licence: str = ""                    # of photos that do not say
    source: str = ""                     # likewise
    flips: bool = False                  # encode the mirrored pictures too
    tokens: bool = True                  # keep CLIP's tokens, half a megabyte a photo
    clip_view: str = CLIP_VIEWS[0]
    per_shard: int = 64                  # photos that go into one shard at most
    whiten: bool = True                  # what is not the face before CLIP looks, as a graph with a face parser does

    def check(self) -> None:
        """InputError for numbers that make no sense."""
        for name, size in (("width", self.width), ("height", self.height)):
            require(MULTIPLE <= size <= LARGEST and size % MULTIPLE == 0, name,
                    f"must be a multiple of {MULTIPLE} from {MULTIPLE} to {LARGEST}", size, "take 512, which the base knows best")
        for name, share in (("face share", self.face_share), ("least share of size", self.least_share_of_size),
                            ("least confidence", self.least_confidence)):
            require(0 <= share <= 1, name, "must be from 0 to 1", share, "choose a number in that range")
        require(1 <= self.per_shard <= 4096, "photos per shard", "must be from 1 to 4096", self.per_shard, "64 make about 45 MB")
        require(self.clip_view in CLIP_VIEWS, "clip view", f"must be one of {', '.join(CLIP_VIEWS)}", repr(self.clip_view),
                "choose one of them")

    def allows(self, licence: str) -> bool:
        """Whether photos of that licence may be used; spelling of letters large and small does not matter."""
        return not self.allow or licence.strip().casefold() in {name.strip().casefold() for name in self.allow}
