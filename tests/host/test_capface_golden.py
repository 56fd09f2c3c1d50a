"""CapFace through the real host, full size, against the reference numbers (tests/golden, DIFFUSION.md)."""
from __future__ import annotations

import importlib

import pytest
import torch

from tools.stand_ins import diffusion_nets as nets

# DIFFUSION.md's table of tolerances: each is several times what two float32 attention kernels differ by.
CONTROL = (3e-4, 2e-5)
CONSTANT = (1e-5, 2e-6)
EPS = (5e-5, 2e-5)
LATENT = (2e-3, 5e-5)
PRED_X0 = (3e-3, 5e-5)


@pytest.fixture(scope="module", autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield
    nets.forget()


@pytest.fixture(scope="module")
def part(pack):
    """part("nodes.capface.control") -> that module of the loaded pack."""
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture(scope="module")
def capface(part):
    net = nets.capface(part("nodes.capface.network"))
    return part("nodes.capface.control").CapFace(net, part("nodes.host").patcher(net), torch.float32, "golden")


@pytest.mark.parametrize("case", ["capface_16x16_t601", "capface_24x16_t21"])
def test_capface_forward(case, capface, part, golden):
    entry, want = nets.index()["cases"][case], golden(f"diffusion_{case}")
    person = {key: nets.tensor(value) for key, value in entry["inputs"]["persons"][0].items() if key in ("hint", "clip", "id")}
    x, t = nets.tensor(entry["inputs"]["x"]), torch.tensor(entry["timesteps"])
    net, network = capface.network, part("nodes.capface.network")
    nets.assert_close(net.embed_time(t, torch.float32), want["time_embedding"], *CONSTANT, "time embedding")
    guided, mask = net.encode_hint(person["hint"])
    nets.assert_close(guided, want["guided_hint"], *CONSTANT, "guided hint")
    nets.assert_close(mask, want["mask"], *CONSTANT, "mask")
    tokens = net.project(person["clip"], person["id"][:, 0])
    if "context" in want:
        nets.assert_close(tokens, want["context"], *CONSTANT, "context")
    controls = net(x, guided, t, network.FrameContext(network.IdentityContext(tokens), torch.tensor([0]), None))
    assert len(controls) == 13
    for index, control in enumerate(controls):
        nets.assert_close(control, want[f"control_{index:02d}"], *CONTROL, f"control {index}")


def apply_all(call, part, capface, persons, settings, conditioning=None):
    """One CapHumanApplyCapFace for each person, and the host's own ControlNet node where a pose strength is set."""
    flow = part("caphuman_core.flow")
    conditioning = conditioning or [[nets.tensor(persons[-1]["text"]), {}]]
    for person in persons if settings["control"] else []:
        hint, clip, who = (nets.tensor(person[key]) for key in ("hint", "clip", "id"))
        shown = torch.ones(len(hint), dtype=torch.bool)
        conditioning, _, _ = call(
            "CapHumanApplyCapFace", positive=conditioning, negative=[], capface=capface,
            identity=flow.Identity(who[:, 0], clip, shown, ""), hint=flow.HeadHint(hint, torch.zeros_like(hint[:, 0]), shown),
            strength=settings["strength"], id_dropout_tau=settings["tau"], mask="predicted" if settings["mask"] else "none")
        if settings["pose_strength"] is not None:
            conditioning = pose(part, conditioning, person, settings["pose_strength"])
    return conditioning


def pose(part, conditioning, person, strength):
    import nodes
    image = nets.tensor(person["pose"]).movedim(1, -1)
    net = nets.pose_controlnet(part("caphuman_core.capface.spec"))
    return nodes.ControlNetApplyAdvanced().apply_controlnet(conditioning, [], net, image, strength, 0.0, 1.0)[0]


class Probe:
    """A sampler of the host that evaluates the model once and keeps what came."""

    def __init__(self, x, sigma):
        self.x, self.sigma, self.denoised = x, sigma, None

    def sample(self, model, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        self.denoised = model(self.x, self.sigma, **extra_args)
        return self.x


def eps(positive, x, timesteps, negative=(), cfg=1.0):
    """The noise prediction of the host's whole guidance machinery at latents x [B, 4, h, w] of unit variance."""
    import comfy.samplers
    base = nets.base_model()
    sigma = base.model.model_sampling.sigmas[torch.tensor(timesteps)].expand(len(x))
    noised = x * (sigma**2 + 1).sqrt()[:, None, None, None]
    probe = Probe(noised, sigma)
    comfy.samplers.sample(base, torch.zeros_like(x), positive, list(negative) or positive, cfg, x.device, probe,
                          sigma[:1].repeat(2), latent_image=torch.zeros_like(x), disable_pbar=True)
    return (noised - probe.denoised) / sigma[:, None, None, None]


EPS_CASES = [name for name, case in nets.index()["cases"].items() if case["group"] == "B"]


@pytest.mark.parametrize("case", EPS_CASES)
def test_noise_prediction(case, call, part, capface, golden):
    entry = nets.index()["cases"][case]
    positive = apply_all(call, part, capface, entry["inputs"]["persons"], entry["settings"])
    got = eps(positive, nets.tensor(entry["inputs"]["x"]), entry["timesteps"])
    nets.assert_close(got, golden("diffusion_apply_model")[f"{case}__eps"], *EPS, case)


@pytest.mark.parametrize("first", ["pose", "capface"])
def test_fusion_in_either_order(first, call, part, capface, golden):
    """An ordinary ControlNet before or after: it goes on seeing the text, CapFace identity."""
    entry = nets.index()["cases"]["pose0.5_t601"]
    person, settings = entry["inputs"]["persons"][0], {**entry["settings"], "pose_strength": None}
    if first == "capface":
        positive = pose(part, apply_all(call, part, capface, [person], settings), person, 0.5)
    else:
        positive = apply_all(call, part, capface, [person], settings, pose(part, [[nets.tensor(person["text"]), {}]], person, 0.5))
    got = eps(positive, nets.tensor(entry["inputs"]["x"]), entry["timesteps"])
    nets.assert_close(got, golden("diffusion_apply_model")["pose0.5_t601__eps"], *EPS, first)


def test_order_of_persons_does_not_matter(call, part, capface, golden):
    entry = nets.index()["cases"]["two_person_t601"]
    positive = apply_all(call, part, capface, entry["inputs"]["persons"][::-1], entry["settings"])
    got = eps(positive, nets.tensor(entry["inputs"]["x"]), entry["timesteps"])
    nets.assert_close(got, golden("diffusion_apply_model")["two_person_t601__eps"], *EPS, "persons reversed")


DDIM_CASES = [name for name, case in nets.index()["cases"].items() if case["group"] == "C" and "inputs" in case]


@pytest.mark.parametrize("case", DDIM_CASES)
def test_ddim_run(case, call, part, capface, golden):
    """The host's own ddim sampler over the reference's sigmas: every latent, every prediction, and one forward a step."""
    import comfy.samplers
    entry, want = nets.index()["cases"][case], golden("diffusion_ddim")
    settings = entry["settings"]
    positive = apply_all(call, part, capface, entry["inputs"]["persons"], settings)
    negative = [[nets.tensor(entry["inputs"]["uncond_persons"][-1]["text"]), dict(positive[0][1])]]
    x_t, base = nets.tensor(entry["inputs"]["x"]), nets.base_model()
    steps = torch.from_numpy(want[f"{case}__timesteps"])
    sigmas = base.model.model_sampling.sigmas[torch.cat([steps, torch.zeros(1, dtype=steps.dtype)])]
    unit = (sigmas**2 + 1).sqrt()                      # latents of the host have this many times the reference's size
    latents, clean, counts = [], [], []

    def keep(step, denoised, x, total):
        latents.append(x / unit[step])
        clean.append(denoised)
        counts.append([control.steps.forwards for control in chain(positive[0][1]["control"], part)])
    final = comfy.samplers.sample(base, x_t * unit[0] / sigmas[0], positive, negative, settings["cfg"], x_t.device,
                                  comfy.samplers.sampler_object("ddim"), sigmas, latent_image=torch.zeros_like(x_t), callback=keep,
                                  disable_pbar=True, seed=0)
    latents.append(base.model.process_latent_in(final) / unit[-1])
    nets.assert_close(torch.stack(latents), want[f"{case}__x_inter"], *LATENT, f"{case} latents")
    nets.assert_close(torch.stack(clean), want[f"{case}__pred_x0"], *PRED_X0, f"{case} pred_x0")
    assert counts == [[step + 1] * len(entry["inputs"]["persons"]) for step in range(len(steps))]


def chain(control, part):
    """The CapFace objects of a chain of control objects."""
    while control is not None:
        if isinstance(control, part("nodes.capface.control").CapFaceControl):
            yield control
        control = control.previous_controlnet


def test_ddim_schedule_is_the_hosts(host, golden):
    want, sampling = golden("diffusion_ddim_schedule"), nets.base_model().model.model_sampling
    for steps in (1, 4, 10, 20, 30, 50, 100):
        sigma = sampling.sigmas[torch.from_numpy(want[f"steps{steps}__timesteps"])]
        nets.assert_close(1 / (1 + sigma**2), want[f"steps{steps}__alphas"], 1e-6, 1e-6, f"alphas of {steps} steps")    # float32


@pytest.mark.parametrize(("dtype", "distance"), [(torch.float16, 3e-3), (torch.bfloat16, 3e-2)])
def test_half_precision_stays_near(dtype, distance, capface, part, golden):
    """Distance in rel rms; about eight times the type's rounding (2^-11, 2^-8), which 40 layers in a row add up to."""
    import comfy.ops
    network, want = part("nodes.capface.network"), golden("diffusion_capface_16x16_t601")
    entry = nets.index()["cases"]["capface_16x16_t601"]["inputs"]
    half = network.CapFaceNet(dtype, torch.device("cpu"), comfy.ops.disable_weight_init).requires_grad_(False)
    half.load_state_dict(capface.network.state_dict())
    person = {key: nets.tensor(entry["persons"][0][key]) for key in ("hint", "clip", "id")}
    guided, mask = half.encode_hint(person["hint"])
    shown = network.IdentityContext(half.project(person["clip"], person["id"][:, 0]).to(dtype))
    controls = half(nets.tensor(entry["x"]).to(dtype), guided.to(dtype), torch.tensor([601]),
                    network.FrameContext(shown, torch.tensor([0]), None))
    for index, control in enumerate(controls):
        nets.assert_close(control.float(), want[f"control_{index:02d}"], 1.0, distance, f"{dtype} control {index}")
    assert float((mask - torch.from_numpy(want["mask"])).abs().max()) < distance
