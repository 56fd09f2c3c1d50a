"""Base checkpoints through the host's own loader, full size; and files that are none, told from their headers."""
from __future__ import annotations

import json
import struct

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_train.step import base as bases
from tools.stand_ins import untrained_weights


def header_alone(path, names):
    """A .safetensors file whose tensors have no elements."""
    table = {name: {"dtype": "F16", "shape": [0, *shape], "data_offsets": [0, 0]} for name, shape in names.items()}
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


@pytest.mark.parametrize(("names", "said"), [
    ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (2048,),
      "model.diffusion_model.label_emb.0.0.weight": (2816,)},
     "must be Stable Diffusion 1.5, but got a checkpoint of another architecture"),
    ({"some.weight": (1,)}, "must be Stable Diffusion 1.5, but got not a file of this pack")])
def test_other_checkpoints_are_refused_before_they_are_read(tmp_path, names, said):
    path = header_alone(tmp_path / "x.safetensors", names)
    with pytest.raises(InputError, match=said) as error:
        bases.load_base(path, torch.float32)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_was_cut_short_is_refused(tmp_path):
    path = header_alone(tmp_path / "x.safetensors", {"model.diffusion_model.out.2.bias": (4,)})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"base checkpoint 'x.safetensors' must be a whole file, but got .*download it again"):
        bases.load_base(path, torch.float32)


def test_a_real_checkpoint(part, monkeypatch):
    """The demo's untrained stand-in: what is loaded is SD 1.5, in the type asked for, with its text encoder and autoencoder."""
    monkeypatch.setitem(part("nodes.capface.base_model").SHAPE, "model_channels", 320)      # narrow tests change it
    role = untrained_weights.ROLES["checkpoint"]
    untrained_weights.write_stand_in(role)
    base = bases.load_base(role.stand_in, torch.bfloat16, 1 << 20)
    assert base.width == 320
    assert base.unet.dtype == torch.bfloat16
    assert {value.dtype for value in base.unet.parameters()} == {torch.bfloat16}
    assert not any(value.requires_grad for value in base.unet.parameters())
    assert base.name == role.stand_in.name
    assert len(base.fingerprint) == 16
    assert base.alphas.shape == (1000,)
    assert 0.99 < float(base.alphas[0]) < 1
    assert float(base.alphas[999]) == pytest.approx(0.00466, rel=1e-3)        # the schedule of Stable Diffusion 1.5
    plain, weighed, long = (base.encode_text(text) for text in ("a man (smiling)", "a man smiling", "word " * 200))
    for text in (plain, weighed, long):
        assert text.shape == (77, 768)
        assert text.dtype == torch.float32
    assert not torch.equal(plain, weighed), "brackets are letters, as the reference read them"
    pictures = base.decode(torch.zeros(1, 4, 8, 8))
    assert pictures.shape == (1, 64, 64, 3)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1
