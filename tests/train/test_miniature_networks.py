"""The miniature's networks: text, identity, autoencoder; widened to other sizes; packed."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import InputError
from tools.stand_ins.narrow_nets import seeded

TOWER_TOLERANCE = 2e-5                           # float32
PROMPTS = ["photo of a person, a red shirt, short brown hair, a blue background",
           "photo of a person, a blue shirt, short brown hair, a red background"]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def text(part):
    from caphuman_train.miniature.text import Text
    return Text(3)


@pytest.fixture(scope="module")
def tokens(part):
    from caphuman_train.miniature.text import host_tokenizer
    return host_tokenizer()


def test_a_word_is_heard_with_the_word_before_it_and_with_no_other(text, tokens):
    """red, shirt / blue, shirt: places 7 and 8; the words of places 9 to 15 and what stands before them are the same."""
    rows = tokens(PROMPTS)
    assert rows[0, 8] == rows[1, 8]
    assert rows[0, 7] != rows[1, 7]
    one, other = text(rows)
    alike = torch.cosine_similarity(one, other, 1)
    assert alike[7] < 0.6
    assert 0.2 < alike[8] < 0.9
    assert bool((alike[9:15] > 0.999).all())


def test_the_quick_eye_is_the_hosts_tower(part):
    import comfy.clip_vision

    from caphuman_train.miniature.eyes import Tokens, clip_weights
    tower = comfy.clip_vision.ClipVisionModel({
        "hidden_size": 1024, "image_size": 224, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 2,
        "num_channels": 3, "model_type": "clip_vision_model", "patch_size": 14, "projection_dim": 768, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5})
    state = {key: value.float() for key, value in clip_weights(3, layers=2).items()}
    found = tower.model.load_state_dict(state, strict=False)
    assert not found.unexpected_keys
    assert not found.missing_keys
    pixels = noise(2, 3, 224, 224)
    wanted = part("nodes.identity").clip_tokens(tower, pixels)
    assert wanted.shape == (2, 257, 1024)
    assert torch.allclose(Tokens(3)(pixels), wanted.float(), atol=TOWER_TOLERANCE)


def test_all_24_layers_have_their_weights(part):
    from caphuman_train.miniature.eyes import clip_weights
    from tools.stand_ins.sd15_shapes import clip_vision
    wanted = {key: shape for key, shape in clip_vision().items() if not key.endswith("position_ids")}
    assert {key: tuple(value.shape) for key, value in clip_weights(0).items()} == wanted


def test_measured_facenet_tells_faces_apart():
    from caphuman_train.miniature.eyes import facenet_of, measured
    crops = noise(6, 3, 160, 160) * 0.1 + torch.linspace(-1, 1, 6)[:, None, None, None] * noise(6, 3, 1, 1, seed=1)
    measures = measured(3, crops)
    assert all(value.dtype == torch.float16 for value in measures.values())
    plain = {name: torch.zeros_like(value) if name.endswith("mean") else torch.ones_like(value) for name, value in measures.items()}
    apart = {}
    for name, used in (("measured", measures), ("plain", plain)):
        found = facenet_of(3, used)(crops)
        assert torch.allclose(found.norm(dim=1), torch.ones(6), atol=1e-4)
        apart[name] = float((found @ found.T)[0, 1:].mean())
    assert apart["measured"] < 0.3
    assert apart["plain"] > 0.8


def test_levelled_latents_have_mean_0_and_deviation_1_and_decode_to_the_same(part):
    from caphuman_train.miniature.autoencoder import levelled
    from caphuman_train.miniature.narrow import decoded, encoded, initialise, make_autoencoder, posterior
    network = make_autoencoder()
    initialise(network, 0)
    pictures = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)) ** 2
    with torch.no_grad():
        mean, log_variance = posterior(network, pictures)
        before = decoded(network, mean)
        levelled(network, pictures)
        after_mean, after_variance = posterior(network, pictures)
        assert torch.allclose(before, decoded(network, after_mean), atol=1e-4)
        share = (log_variance / 2).exp() / mean.std((0, 2, 3), keepdim=True)
        assert torch.allclose((after_variance / 2).exp() / after_mean.std((0, 2, 3), keepdim=True), share, rtol=1e-3)
    seen, _ = encoded(network, pictures)
    assert torch.allclose(seen.mean((0, 2, 3)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(seen.std((0, 2, 3)), torch.ones(4), atol=1e-3)


def test_the_autoencoders_norms_let_the_whole_pictures_brightness_through(part):
    from caphuman_train.miniature.narrow import make_autoencoder
    norms = [layer for layer in make_autoencoder().modules() if isinstance(layer, torch.nn.GroupNorm)]
    sizes = {layer.num_channels // layer.num_groups for layer in norms}
    assert sizes == {4, 8, 16}                               # as in Stable Diffusion's


def test_a_wider_unet_finds_the_same_noise(part):
    """Tolerance: float32 sums in another order, some 4e-6 at a deviation of 0.6."""
    from caphuman_train.miniature.narrow import make_unet
    from caphuman_train.miniature.widen import last_together, unet_shapes, widened
    narrow, wide = seeded(make_unet(32), 1), make_unet(64).eval()
    wide.load_state_dict(widened(narrow.state_dict(), unet_shapes(64), last_together))
    x, times, context = noise(2, 4, 8, 16), torch.tensor([17, 801]), noise(2, 77, 768, seed=1)
    with torch.no_grad():
        wanted, found = (network(x, times, context=context) for network in (narrow, wide))
    assert wanted.std() > 0.3
    assert (found - wanted).abs().max() < 3e-5


def test_a_narrow_unet_can_draw_a_whole_picture_in_a_colour(part):
    """A norm of a single channel takes its mean over the picture away; one of two keeps how they differ."""
    from caphuman_train.miniature.narrow import LAST_NORMS, make_unet
    narrow, wide = make_unet(32, "meta"), make_unet(320, "meta")
    assert [narrow.get_submodule(name).num_groups for name in LAST_NORMS] == [16] * 3
    assert [wide.get_submodule(name).num_groups for name in LAST_NORMS] == [32] * 3
    assert narrow.get_submodule("input_blocks.1.0.in_layers.0").num_groups == 32


def test_the_autoencoder_starts_as_a_picture_made_smaller_and_larger(part):
    """A red picture with a blue half: right away red and blue, but for the edge."""
    from caphuman_train.miniature.narrow import decoded, initialise, make_autoencoder, posterior
    from caphuman_train.miniature.shrinking import start_shrinking
    network = make_autoencoder()
    initialise(network, 0)
    start_shrinking(network)
    picture = torch.tensor([0.8, 0.3, 0.2])[:, None, None].repeat(1, 64, 64)
    picture[:, :, 32:] = torch.tensor([0.2, 0.3, 0.8])[:, None, None]
    with torch.no_grad():
        mean, log_variance = posterior(network, picture[None])
        back = decoded(network, mean)[0]
    middle = (back - picture)[:, 16:-16, [*range(8, 24), *range(40, 56)]]
    assert middle.abs().max() < 0.12
    assert (log_variance - -6).abs().max() < 1


def test_a_wider_capface_gives_the_same_residuals_in_more_channels(part):
    import comfy.ops

    from caphuman_train.miniature.widen import capface_shapes, widened
    from caphuman_train.step.loss import SampleContext
    kind = part("nodes.capface.network").CapFaceNet
    narrow, wide = (kind(torch.float32, torch.device("cpu"), comfy.ops.disable_weight_init, width=width) for width in (32, 96))
    seeded(narrow, 2)
    wide.eval().load_state_dict(widened(narrow.state_dict(), capface_shapes(96)))
    x, times, hint = noise(1, 4, 8, 8), torch.tensor([400]), noise(1, 9, 64, 64, seed=1)
    with torch.no_grad():
        given = []
        for network in (narrow, wide):
            guided, mask = network.encode_hint(hint)
            context = SampleContext(network.project(noise(1, 257, 1024), noise(1, 512)), torch.ones(1))
            given.append([mask, *network(x, guided, times, context)])
    assert torch.allclose(given[0][0], given[1][0], atol=1e-5)
    for one, other in zip(given[0][1:], given[1][1:], strict=True):
        assert (one.repeat_interleave(3, 1) - other).abs().max() < 1e-4 * max(1.0, float(one.std()))


def test_a_wider_controlnet_of_landmarks_gives_the_same_residuals_in_more_channels(part):
    from caphuman_train.miniature.narrow import make_controlnet
    from caphuman_train.miniature.widen import points_shapes, widened
    narrow, wide = seeded(make_controlnet(32), 2), make_controlnet(96).eval()
    wide.load_state_dict(widened(narrow.state_dict(), points_shapes(96)))
    given = {"x": noise(1, 4, 8, 8), "hint": noise(1, 3, 64, 64, seed=1), "timesteps": torch.tensor([400]),
             "context": noise(1, 77, 768, seed=2)}
    with torch.no_grad():
        one, other = (network(**given) for network in (narrow, wide))
    assert len(one["output"]) == 12
    for few, many in zip(one["output"] + one["middle"], other["output"] + other["middle"], strict=True):
        assert (few.repeat_interleave(3, 1) - many).abs().max() < 1e-4 * max(1.0, float(few.std()))


def test_a_wider_autoencoder_has_the_same_latents_and_pictures(part):
    from caphuman_train.miniature.narrow import decoded, make_autoencoder, posterior
    from caphuman_train.miniature.widen import all_together, autoencoder_shapes, widened
    narrow, wide = seeded(make_autoencoder(32), 1), make_autoencoder(64)
    wide.load_state_dict(widened(narrow.state_dict(), autoencoder_shapes(64), all_together))
    with torch.no_grad():
        pictures, latents = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)), noise(1, 4, 4, 6)
        seen = [torch.cat(posterior(network, pictures), 1) for network in (narrow, wide)]
        back = [decoded(network, latents) for network in (narrow, wide)]
    for wanted, found in (seen, back):
        assert wanted.std() > 0.1
        assert (found - wanted).abs().max() < 3e-5


def test_widening_refuses_what_does_not_fit(part):
    from caphuman_train.miniature.widen import widened
    with pytest.raises(InputError, match="divides 10"):
        widened({"a.weight": torch.zeros(3, 2)}, {"a.weight": (10, 2)})
    with pytest.raises(InputError, match="difference in b"):
        widened({"a": torch.zeros(1)}, {"a": (1,), "b": (1,)})


def made(part_values):
    from caphuman_train.miniature.pack import PARTS, TOLD, Packed
    return Packed(**{part: part_values(part) for part in PARTS}, told=dict.fromkeys(TOLD, "7"))


def test_packed_weights_come_back_within_half_a_step(part, tmp_path):
    from caphuman_train.miniature.pack import load_packed, save_packed
    sizes = torch.logspace(-3, 2, 6)[:, None, None]
    packed = made(lambda name: {"a.weight": noise(6, 5, 3, seed=len(name)) * sizes, "a.bias": noise(6)})
    save_packed(tmp_path / "x.safetensors", packed, {"style": "int8"})
    back = load_packed(tmp_path / "x.safetensors")
    assert back.seed == 7
    assert torch.equal(back.base["a.weight"], packed.base["a.weight"].half().float())
    assert back.style.keys() == packed.style.keys()
    assert torch.equal(back.style["a.bias"], packed.style["a.bias"].half().float())
    row = packed.style["a.weight"].flatten(1)
    step = row.abs().amax(1, keepdim=True) / 127
    assert bool(((back.style["a.weight"].flatten(1) - row).abs() <= 0.51 * step + 1e-3 * row.abs()).all())
    assert torch.equal(back.styled["a.bias"], back.base["a.bias"] + back.style["a.bias"])


def test_another_file_or_a_damaged_one_is_refused_in_a_sentence(part, tmp_path):
    from caphuman_train.miniature.pack import load_packed, save_packed
    path = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match="no such file"):
        load_packed(path)
    save_packed(path, made(lambda name: {"a": torch.zeros(500)}), {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="miniature file"):
        load_packed(path)
    from safetensors.torch import save_file
    save_file({"a": torch.zeros(2)}, str(path))
    with pytest.raises(InputError, match=r"must be of format"):
        load_packed(path)
