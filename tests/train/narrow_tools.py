"""Real faces, real heads, and small fixed maps in place of the networks whose weights are not at hand."""
from __future__ import annotations

import os
import time
from dataclasses import replace

import torch

from caphuman_bench.score.control import Fitted, LandmarkFitter
from caphuman_bench.score.faces import choose_detector
from caphuman_core.flow import Face
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.identity.encode import Encoders
from caphuman_train.data.drawn import narrow_latents, narrow_tokens
from caphuman_train.prepare.tools import RENDERED_HEAD, Tools


def embed(crops):
    """[n, 3, 160, 160] -> [n, 512] of unit length."""
    small = torch.nn.functional.avg_pool2d(crops, 10).flatten(1)[:, :512]
    return torch.nn.functional.normalize(small, dim=1)


def tokens(pixels):
    """[n, 3, 224, 224] CLIP's pixel values -> [n, 257, 1024]."""
    return narrow_tokens(pixels / 4 + 0.5)


def slow_latents(pictures):
    """For tests that kill a worker at its work."""
    time.sleep(float(os.environ.get("CAPHUMAN_TEST_SLOW", "0")))
    return narrow_latents(pictures)


def load():
    """Tools as ToolFiles.load gives them."""
    fitter = LandmarkFitter()
    versions = {"detector": "mtcnn", "fitter": fitter.version, "head_model": fitter.model.name,
                "head_model_fingerprint": fitter.model.fingerprint, "vae": "narrow", "clip": "narrow", "facenet": "narrow",
                "parser": RENDERED_HEAD}
    return Tools(choose_detector("mtcnn", None), fitter, Encoders(embed, tokens, "narrow", "narrow"), slow_latents, None, versions)


class OneFace:
    """A detector that sees a face in the middle of every photo that is not black there."""

    name, doubtful_below, convincing = "one face", 0.0, 0.0

    def find(self, photos, search=None):
        """Five points where a frontal face has them."""
        height, width = photos.shape[2:]
        side = min(height, width) / 2
        middle = torch.tensor([width / 2, height / 2])
        points = middle + side * torch.tensor([[-0.2, -0.15], [0.2, -0.15], [0.0, 0.05], [-0.15, 0.2], [0.15, 0.2]])
        box = torch.cat([middle - side / 2, middle + side / 2])
        return [(Face(box, 0.9, points),) if float(photo[:, height // 2, width // 2].max()) > 0 else () for photo in photos]


class NewHeads:
    """A fitter that gives every face the neutral head, at its size."""

    version = "neutral heads"

    def __init__(self):
        self.model = load_builtin()

    def fit(self, seen):
        """See Fitter."""
        return [Fitted(new_head(self.model, one.picture.shape[2], one.picture.shape[1]), True) for one in seen]


def load_quick():
    """Everything but the order of work is made easy: for tests of many photos, workers and kills."""
    whole = Tools(OneFace(), NewHeads(), Encoders(embed, tokens, "narrow", "narrow"), slow_latents, None, {})
    model = whole.fitter.model
    return replace(whole, versions={"detector": "one face", "fitter": "neutral heads", "head_model": model.name,
                                    "head_model_fingerprint": model.fingerprint, "vae": "narrow", "clip": "narrow",
                                    "facenet": "narrow", "parser": RENDERED_HEAD})
