"""A widened miniature through the host's own CheckpointLoaderSimple, full size: it is the narrow one."""
from __future__ import annotations

import pytest
import torch

from tools.stand_ins.narrow_nets import seeded

HALF = 4e-3                             # rms, of the output's deviation: the wide weights are rounded to float16, 5e-4 each
PROMPT = "photo of a person, a red shirt, short brown hair, a blue background"


@pytest.fixture(scope="module")
def narrow(part):
    """UNet and autoencoder with random weights."""
    from caphuman_train.miniature.narrow import make_autoencoder, make_unet
    return seeded(make_unet(32), 1), seeded(make_autoencoder(), 2)


@pytest.fixture(scope="module")
def loaded(part, narrow, tmp_path_factory):
    """(model patcher, clip, vae) of the widened checkpoint."""
    import folder_paths

    import nodes
    from caphuman_core.files.weights import write_safetensors
    from caphuman_train.miniature.text import text_weights
    from caphuman_train.miniature.widen import wide_checkpoint
    unet, autoencoder = narrow
    folder = tmp_path_factory.mktemp("checkpoints")
    file = folder / "wide.safetensors"
    write_safetensors(file, wide_checkpoint(unet.state_dict(), autoencoder.state_dict(), text_weights(0)), {})
    folder_paths.add_model_folder_path("checkpoints", str(folder))
    yield nodes.CheckpointLoaderSimple().load_checkpoint(file.name)
    file.unlink()


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(found, wanted):
    return float((found - wanted).square().mean().sqrt()) < HALF * float(wanted.std())


@torch.no_grad()
def test_the_host_loads_an_ordinary_checkpoint_that_is_the_narrow_one(part, narrow, loaded, monkeypatch):
    from caphuman_train.miniature.narrow import decoded, patcher_of, posterior
    from caphuman_train.miniature.text import Text, host_tokenizer
    from caphuman_train.step.base import encode_caption
    (unet, autoencoder), (model, clip, vae) = narrow, loaded
    base_model = part("nodes.capface.base_model")
    monkeypatch.setitem(base_model.SHAPE, "model_channels", 320)        # narrow tests change it
    base_model.require_sd15(model.model, "the widened checkpoint")
    assert model.model.diffusion_model.model_channels == 320
    text = Text(0)(host_tokenizer()([PROMPT]))
    assert torch.allclose(encode_caption(clip, torch.device("cpu"), PROMPT), text[0], atol=2e-3)
    import comfy.model_management
    comfy.model_management.load_models_gpu([model])
    x, sigma = noise(1, 4, 8, 8), torch.tensor([2.0])
    wanted = patcher_of(unet).model.apply_model(x, sigma, c_crossattn=text)
    found = model.model.apply_model(x, sigma, c_crossattn=text)
    assert close((x - found) / 2, (x - wanted) / 2)                                          # the noise
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    assert close(vae.encode(picture), posterior(autoencoder, picture.movedim(-1, 1))[0])
    assert close(vae.decode(x), decoded(autoencoder, x).clamp(0, 1).movedim(1, -1))
