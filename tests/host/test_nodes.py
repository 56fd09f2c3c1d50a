"""What holds for every node of the pack: its schema, its words, its help, and what loading it costs."""
from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The design's table, as far as it is built: inputs and outputs that graphs rely on, in order.
DESIGN = {
    "CapHumanLoadCapFace": ("capface_name", "CAPHUMAN_CAPFACE"),
    "CapHumanLoadFaceDetector": ("backend model_name", "CAPHUMAN_FACE_DETECTOR"),
    "CapHumanLoadFaceParser": ("model_name", "CAPHUMAN_FACE_PARSER"),
    "CapHumanLoadIdentityEncoder": ("model_name", "CAPHUMAN_IDENTITY_ENCODER"),
    "CapHumanLoadHeadModel": ("head_model_name", "CAPHUMAN_HEAD_MODEL"),
    "CapHumanLoadHeadFitter": ("model_name", "CAPHUMAN_HEAD_FITTER"),
    "CapHumanDetectFaces": ("image detector min_confidence max_faces order if_none", "CAPHUMAN_FACES IMAGE BOUNDING_BOX INT"),
    "CapHumanFacesFromLandmarks": ("*", "CAPHUMAN_FACES"),
    "CapHumanSelectFace": ("faces index", "CAPHUMAN_FACES"),
    "CapHumanParseFace": ("image face_parser", "IMAGE MASK IMAGE"),
    "CapHumanEncodeIdentity": ("image faces identity_encoder clip_vision face_parser", "CAPHUMAN_IDENTITY IMAGE"),
    "CapHumanCombineIdentities": ("identity_a identity_b weight", "CAPHUMAN_IDENTITY"),
    "CapHumanSaveIdentity": ("identity filename_prefix", ""),
    "CapHumanLoadIdentity": ("name", "CAPHUMAN_IDENTITY"),
    "CapHumanCompareIdentity": ("identity_a identity_b", "FLOAT STRING"),
    "CapHumanFitHead": ("image faces head_fitter head_model", "CAPHUMAN_HEAD IMAGE"),
    "CapHumanFitHeadLandmarks": ("image faces head_model", "CAPHUMAN_HEAD IMAGE"),
    "CapHumanNewHead": ("head_model width height", "CAPHUMAN_HEAD"),
    "CapHumanEditHead": ("head head_model yaw_degrees pitch_degrees roll_degrees x y scale * mode", "CAPHUMAN_HEAD IMAGE"),
    "CapHumanRelightHead": ("head *", "CAPHUMAN_HEAD"),
    "CapHumanTransferHead": ("source target position pose expression lighting", "CAPHUMAN_HEAD"),
    "CapHumanBlendHeads": ("head_a head_b frames easing", "CAPHUMAN_HEAD"),
    "CapHumanSaveHead": ("head filename_prefix", ""),
    "CapHumanLoadHead": ("name", "CAPHUMAN_HEAD"),
    "CapHumanRenderHead": ("head head_model width height rasterizer",
                           "CAPHUMAN_HINT IMAGE IMAGE IMAGE MASK IMAGE MESH"),
    "CapHumanApplyCapFace": ("positive negative capface identity hint strength start_percent end_percent id_dropout_tau mask model",
                             "CONDITIONING CONDITIONING"),
}
# Beyond the table.
EXTRA = {"CapHumanRefineHead": ("image faces head head_model skin same_person", "CAPHUMAN_HEAD IMAGE STRING"),
         "CapHumanLoadPhoto": ("image", "IMAGE MASK"), "CapHumanLoadVideo": ("file", "VIDEO"),
         "CapHumanPickHead": ("which head identity", "CAPHUMAN_HEAD CAPHUMAN_IDENTITY INT"),
         "CapHumanLoadCLIPVision": ("capface_name", "CLIP_VISION"), "CapHumanDoctor": ("checksums", "STRING STRING"),
         "CapHumanHeadInRegion": ("x y width height grow side head hint bounding_box mask segs index",
                                  "CAPHUMAN_HEAD CAPHUMAN_HINT BOUNDING_BOX INT INT INT INT INT INT"),
         "CapHumanHeadKeyframe": ("head frame easing keyframes", "CAPHUMAN_KEYFRAMES"),
         "CapHumanHeadsFromVideo": ("detector head_model video images head_fitter", "CAPHUMAN_HEAD IMAGE IMAGE FLOAT")}
# Nodes without which the main graph does not exist.
NEEDED = ("CapHumanLoadCapFace", "CapHumanLoadFaceDetector", "CapHumanLoadIdentityEncoder", "CapHumanLoadHeadModel",
          "CapHumanDetectFaces", "CapHumanEncodeIdentity", "CapHumanFitHeadLandmarks", "CapHumanEditHead", "CapHumanRenderHead",
          "CapHumanApplyCapFace")


@pytest.fixture(scope="module")
def classes(pack):
    """Every node class of the pack by id."""
    return {node.GET_SCHEMA().node_id: node for node in sys.modules[f"{pack.__name__}.nodes"].all_nodes()}


@pytest.fixture(scope="module")
def infos(classes):
    """What /object_info says of each."""
    return {name: node.GET_NODE_INFO_V1() for name, node in classes.items()}


def test_every_needed_node_is_registered_with_the_host(host, classes):
    assert set(NEEDED) <= set(classes)
    assert set(classes) <= set(host.NODE_CLASS_MAPPINGS)


def test_inputs_are_the_parameters_of_execute(classes):
    for name, node in classes.items():
        parameters = inspect.signature(node.execute).parameters
        inputs = {entry.id: entry for entry in node.GET_SCHEMA().inputs}
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            assert name == "CapHumanEditHead", "only the editor's many values travel as one mapping"
            continue
        assert list(parameters) == list(inputs), name
        optional = {key for key, entry in inputs.items() if entry.optional}
        with_default = {key for key, parameter in parameters.items() if parameter.default is not parameter.empty}
        assert optional <= with_default, f"{name}: an optional input may be absent, so execute needs a default for it"


def test_ids_and_sockets_are_the_design_s(infos):
    table = {**DESIGN, **EXTRA}
    assert set(infos) <= set(table), "not in the design's table"
    for name, info in infos.items():
        inputs, outputs = table[name]
        have = [key for kind in ("required", "optional") for key in info["input_order"].get(kind, [])]
        wanted = inputs.split()
        assert [key for key in have if key in wanted] == [key for key in wanted if key != "*"], name
        extra = set(have) - set(wanted) - set(info["input_order"].get("optional", []))
        assert not extra or "*" in wanted, f"{name}: {extra} must be optional"
        assert list(info["output"])[:len(outputs.split())] == outputs.split(), name


def test_every_node_input_and_output_explains_itself(classes):
    complaints = []
    for name, node in classes.items():
        schema = node.GET_SCHEMA()
        complaints += [f"{name}.{entry.id}: no tooltip" for entry in schema.inputs if not (entry.tooltip or "").strip()]
        complaints += [f"{name} -> {out.display_name}: no tooltip" for out in schema.outputs if not (out.tooltip or "").strip()]
        complaints += [f"{name}: no description"] if not schema.description else []
        complaints += [f"{name}: no search aliases"] if not schema.search_aliases else []
        complaints += [f"{name}: category {schema.category}"] if not schema.category.startswith("CapHuman/") else []
        complaints += [f"{name}: display name {schema.display_name}"] if not schema.display_name.startswith("CapHuman ") else []
    assert not complaints, "\n".join(complaints)


def test_every_number_has_a_range_and_a_default_inside(classes):
    for name, node in classes.items():
        for entry in node.GET_SCHEMA().inputs:
            if entry.io_type in ("INT", "FLOAT"):
                assert None not in (entry.min, entry.max), f"{name}.{entry.id}"
                assert entry.min <= entry.default <= entry.max, f"{name}.{entry.id}"


def test_every_node_has_a_help_page_that_names_its_inputs_and_outputs(infos):
    complaints = []
    for name, info in infos.items():
        page = ROOT / "web" / "docs" / f"{name}.md"
        if not page.is_file():
            complaints.append(f"{page.name} is missing")
            continue
        text = page.read_text(encoding="utf-8").lower().replace("_", " ")
        options = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        words = [spec[1].get("display_name") or key if len(spec) > 1 else key for key, spec in options.items()]
        absent = [word for word in (*words, *info["output_name"]) if word.lower().replace("_", " ") not in text]
        complaints += [f"{page.name} does not mention {word}" for word in absent]
        complaints += [f"{page.name} names no common mistake"] if "common mistake" not in text else []
    assert not complaints, "\n".join(complaints)


def test_the_english_texts_are_up_to_date(infos):
    from tools.make_workflows.__main__ import LOCALE, as_text, node_definitions
    assert LOCALE.read_text(encoding="utf-8") == as_text(node_definitions(infos)), "run: python dev.py generate"


def test_every_text_of_the_nodes_is_translated(infos):
    from tools.make_workflows import __main__ as generate
    definitions = generate.node_definitions(infos)
    assert "zh" in generate.translations()
    for language, texts in generate.translations().items():
        missing = generate.untranslated(definitions, texts)
        assert not missing, f"tools/translations/{language}.json lacks: " + "\n".join(sorted(missing))
        assert all(text.strip() for text in texts.values())
        shipped = (generate.LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8")
        assert shipped == generate.as_text(generate.translated(definitions, texts)), "run: python dev.py generate"


def test_the_help_the_frontend_asks_for_first_is_the_same_page():
    for page in (ROOT / "web" / "docs").glob("*.md"):
        copy = page.with_suffix("") / "en.md"
        assert copy.is_file(), "run: python dev.py generate"
        assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8"), "run: python dev.py generate"


def test_every_help_page_shows_a_picture_that_is_there():
    for page in (ROOT / "web" / "docs").glob("*.md"):
        pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        assert pictures, f"{page.name} has no picture"
        for picture in pictures:
            assert (page.parent / picture).is_file(), f"{page.name}: {picture}"


def test_help_is_there_for_no_other_node(classes):
    pages = {path.stem for path in (ROOT / "web" / "docs").glob("*.md")}
    assert pages <= set(classes), "help for nodes that do not exist"


def test_a_missing_model_file_is_one_sentence_at_execution(host, classes):
    """Loaders accept any name, so that the error is the pack's own sentence and not 'value not in list'."""
    for name in ("CapHumanLoadCapFace", "CapHumanLoadIdentityEncoder", "CapHumanLoadHeadModel"):
        node = classes[name]
        (entry,) = [entry for entry in node.GET_SCHEMA().inputs if entry.id.endswith("name")]
        assert node.validate_inputs(**{entry.id: "gone.safetensors"}) is True
        with pytest.raises(ValueError, match=re.escape("gone.safetensors")) as failure:
            node.execute(**{entry.id: "gone.safetensors"})
        assert str(failure.value).endswith(".")
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize(("kind", "named"), [
    ("CapHumanLoadHeadModel", {"head_model_name": "gone.pkl"}), ("CapHumanLoadHead", {"name": "gone.head.safetensors"})])
def test_the_executor_hands_a_missing_file_to_the_node(run, kind, named):
    """The host looks for the override of validation and of the stamp in the node's bases too."""
    made = {"class_type": "CapHumanNewHead", "inputs": {"head_model": ["1", 0], "width": 64, "height": 64}}
    source = "2" if kind == "CapHumanLoadHeadModel" else "1"
    save = {"class_type": "CapHumanSaveHead", "inputs": {"head": [source, 0], "filename_prefix": "x"}}
    result = run({"1": {"class_type": kind, "inputs": named}, "3": save} | ({"2": made} if source == "2" else {}))
    assert result["valid"], result
    assert "gone" in str(result["messages"][-1])


def test_the_pack_names_what_it_is():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")      # Python 3.10 has no reader for it
    section = project.split("[tool.comfy]")[1].split("\n[")[0]
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui"} <= set(re.findall(r"^([\w-]+) *=", section, re.M))
    assert "GNU GENERAL PUBLIC LICENSE" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[a-z0-9_-]+>=[0-9.]+", line), f"not a lower bound: {line}"
    assert not re.search(r"^(torch|opencv|onnxruntime)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)


def test_the_shipped_prompt_uses_only_nodes_that_exist(host, classes):
    for path in (ROOT / "workflows" / "api").glob("*.json"):
        prompt = json.loads(path.read_text(encoding="utf-8"))
        ours = {entry["class_type"] for entry in prompt.values() if entry["class_type"].startswith("CapHuman")}
        assert ours <= set(classes)


def test_loading_the_pack_loads_no_heavy_package(host):
    """In a fresh process, beyond what the host alone has loaded. How long it takes: benchmarks/import_time.py."""
    from benchmarks import import_time
    result, _ = import_time.load_once()
    assert result["loaded"]
    assert not import_time.heavy_modules(result["modules"])
