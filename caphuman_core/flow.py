"""The flow, one frozen dataclass per arrow, in the order data takes.

    photo -> Faces -> Identity ------------------------------+
               \\-> Head (fitted) -> Head (edited) -> HeadHint +-> CapFace -> CONDITIONING

Objects are never mutated; `dataclasses.replace` makes the next one. A batch keeps one entry per
photo: a photo without a face stays in its place with `present` False.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

CLIP_TOKENS, CLIP_WIDTH = 257, 1024     # of ViT-L/14 at 224 pixels: the class token, then 16 x 16 patches
IDENTITY_WIDTH = 512                    # of FaceNet's vector, and of ArcFace's
HINT_CHANNELS = 9                       # normal, albedo, shaded; three each
LATER = ("gaze_radians", "neck_share", "skin_detail")    # tensors of a Head that files of older versions lack: zeros
SKIN_SIDE = 512                         # texels of a skin_detail's side


@dataclass(frozen=True)
class Face:
    """One face in one photo. Points are in pixels of that photo, x right, y down, (0, 0) at the
    top left corner of the top left pixel."""

    box_xyxy: Tensor                        # [4] left, top, right, bottom, pixels
    confidence: float                       # 0..1; 0 for a whole-image stand-in
    points5: Tensor | None = None           # [5, 2] eye, eye, nose tip, mouth corner, mouth corner; viewer's left first
    points68: Tensor | None = None          # [68, 2] the 300-W / iBUG order
    points106: Tensor | None = None         # [106, 2] insightface order
    points478: Tensor | None = None         # [478, 2] MediaPipe order
    expression_scores: dict[str, float] | None = None   # 52 ARKit names -> 0..1
    head_matrix: Tensor | None = None       # [4, 4] MediaPipe's facial transformation, when it gives one
    arcface: Tensor | None = None           # [512] unit length, for comparison only


@dataclass(frozen=True)
class Faces:
    """Faces found in a batch of photos, sorted, one tuple per photo; () where a photo has none."""

    per_image: tuple[tuple[Face, ...], ...]
    width: int                              # pixels, of every photo in the batch
    height: int                             # pixels

    def __len__(self) -> int:
        return len(self.per_image)

    @property
    def count(self) -> int:
        return sum(len(found) for found in self.per_image)


@dataclass(frozen=True)
class Identity:
    """Who a person is, to CapFace."""

    global_embedding: Tensor                # [N, 512] FaceNet, unit length; zero where not present
    local_tokens: Tensor                    # [N, 257, 1024] CLIP ViT-L/14 last_hidden_state, class token first
    present: Tensor                         # [N] bool; False: no face in that photo
    encoder_fingerprint: str                # of the FaceNet file; "" when unknown
    clip_fingerprint: str = ""              # of the CLIP vision tower; "" when unknown
    arcface: Tensor | None = None           # [N, 512] unit length, for comparison only

    def __len__(self) -> int:
        return self.global_embedding.shape[0]


@dataclass(frozen=True)
class Head:
    """A batch of FLAME-style heads: codes, camera, and their placing in a picture.

    Codes refer to the head model whose fingerprint is carried. The camera projects world metres to
    -1..1 of a 224-pixel crop: x = scale*(X + tx), y = -scale*(Y + ty), y down. The placing is a
    row-vector transform [px, py, 1] @ crop_to_picture from crop pixels (0..224) to picture pixels.
    """

    model_fingerprint: str
    identity: Tensor                        # [B, I] shape code, standard deviations
    expression: Tensor                      # [B, E] expression code
    texture: Tensor                         # [B, T] texture code
    rotation_radians: Tensor                # [B, 3] global rotation of the face, about the root joint, axis-angle
    jaw_radians: Tensor                     # [B, 3] jaw rotation, axis-angle
    light: Tensor                           # [B, 9, 3] spherical harmonics x red, green, blue
    camera: Tensor                          # [B, 3] scale, tx, ty
    crop_to_picture: Tensor                 # [B, 3, 3] row vectors, crop pixels -> picture pixels
    width: int                              # picture size the placing refers to, pixels
    height: int
    present: Tensor                         # [B] bool; False: nothing to draw in that place
    # [B, 2, 2] the person's left eye, then the right one; yaw, pitch against the head; positive: the iris goes to the
    # picture's right (the person's left), and up. Left out: straight ahead
    gaze_radians: Tensor = None             # type: ignore[assignment]
    # [B] 0..1 of the turn that the neck makes, so that the bust turns by the rest (`posing.split_turn`). Left out: 0, none
    neck_share: Tensor = None               # type: ignore[assignment]
    # [B, 3, SKIN_SIDE, SKIN_SIDE] float16: what the skin of a photo adds to the albedo texture of the texture code, red first,
    # row 0 at v = 1 (`fit.photo_skin`); [B, 3, 0, 0] where no head of the batch has any. Left out: none
    skin_detail: Tensor = None              # type: ignore[assignment]

    def __post_init__(self) -> None:
        count = len(self)
        for name, shape in (("gaze_radians", (count, 2, 2)), ("neck_share", (count,))):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.rotation_radians.new_zeros(shape))
        if self.skin_detail is None:
            object.__setattr__(self, "skin_detail", self.rotation_radians.new_zeros(count, 3, 0, 0).half())

    def __len__(self) -> int:
        return self.rotation_radians.shape[0]

    def __getitem__(self, index: int) -> Head:
        """One head of the batch, as a batch of one; negative indices count from the end."""
        at = range(len(self))[index]
        return self._each(lambda value: value[at:at + 1])

    @staticmethod
    def stack(heads: Sequence[Head]) -> Head:
        """Heads of one model in pictures of one size, as one batch."""
        from torch import cat
        if any(head.has_skin for head in heads):
            heads = [head.with_sheet() for head in heads]
        joined = {name: cat([getattr(head, name) for head in heads]) for name in heads[0]._tensors() if name != "skin_detail"}
        return heads[0].replace(**joined, skin_detail=_joined(heads))

    def expand(self, count: int) -> Head:
        """A single head as a batch of `count` equal ones; a batch of that size as it is."""
        return self if len(self) == count else self._each(lambda value: value.expand(count, *value.shape[1:]))

    @property
    def has_skin(self) -> bool:
        """Whether there are sheets with the skin of photos; some may be empty."""
        return self.skin_detail.shape[-1] > 0

    @property
    def worn_skins(self) -> Tensor:
        """skin_detail, or its first row alone where `expand` shares that among all."""
        return self.skin_detail[:1] if self.skin_detail.stride(0) == 0 else self.skin_detail

    def with_sheet(self) -> Head:
        """The same with sheets of skin, an empty one for all where there were none."""
        if self.has_skin:
            return self
        empty = self.skin_detail.new_zeros(1, 3, SKIN_SIDE, SKIN_SIDE)
        return self.replace(skin_detail=empty.expand(len(self), -1, -1, -1))

    def without_skin(self) -> Head:
        """The same with the head model's own texture alone."""
        return self.replace(skin_detail=self.skin_detail[..., :0, :0])

    def stored(self) -> dict[str, Tensor]:
        """The tensors that a file holds: those of LATER only where they say something, so that older versions read the others."""
        return {name: value for name, value in self._tensors().items() if name not in LATER or bool(value.any())}

    def replace(self, **changes: object) -> Head:
        return replace(self, **changes)  # type: ignore[arg-type]

    def _tensors(self) -> dict[str, Tensor]:
        """The fields that have a batch axis."""
        return {name: value for name, value in vars(self).items() if hasattr(value, "shape")}

    def _each(self, change: Callable[[Tensor], Tensor]) -> Head:
        return self.replace(**{name: change(value) for name, value in self._tensors().items()})


def _joined(heads: Sequence[Head]) -> Tensor:
    """The skins of photos that heads wear, one after the other: a single one is held once, however many frames wear it."""
    from torch import cat
    first = heads[0].skin_detail[:1]
    if all(one.equal(first[0]) for head in heads for one in head.worn_skins):
        return first.expand(sum(map(len, heads)), *first.shape[1:])
    return cat([head.skin_detail for head in heads])


@dataclass(frozen=True)
class HeadHint:
    """What CapFace sees of the head."""

    maps: Tensor                            # [B, 9, H, W] normal (-1..1), albedo (~0..1), shaded (~0..1, unclamped), RGB each
    mask: Tensor                            # [B, H, W] 1 where the head covers the pixel centre, else 0
    present: Tensor                         # [B] bool
    model_fingerprint: str = ""             # of the head model that was drawn; "" when unknown

    def __len__(self) -> int:
        return self.maps.shape[0]


__all__ = ["CLIP_TOKENS", "CLIP_WIDTH", "HINT_CHANNELS", "IDENTITY_WIDTH", "LATER", "SKIN_SIDE", "Face", "Faces", "Head",
           "HeadHint", "Identity"]
