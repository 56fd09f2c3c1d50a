"""A whole graph in the host's executor: two merged models, a LoRA, two people, an ordinary ControlNet."""
from __future__ import annotations

import importlib

import pytest
import torch

from tools.stand_ins import narrow_nets as nets

KEY = "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_q.weight"


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny networks gain nothing from a second thread and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def stage(pack, host, monkeypatch):
    """Test nodes that put narrow networks into a graph, and a list of the latents that come out."""
    def part(name):
        return importlib.import_module(f"{pack.__name__}.{name}")
    net, control, flow = nets.capface(part("nodes.capface.network")), part("nodes.capface.control"), part("caphuman_core.flow")
    monkeypatch.setitem(part("nodes.capface.base_model").SHAPE, "model_channels", nets.WIDTH)
    capface = control.CapFace(net, part("nodes.host").patcher(net), torch.float32, "narrow")
    models = {name: nets.base_model() for name in ("a", "b")}
    nets.seeded(models["b"].model.diffusion_model, 8)
    other = nets.controlnet(part("caphuman_core.capface.spec"))
    seen: list[torch.Tensor] = []

    def noise(*shape, seed):
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

    class Model:
        INPUT_TYPES = classmethod(lambda cls: {"required": {"which": ("STRING",)}})
        RETURN_TYPES, FUNCTION = ("MODEL",), "make"

        def make(self, which):
            return (models[which],)

    class Lora:
        INPUT_TYPES = classmethod(lambda cls: {"required": {"model": ("MODEL",), "strength": ("FLOAT",)}})
        RETURN_TYPES, FUNCTION = ("MODEL",), "make"

        def make(self, model, strength):
            import comfy.lora
            width = 2 * nets.WIDTH
            lora = {f"{KEY.removesuffix('.weight')}.lora_up.weight": noise(width, 4, seed=1),
                    f"{KEY.removesuffix('.weight')}.lora_down.weight": noise(4, width, seed=2)}
            patches = comfy.lora.load_lora(lora, {KEY.removesuffix(".weight"): KEY})
            assert list(patches) == [KEY]
            model = model.clone()
            assert model.add_patches(patches, strength)
            return (model,)

    class Parts:
        INPUT_TYPES = classmethod(lambda cls: {"required": {"seed": ("INT",)}})
        RETURN_TYPES = ("CONDITIONING", "CAPHUMAN_CAPFACE", "CAPHUMAN_IDENTITY", "CAPHUMAN_HINT", "CONTROL_NET", "IMAGE")
        FUNCTION = "make"

        def make(self, seed):
            shown = torch.ones(1, dtype=torch.bool)
            who = flow.Identity(noise(1, 512, seed=seed), noise(1, 257, 1024, seed=seed), shown, "")
            posed = flow.HeadHint(noise(1, 9, 64, 64, seed=seed), torch.ones(1, 64, 64), shown)
            return [[noise(1, 77, 768, seed=seed), {}]], capface, who, posed, other, noise(1, 64, 64, 3, seed=seed).sigmoid()

    class Sink:
        INPUT_TYPES = classmethod(lambda cls: {"required": {"samples": ("LATENT",)}})
        RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "take", True

        def take(self, samples):
            seen.append(samples["samples"].clone())
            return {}
    from comfy_extras.nodes_model_merging import ModelMergeSimple
    monkeypatch.setitem(host.NODE_CLASS_MAPPINGS, "ModelMergeSimple", ModelMergeSimple)
    for name, node in {"TestModel": Model, "TestLora": Lora, "TestParts": Parts, "TestSink": Sink}.items():
        node.CATEGORY = "test"
        monkeypatch.setitem(host.NODE_CLASS_MAPPINGS, name, node)
    return seen


def graph(**options):
    def node(kind, **inputs):
        return {"class_type": kind, "inputs": inputs}

    def person(number, positive, negative):
        return node("CapHumanApplyCapFace", positive=positive, negative=negative, capface=[number, 1], identity=[number, 2],
                    hint=[number, 3], model=["lora", 0], **{"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0,
                                                            "id_dropout_tau": 0, "mask": "predicted", **options})
    return {
        "a": node("TestModel", which="a"), "b": node("TestModel", which="b"),
        "merge": node("ModelMergeSimple", model1=["a", 0], model2=["b", 0], ratio=0.6),
        "lora": node("TestLora", model=["merge", 0], strength=0.5),
        "1": node("TestParts", seed=1), "2": node("TestParts", seed=2),
        "first": person("1", ["1", 0], ["2", 0]),
        "pose": node("ControlNetApplyAdvanced", positive=["first", 0], negative=["first", 1], control_net=["1", 4], image=["1", 5],
                     strength=0.5, start_percent=0.0, end_percent=1.0),
        "second": person("2", ["pose", 0], ["pose", 1]),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sampler": node("KSampler", model=["lora", 0], seed=3, steps=1, cfg=7.0, sampler_name="euler", scheduler="normal",
                        positive=["second", 0], negative=["second", 1], latent_image=["latent", 0], denoise=1.0),
        "sink": node("TestSink", samples=["sampler", 0]),
    }


@pytest.mark.thorough
def test_merge_lora_two_people_and_a_controlnet_again_and_again(stage, run):
    for _ in range(4):
        result = run(graph())
        assert result["valid"], (result["error"], result["node_errors"])
        assert result["success"], result["messages"]
    assert len(stage) == 4
    assert stage[0].isfinite().all()
    assert all(torch.equal(latent, stage[0]) for latent in stage)
    run(graph(strength=0.5))
    assert not torch.allclose(stage[-1], stage[0], atol=1e-3)


def test_a_refusal_is_one_sentence_and_the_next_run_is_well(stage, run):
    assert run(graph())["success"]
    bad = run(graph(start_percent=0.9, end_percent=0.1))
    assert not bad["success"]
    errors = [data for event, data in bad["messages"] if event == "execution_error"]
    assert errors[0]["exception_message"].strip() == ("start_percent must not be above end_percent, but got 0.9 > 0.1: "
                                                      "lower start_percent or raise end_percent.")
    assert run(graph())["success"]
    assert torch.equal(stage[0], stage[-1])
