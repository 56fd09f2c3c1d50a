"""The networks of prepare from their files, on the host's own loaders: what they give is what the host's nodes give."""
from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from caphuman_core.check import InputError
from caphuman_train.prepare.settings import Settings
from caphuman_train.prepare.tools import VAE_PREFIX, ToolFiles, load_latents, load_parser
from tools.stand_ins import GOLDEN, face_nets
from tools.stand_ins.people import golden_photo


@pytest.fixture(scope="module", autouse=True)
def _host(part):
    """The host, started up as the trainer does it."""
    return part("nodes.host")


def filled(state, seed=0):
    """Random weights of a size that keeps signals in range."""
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.randn(value.shape, generator=generator) / max(value[0].numel(), 1) ** 0.5 if value.dim() > 1
            else torch.full(value.shape, float(key.endswith("weight"))) for key, value in state.items()}


@pytest.fixture(scope="module")
def vae_state():
    """Weights for the whole VAE of Stable Diffusion 1.5."""
    from comfy.ldm.models.autoencoder import AutoencoderKL
    config = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
              "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    return filled(AutoencoderKL(ddconfig=config, embed_dim=4).state_dict())


@pytest.fixture(scope="module")
def vae_file(vae_state, tmp_path_factory):
    path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    save_file(vae_state, path)
    return path


@pytest.fixture(scope="module")
def pictures():
    photo = golden_photo("astronaut")
    return torch.stack([photo[:, 60:124, 180:244], photo[:, 200:264, 100:164]])


def test_latents_are_the_hosts_as_the_unet_sees_them(vae_file, vae_state, pictures):
    import comfy.latent_formats
    import comfy.sd
    latents, _ = load_latents(vae_file)
    mean, std = latents(pictures)
    assert mean.shape == std.shape == (2, 4, 8, 8)
    host = comfy.sd.VAE(sd=dict(vae_state), dtype=torch.float32).encode(pictures.movedim(1, -1))
    torch.testing.assert_close(mean, comfy.latent_formats.SD15().process_in(host.float()), rtol=1e-4, atol=1e-5)
    assert float(std.min()) > 0
    spread = float(mean.std())
    assert 0.01 < spread < 10


def test_the_deviation_is_the_encoders(vae_file, vae_state, pictures):
    """exp of half the log variance, the second half of what the encoder gives."""
    import comfy.sd
    whole = comfy.sd.VAE(sd=dict(vae_state), dtype=torch.float32).first_stage_model
    with torch.no_grad():
        moments = whole.quant_conv(whole.encoder(pictures * 2 - 1))
    _, std = load_latents(vae_file)[0](pictures)
    torch.testing.assert_close(std, (moments[:, 4:].clamp(-30, 20) / 2).exp() * 0.18215, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_gives_its_vae(vae_file, vae_state, tmp_path, pictures):
    rest = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3),
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(320, 768)}
    save_file({**{VAE_PREFIX + key: value for key, value in vae_state.items()}, **rest}, tmp_path / "base.safetensors")
    alone, mark = load_latents(vae_file)
    inside, same = load_latents(tmp_path / "base.safetensors")
    assert same == mark
    assert torch.equal(inside(pictures[:1])[0], alone(pictures[:1])[0])


def test_a_checkpoint_of_sdxl_is_refused(tmp_path):
    """Its VAE has the same shapes, but latents of another scale."""
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3),
               "model.diffusion_model.label_emb.0.0.weight": torch.zeros(4, 4),
               "first_stage_model.encoder.conv_in.weight": torch.zeros(128, 3, 3, 3)}, tmp_path / "xl.safetensors")
    with pytest.raises(InputError, match=r"must be of Stable Diffusion 1.5, but got a checkpoint of another"):
        load_latents(tmp_path / "xl.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "xl.safetensors").read_bytes()[:-100])
    with pytest.raises(InputError, match=r"VAE file 'cut.safetensors' must be"):
        load_latents(tmp_path / "cut.safetensors")


def test_a_parser_opens_the_face(tmp_path):
    from caphuman_core.face.bisenet import build_bisenet
    from caphuman_core.face.parsing import is_face, parse
    state = face_nets.bisenet_state()
    save_file(state, tmp_path / "parser.safetensors")
    parser, version = load_parser(tmp_path / "parser.safetensors")
    photo = golden_photo("astronaut")
    region = parser(photo)
    assert version.startswith("BiSeNet (")
    assert torch.equal(region, is_face(parse(build_bisenet(state, "x"), photo[None])[0]))
    assert region.shape == (512, 512)
    assert 0 < int(region.sum()) < 512 * 512


@pytest.fixture(scope="module")
def models(vae_file, tmp_path_factory):
    """A models folder with FaceNet and the VAE of a checkpoint; the tower is one layer deep."""
    root = tmp_path_factory.mktemp("models")
    state = face_nets.facenet_state()
    (root / "facenet").mkdir()
    save_file(state, root / "facenet" / "any name.safetensors")
    return root


@pytest.fixture
def shallow_tower(monkeypatch):
    import comfy.clip_vision
    config = {"hidden_size": 1024, "image_size": 224, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 2,
              "num_channels": 3, "model_type": "clip_vision_model", "patch_size": 14, "projection_dim": 768,
              "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
    tower = comfy.clip_vision.ClipVisionModel(config)
    tower.model.load_state_dict(filled(tower.model.state_dict()))
    monkeypatch.setattr("caphuman_train.prepare.tools.load_tower", lambda path: tower)
    return tower


def test_all_tools_are_found_by_what_is_in_the_files(models, vae_file, shallow_tower, tmp_path):
    """A photo through them is what Encode Identity gives for it."""
    from caphuman_core.face.detection import detect
    from caphuman_core.identity.encode import identify
    tools = ToolFiles(models, vae=vae_file, clip=vae_file, detector="mtcnn", fitter="landmarks").load()
    assert tools.parser is None
    assert {"detector", "fitter", "head_model", "head_model_fingerprint", "vae", "clip", "facenet", "parser"} == set(tools.versions)
    assert all(tools.versions.values())
    assert tools.versions["parser"] == "rendered head"
    photo = golden_photo("astronaut")[None]
    identity, _ = identify(photo, detect(tools.detector, photo), tools.encoders)
    assert identity.local_tokens.shape == (1, 257, 1024)
    assert float(identity.global_embedding.norm()) == pytest.approx(1, abs=1e-4)
    assert identity.encoder_fingerprint == tools.versions["facenet"]


def test_without_tokens_no_tower_is_needed(models, vae_file):
    tools = ToolFiles(models, vae=vae_file, detector="mtcnn", fitter="landmarks", tokens=False).load()
    assert tools.versions["clip"] == ""
    with pytest.raises(InputError, match="prepare needs CLIP ViT-L/14 vision tower: it must be in the models folder or be named"):
        ToolFiles(models, vae=vae_file, detector="mtcnn", fitter="landmarks").load()


def test_a_real_photo_through_the_real_tools(models, vae_file, shallow_tower, tmp_path):
    """The whole of prepare on the host's networks (untrained), on one photo."""
    import shutil

    from caphuman_train.data.shards import Shards
    from caphuman_train.data.sources import open_source
    from caphuman_train.prepare.pool import Here
    from caphuman_train.prepare.run import prepare
    (tmp_path / "data").mkdir()
    (tmp_path / "shards").mkdir()
    shutil.copy(GOLDEN / "face_photo_astronaut.png", tmp_path / "data" / "a.png")
    settings = Settings(64, 64, least_face_pixels=10, flips=True)
    files = ToolFiles(models, vae=vae_file, clip=vae_file, detector="mtcnn", fitter="landmarks")
    manifest = prepare(tmp_path / "shards", open_source(tmp_path / "data"), settings, Here(settings, files.load), {},
                       lambda *_: lambda refused: None)
    assert manifest.settings["vae"] == load_latents(vae_file)[1]
    sample = Shards.open(tmp_path / "shards").sample(0)
    assert all(bool(getattr(sample, name).isfinite().all()) for name in ("latent_mean", "latent_std", "local_tokens"))
    assert 0.01 < float(sample.latent_mean.std()) < 10
