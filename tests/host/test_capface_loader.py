"""CapHumanLoadCapFace: every kind of file, full-size shapes; files are small because their tensors share one number."""
from __future__ import annotations

import importlib
import json
import struct
from dataclasses import replace

import pytest
import torch


@pytest.fixture(scope="module")
def part(pack):
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture
def folder(pack, tmp_path):
    """An extra models folder for CapFace, as extra_model_paths adds it."""
    import folder_paths
    folder_paths.add_model_folder_path("capface", str(tmp_path))
    yield tmp_path
    folder_paths.folder_names_and_paths["capface"][0].remove(str(tmp_path))
    folder_paths.filename_list_cache.pop("capface", None)


def tensors(part, prefix="control_model.", dtype=torch.float32):
    """Every parameter filled with a number of its own, so that a swapped one shows."""
    shapes = part("caphuman_core.capface.layout").parameter_shapes()
    filled = {key: torch.full((1,), index / 512, dtype=dtype).expand(shape) for index, (key, shape) in enumerate(shapes.items())}
    return {key if key.startswith(("id_linear", "img_linear")) else prefix + key: value for key, value in filled.items()}


def check(capface, part):
    for index, (key, shape) in enumerate(part("caphuman_core.capface.layout").parameter_shapes().items()):
        value = capface.network.state_dict()[key]
        assert tuple(value.shape) == shape
        assert float(value.flatten()[0]) == float(value.flatten()[-1]) == index / 512, key


@pytest.mark.parametrize(("prefix", "dtype"), [
    ("control_model.", torch.float32), ("", torch.float16), ("control_model.", torch.bfloat16)])
def test_loads_every_prefix_and_float_type(call, part, folder, prefix, dtype):
    torch.save(tensors(part, prefix, dtype), folder / "x.ckpt")
    (capface,) = call("CapHumanLoadCapFace", capface_name="x.ckpt")
    expected = tensors(part, "", dtype)                    # bfloat16 rounds the numbers
    for key, value in capface.network.state_dict().items():
        assert value.flatten()[0].item() == expected[key].flatten()[0].item(), key
    assert capface.dtype == torch.float32                  # the host computes in float32 on a CPU
    assert capface.patcher.model is capface.network
    assert not any(p.requires_grad for p in capface.network.parameters())


def test_loads_a_full_training_checkpoint(call, part, folder):
    others = {"model.diffusion_model.out.2.bias": torch.zeros(4), "first_stage_model.a": torch.zeros(1), "betas": torch.zeros(1000)}
    torch.save({"state_dict": {**tensors(part), **others}, "global_step": 7}, folder / "caphuman.ckpt")
    (capface,) = call("CapHumanLoadCapFace", capface_name="caphuman.ckpt")
    check(capface, part)


def resident():
    """Bytes of this process that are its own, in memory now."""
    import psutil
    return psutil.Process().memory_info().rss


def sparse_safetensors(path, shapes):
    """A safetensors file of zeros whose bytes are a hole in the disk."""
    header, start = {}, 0
    for key, shape in shapes.items():
        stop = start + 2 * int(torch.Size(shape).numel())
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + start)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_only_capface_is_read_into_memory(part, tmp_path, suffix):
    path, other = tmp_path / f"caphuman{suffix}", "model.diffusion_model.big.weight"
    size = 1 << 29                                         # half a gigabyte of float16
    if suffix == ".ckpt":
        torch.save({**tensors(part), other: torch.zeros(size // 2, dtype=torch.float16)}, path)
    else:
        shapes = dict.fromkeys(tensors(part), (8,))
        sparse_safetensors(path, {**shapes, "control_model.input_hint_block.0.weight": (16, 9, 3, 3), other: (size // 2,)})
    before = resident()
    state = part("caphuman_core.capface.keys").read_capface(path)
    grown = resident() - before
    assert len(state) == len(part("caphuman_core.capface.layout").parameter_shapes())
    assert grown < size // 4


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s.pop("control_model.time_embed.0.bias"), "missing: time_embed.0.bias"),
    (lambda s: s.pop("id_linear.weight"), "missing: id_linear.weight"),
    (lambda s: s.update({"control_model.extra.weight": torch.zeros(1)}), "unknown: extra.weight"),
    (lambda s: s.update({"control_model.time_embed.0.bias": torch.zeros(7)}), r"time_embed.0.bias \[7\] instead of \[1280\]"),
    (lambda s: s.update({"control_model.input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)}), "ordinary ControlNet"),
])
def test_a_mismatch_lists_keys_in_one_sentence(call, part, folder, change, words):
    state = tensors(part)
    change(state)
    torch.save(state, folder / "x.ckpt")
    with pytest.raises(part("caphuman_core.check").InputError, match=words) as error:
        call("CapHumanLoadCapFace", capface_name="x.ckpt")
    assert "\n" not in str(error.value)


def test_missing_and_truncated_files(call, part, folder):
    refused = part("caphuman_core.check").InputError
    for name in ("none.ckpt", "../none.ckpt"):
        with pytest.raises(refused, match="models folder 'capface'"):
            call("CapHumanLoadCapFace", capface_name=name)
    torch.save(tensors(part), folder / "cut.ckpt")
    (folder / "cut.ckpt").write_bytes((folder / "cut.ckpt").read_bytes()[:-9000])
    with pytest.raises(refused, match="broken download"):
        call("CapHumanLoadCapFace", capface_name="cut.ckpt")


def test_a_replaced_file_is_loaded_again(pack, host, folder):
    node = host.NODE_CLASS_MAPPINGS["CapHumanLoadCapFace"]
    (folder / "x.ckpt").write_bytes(b"1")
    before = node.fingerprint_inputs("x.ckpt")
    (folder / "x.ckpt").write_bytes(b"22")
    assert node.fingerprint_inputs("x.ckpt") != before


def trained(part, path, **changes):
    """A narrow file as the trainer exports it, with a header that tells where it comes from."""
    about = {"head_model": "built-in", "head_model_fingerprint": "aa11", "base_model": "photo.safetensors", "steps": "12000",
             "licences": '{"CC0-1.0": 300, "": 2}', "weights": "last"}
    metadata = part("caphuman_core.capface.about").About(**{**about, **changes}).metadata()
    spec = replace(part("caphuman_core.capface.spec").SPEC, width=32)
    state = {key: torch.zeros(shape) for key, shape in part("caphuman_core.capface.layout").parameter_shapes(spec).items()}
    part("caphuman_core.files.weights").write_safetensors(path, state, metadata)


def test_a_trained_file_shows_its_head_model(run, host, part, folder, monkeypatch):
    """Executed by the host's own executor, as a prompt: the text goes to the node that is being executed."""
    from server import PromptServer
    trained(part, folder / "mine.safetensors")
    shown = []

    class Server:
        def send_progress_text(self, text, node_id, sid=None):
            shown.append((node_id, text))
    monkeypatch.setattr(PromptServer, "instance", Server(), raising=False)
    prompt = {"7": {"class_type": "CapHumanLoadCapFace", "inputs": {"capface_name": "mine.safetensors"}},
              "8": {"class_type": "PreviewAny", "inputs": {"source": ["7", 0]}}}
    if "PreviewAny" not in host.NODE_CLASS_MAPPINGS:
        from comfy_extras.nodes_preview_any import NODE_CLASS_MAPPINGS
        monkeypatch.setitem(host.NODE_CLASS_MAPPINGS, "PreviewAny", NODE_CLASS_MAPPINGS["PreviewAny"])
    result = run(prompt)
    assert result.get("success"), result
    assert shown == [("7", "head model: built-in;\ntrained: 12,000 steps for photo.safetensors;\n"
                           "photos: CC0-1.0 (300), unknown (2)")]


def test_what_a_file_tells_is_read_safely(part):
    about = part("caphuman_core.capface.about")
    assert not about.about_of({}).known
    assert not about.about_of({"format": "pt", "head_model": "x"}).known
    hostile = about.about_of({"format": "caphuman-capface/1", "head_model": "a\x1b[2J\n" + "b" * 900, "licences": "{broken",
                              "steps": "x"})
    assert "\x1b" not in hostile.shown()
    assert len(hostile.shown()) < 200
    assert hostile.shown().startswith("head model: a?[2J?b")


def test_a_hint_of_another_head_model_is_warned_of_once(call, part, folder, caplog):
    flow = part("caphuman_core.flow")
    trained(part, folder / "mine.safetensors", head_model_fingerprint="bb22")
    (capface,) = call("CapHumanLoadCapFace", capface_name="mine.safetensors")
    torch.save(tensors(part), folder / "plain.ckpt")
    (plain,) = call("CapHumanLoadCapFace", capface_name="plain.ckpt")
    warn = part("nodes.capface.apply").warn_of_another_head

    def hint(mark):
        return flow.HeadHint(torch.zeros(1, 9, 8, 8), torch.zeros(1, 8, 8), torch.ones(1, dtype=torch.bool), mark)
    for silent in ((capface, "bb22"), (capface, ""), (plain, "cc33")):
        warn(silent[0], hint(silent[1]))
    assert not caplog.records
    for _ in range(3):
        warn(capface, hint("cc33"))
    (record,) = caplog.records
    assert "'mine.safetensors' was trained with the head model 'built-in' (bb22), but this hint was drawn with another (cc33)" \
        in record.getMessage()


def test_rendered_hints_carry_their_head_model(call):
    (model,) = call("CapHumanLoadHeadModel", head_model_name="built-in")
    (head,) = call("CapHumanNewHead", head_model=model, width=64, height=64)[:1]
    hint = call("CapHumanRenderHead", head=head, head_model=model, width=64, height=64, rasterizer="torch")[0]
    assert hint.model_fingerprint == model.fingerprint
