"""Networks that are built from files are for use alone: they learn nothing, and behave the same on every photo."""
from __future__ import annotations

import pytest

from caphuman_core.face.bisenet import BiSeNet, build_bisenet
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.head.fit.deca import DecaEncoder, build_encoder
from caphuman_core.identity.facenet import FaceNet, build_facenet

BUILT = {"BiSeNet": lambda: build_bisenet(BiSeNet().state_dict(), "x"),
         "FaceNet": lambda: build_facenet(FaceNet().state_dict(), "x"),
         "DECA": lambda: build_encoder(DecaEncoder().state_dict(), "x"), "MTCNN": Mtcnn}


@pytest.mark.parametrize("name", BUILT)
def test_a_network_from_a_file_is_at_rest(name):
    network = BUILT[name]()
    parts = [network] if name != "MTCNN" else [network.proposal, network.refine, network.output]
    assert not any(part.training for part in parts)
    assert not any(parameter.requires_grad for parameter in network.parameters())
