"""The identity nodes in the host: CLIP's tokens and FaceNet's vector against the reference, alignment, refusals, files."""
from __future__ import annotations

import importlib
import os

import numpy as np
import pytest
import torch
from face_photos import golden_photo

from tools.goldens import faces as goldens
from tools.stand_ins import face_nets


@pytest.fixture(scope="module")
def clip_vision(host):
    """The host's CLIP vision model with golden weights."""
    return face_nets.clip_tower()


def put(key, name, state):
    """Save a state dict into the models folder `key` of the host."""
    import folder_paths
    from safetensors.torch import save_file
    folder = folder_paths.get_folder_paths(key)[0]
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(folder, name))
    folder_paths.filename_list_cache.clear()
    return name


@pytest.fixture(scope="module")
def encoder(host):
    name = put("facenet", "facenet.safetensors", face_nets.facenet_state())
    return host.NODE_CLASS_MAPPINGS["CapHumanLoadIdentityEncoder"].EXECUTE_NORMALIZED(model_name=name).result[0]


@pytest.fixture(scope="module")
def parser(host):
    name = put("face_parsing", "parser.safetensors", face_nets.bisenet_state())
    return host.NODE_CLASS_MAPPINGS["CapHumanLoadFaceParser"].EXECUTE_NORMALIZED(model_name=name).result[0]


def photos(*names):
    return torch.stack([golden_photo(name) for name in names]).movedim(1, -1).contiguous()


@pytest.fixture
def faces_of(call):
    detector = call("CapHumanLoadFaceDetector", backend="mtcnn", model_name="auto")[0]

    def find(image, if_none="error"):
        return call("CapHumanDetectFaces", image=image, detector=detector, min_confidence=0.5, max_faces=0, order="largest",
                    if_none=if_none)[0]
    return find


def test_the_photos_tokens_and_vector_are_the_references(call, golden, clip_vision, encoder, faces_of):
    image = photos("astronaut")
    before = torch.get_rng_state()
    identity, crop = call("CapHumanEncodeIdentity", image=image, faces=faces_of(image), identity_encoder=encoder,
                          clip_vision=clip_vision)
    assert torch.equal(before, torch.get_rng_state())
    goldens.clip(identity.local_tokens).require()
    numbers = golden("face_identity")
    np.testing.assert_allclose(identity.global_embedding, numbers["astronaut/embedding"], atol=1e-5)   # its own limit
    assert np.array_equal((crop[0] * 255).round().byte().movedim(-1, 0), numbers["astronaut/crop_u8"])
    assert identity.present.tolist() == [True]
    assert len(identity.encoder_fingerprint) == len(identity.clip_fingerprint) == 16


def test_rows_are_image_major_and_photos_without_a_face_keep_theirs(call, clip_vision, encoder, faces_of):
    image = photos("astronaut", "astronaut").clone()
    image[0] = 0.4
    faces = faces_of(image, "skip")
    identity, crop = call("CapHumanEncodeIdentity", image=image, faces=faces, identity_encoder=encoder,
                          clip_vision=clip_vision)
    assert identity.present.tolist() == [False, True]
    assert identity.global_embedding[0].abs().max() == identity.local_tokens[0].abs().max() == crop[0].max() == 0
    assert identity.global_embedding[1].norm() == pytest.approx(1, abs=1e-5)
    mean = call("CapHumanEncodeIdentity", image=image, faces=faces, identity_encoder=encoder, clip_vision=clip_vision,
                several_faces="average")[0]
    assert mean.present.tolist() == [True]
    torch.testing.assert_close(mean.local_tokens[0], identity.local_tokens[1])


@pytest.mark.thorough
def test_the_parser_whitens_what_clip_sees(call, clip_vision, encoder, parser, faces_of):
    image = photos("astronaut_300x400")
    faces = faces_of(image)
    whitened, mask, classes = call("CapHumanParseFace", image=image, face_parser=parser)
    assert whitened.shape == classes.shape == image.shape
    assert mask.shape == image.shape[:3]
    assert torch.equal(whitened, torch.where(mask[..., None] > 0, image, torch.ones_like(image)))
    by_hand = call("CapHumanEncodeIdentity", image=whitened, faces=faces, identity_encoder=encoder, clip_vision=clip_vision)[0]
    inside = call("CapHumanEncodeIdentity", image=image, faces=faces, identity_encoder=encoder, clip_vision=clip_vision,
                  face_parser=parser)[0]
    torch.testing.assert_close(inside.local_tokens, by_hand.local_tokens)
    plain = call("CapHumanEncodeIdentity", image=image, faces=faces, identity_encoder=encoder, clip_vision=clip_vision)[0]
    assert (plain.local_tokens - inside.local_tokens).abs().max() > 0.1
    torch.testing.assert_close(plain.global_embedding, inside.global_embedding)


@pytest.mark.thorough
def test_the_tower_inside_a_full_checkpoint_serves_too(call, host, clip_vision, pack):
    identity = importlib.import_module(f"{pack.__name__}.nodes.identity")
    inside = {face_nets.CLIP_PREFIX + key: value for key, value in face_nets.clip_state().items()}
    name = put("capface", "full.safetensors", {**inside, "control_model.x": torch.zeros(1)})
    tower = call("CapHumanLoadCLIPVision", capface_name=name)[0]
    identity.require_clip_l(tower)
    state, expected = tower.model.state_dict(), face_nets.clip_state()
    key = "vision_model.encoder.layers.23.mlp.fc2.weight"
    torch.testing.assert_close(state[key].float(), expected[key], atol=1e-4, rtol=1e-3)   # half precision on the CPU
    put("capface", "alone.safetensors", {"control_model.x": torch.zeros(1)})
    with pytest.raises(ValueError, match="must carry the CLIP ViT-L/14 vision tower, but got none"):
        call("CapHumanLoadCLIPVision", capface_name="alone.safetensors")


class OtherClip:
    """A vision model of another size."""

    class model:
        @staticmethod
        def state_dict():
            return {"vision_model.embeddings.position_embedding.weight": torch.zeros(257, 1280)}


def test_another_clip_is_refused(call, encoder, faces_of):
    image = photos("astronaut_300x400")
    with pytest.raises(ValueError, match=r"clip_vision must be CLIP ViT-L/14 .*257 tokens of 1280"):
        call("CapHumanEncodeIdentity", image=image, faces=faces_of(image), identity_encoder=encoder, clip_vision=OtherClip())


def test_faces_of_another_image_are_refused(call, encoder, clip_vision, faces_of):
    faces = faces_of(photos("astronaut_300x400"))
    with pytest.raises(ValueError, match="image must be the 1 photo"):
        call("CapHumanEncodeIdentity", image=photos("astronaut"), faces=faces, identity_encoder=encoder, clip_vision=clip_vision)


def test_other_files_are_no_encoders_or_parsers(call):
    put("facenet", "pnet.safetensors", {"conv1.weight": torch.zeros(10, 3, 3, 3)})
    with pytest.raises(ValueError, match=r"FaceNet file 'pnet.safetensors' must hold FaceNet's InceptionResnetV1"):
        call("CapHumanLoadIdentityEncoder", model_name="pnet.safetensors")
    put("face_parsing", "other.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"'other.safetensors' must hold the face parsing BiSeNet"):
        call("CapHumanLoadFaceParser", model_name="other.safetensors")
    with pytest.raises(ValueError, match="face parsing file must be in the models folder 'face_parsing'"):
        call("CapHumanLoadFaceParser", model_name="gone.pth")


def test_identities_are_saved_loaded_compared_and_combined(call, pack, host):
    flow = importlib.import_module(f"{pack.__name__}.caphuman_core.flow")
    random = torch.Generator().manual_seed(4)
    vectors = torch.nn.functional.normalize(torch.randn(2, 1, 512, generator=random), dim=2)
    one, other = (flow.Identity(vector, torch.randn(1, 257, 1024, generator=random), torch.ones(1, dtype=torch.bool), "e", "c")
                  for vector in vectors)
    call("CapHumanSaveIdentity", identity=one, filename_prefix="people/one")
    back = call("CapHumanLoadIdentity", name="people/one_00001.identity.safetensors [output]")[0]
    assert torch.equal(back.local_tokens, one.local_tokens)
    assert call("CapHumanCompareIdentity", identity_a=one, identity_b=back)[0] == pytest.approx(1)
    similarity, report = call("CapHumanCompareIdentity", identity_a=one, identity_b=other)
    assert similarity < 0.4
    assert "two different people" in report
    mixed = call("CapHumanCombineIdentities", identity_a=one, identity_b=other, weight=0.5)[0]
    assert mixed.global_embedding.norm() == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match=r"identity file must be a \.identity.safetensors file"):
        call("CapHumanLoadIdentity", name="../../secret.identity.safetensors")
