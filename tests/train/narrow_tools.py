"""Real faces, real heads, and small fixed maps in place of the networks whose weights are not at hand."""
from __future__ import annotations

import os
import time

import torch

from caphuman_bench.score.control import LandmarkFitter
from caphuman_bench.score.faces import choose_detector
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
