"""CLIP score and accuracies: a small CLIP of random weights, saved as the published one is."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from caphuman_bench.lists import load_prompts
from caphuman_bench.plan import PromptEntry
from caphuman_bench.score.prompts import PHRASE, PromptJudge
from caphuman_core.check import InputError

PROMPTS = (PromptEntry("hat", "a photo of a person in a hat", "accessory", ("a hat",)),
           PromptEntry("scarf", "a photo of a person in a scarf", "accessory", ("a scarf",)),
           PromptEntry("beach", "a photo of a person at the sea", "context", ("the sea", "sand")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIP of two small layers; its tokenizer knows single letters."""
    import transformers
    place = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**layers, "vocab_size": len(words), "bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1}
    vision = {**layers, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(place)
    return place


@pytest.fixture
def judge(folder):
    return PromptJudge(folder, PROMPTS)


def seeing(judge, vector):
    """A judge that sees this vector in every picture."""
    judge._embed_pictures = lambda pictures: np.stack([vector] * len(pictures))
    return judge


def test_an_image_that_is_its_prompt_scores_one(judge):
    seeing(judge, judge._text_vectors[0])
    (own, other) = judge.scores([torch.zeros(3, 8, 8)] * 2, ["hat", "scarf"])
    assert own["clip_score"] == pytest.approx(1.0)
    assert (own["prompt_accuracy"], other["prompt_accuracy"]) == (1.0, 0.0)
    assert other["clip_score"] < 1


def test_phrases_count_against_other_prompts_of_the_kind(judge):
    seeing(judge, judge._embed_texts([PHRASE.format("a hat")])[0])
    hat, scarf, beach = judge.scores([torch.zeros(3, 8, 8)] * 3, ["hat", "scarf", "beach"])
    assert (hat["phrase_accuracy"], scarf["phrase_accuracy"]) == (1.0, 0.0)
    assert beach["phrase_accuracy"] is None                 # the only prompt of its kind: nothing to tell it from


def test_a_share_of_the_phrases(folder):
    more = (*PROMPTS, PromptEntry("snow", "a photo of a person in snow", "context", ("snow",)))
    judge = PromptJudge(folder, more)
    sea, sand, snow = judge._embed_texts([PHRASE.format(text) for text in ("the sea", "sand", "snow")])
    between = np.linalg.pinv(np.stack([sea, sand, snow])) @ np.array([3.0, 1.0, 2.0])        # nearest the sea, then snow, then sand
    seeing(judge, between / np.linalg.norm(between))
    assert judge.scores([torch.zeros(3, 8, 8)], ["beach"])[0]["phrase_accuracy"] == 0.5


def test_one_prompt_alone_has_no_accuracy(folder):
    judge = PromptJudge(folder, PROMPTS[:1])
    assert judge.scores([torch.rand(3, 40, 40)], ["hat"])[0]["prompt_accuracy"] is None


def test_the_score_is_the_models_own_cosine(folder, judge):
    import transformers
    picture = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255
    mine = judge.scores([picture], ["scarf"])[0]["clip_score"]
    model, tokens = transformers.CLIPModel.from_pretrained(folder), transformers.CLIPTokenizer.from_pretrained(folder)
    mean, std = (torch.tensor(getattr(judge._images, f"image_{name}")).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        theirs = model(**tokens([PROMPTS[1].text], return_tensors="pt"), pixel_values=((picture - mean) / std)[None])
    # The same float32 arithmetic in another order.
    assert mine == pytest.approx(float((theirs.logits_per_image[0, 0] / model.logit_scale.exp()).detach()), abs=1e-5)


def test_another_clip_is_named_as_such(judge):
    assert "not ViT-L/14" in judge.version


def test_weights_that_lack_a_part_are_refused_and_not_made_up(folder, tmp_path):
    from safetensors.torch import load_file, save_file
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    weights.pop("text_projection.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"text_projection\.weight"):
        PromptJudge(tmp_path, PROMPTS)


@pytest.mark.parametrize("damage", ["none", "empty", "weights"])
def test_a_folder_that_is_no_clip_is_refused(folder, tmp_path, damage):
    place = None if damage == "none" else tmp_path
    if damage == "weights":
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(b"" if file.suffix == ".safetensors" else file.read_bytes())
    with pytest.raises(InputError, match=r"--clip; nothing is downloaded"):
        PromptJudge(place, load_prompts())
