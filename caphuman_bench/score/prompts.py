"""Does an image show what its prompt says: CLIP score, prompt accuracy and phrase accuracy (metrics.py defines them)."""
from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import fail

from ..plan import PromptEntry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

INSTALL = ("put a copy of openai/clip-vit-large-patch14 (config.json, model.safetensors, vocab.json, merges.txt) in a folder and "
           "name it with --clip; nothing is downloaded here")
PHRASE = "a photo of a person, {}"
PAPER = {"patch_size": 14, "hidden_size": 1024, "num_hidden_layers": 24}        # ViT-L/14


class PromptJudge:
    """CLIP with the texts of a plan. version: what exactly it is, for the report."""

    key = "clip"

    def __init__(self, folder: Path | None, prompts: Sequence[PromptEntry], device: str = "cpu") -> None:
        self._model, self._tokens, self._images = _open(folder)
        self._model.to(device)
        self._device, self.version = device, _version(self._model, folder)
        self._row = {prompt.key: number for number, prompt in enumerate(prompts)}
        self._texts = [prompt.text for prompt in prompts]
        self._text_vectors = self._embed_texts(self._texts)                                        # [K, D]
        self._phrases = [(number, phrase) for number, prompt in enumerate(prompts) for phrase in prompt.expects]
        self._phrase_vectors = self._embed_texts([PHRASE.format(phrase) for _, phrase in self._phrases])
        self._kinds = [prompt.kind for prompt in prompts]

    def scores(self, pictures: Sequence[Tensor], keys: Sequence[str]) -> list[dict[str, float | None]]:
        """pictures [3, H, W] of 0..1 and their prompts' keys -> values by metric; None where there is nothing to compare with."""
        vectors = self._embed_pictures(pictures)                                                   # [N, D]
        to_texts, to_phrases = vectors @ self._text_vectors.T, vectors @ self._phrase_vectors.T
        rows = []
        for number, key in enumerate(keys):
            own = self._row[key]
            rows.append({"clip_score": float(to_texts[number, own]), "prompt_accuracy": self._first(to_texts[number], own),
                         "phrase_accuracy": self._phrases_right(to_phrases[number], own)})
        return rows

    def _first(self, cosines: NDArray[np.float64], own: int) -> float | None:
        others = [cosines[i] for i, text in enumerate(self._texts) if text != self._texts[own]]
        return float(cosines[own] > max(others)) if others else None

    def _phrases_right(self, cosines: NDArray[np.float64], own: int) -> float | None:
        mine = [i for i, (number, _) in enumerate(self._phrases) if number == own]
        said = {self._phrases[i][1] for i in mine}
        others = [cosines[i] for i, (number, phrase) in enumerate(self._phrases)
                  if number != own and self._kinds[number] == self._kinds[own] and phrase not in said]
        if not mine or not others:
            return None
        return sum(float(cosines[i] > max(others)) for i in mine) / len(mine)

    def _embed_texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        import numpy as np
        import torch
        if not texts:
            return np.zeros((0, self._model.config.projection_dim))
        longest = self._model.config.text_config.max_position_embeddings
        tokens = self._tokens(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return _unit(self._model.get_text_features(**tokens))

    def _embed_pictures(self, pictures: Sequence[Tensor]) -> NDArray[np.float64]:
        import torch

        from caphuman_core.pixels import image_of
        pixels = self._images(images=[image_of(picture) for picture in pictures], return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return _unit(self._model.get_image_features(pixel_values=pixels["pixel_values"]))


def _unit(features: Any) -> NDArray[np.float64]:
    """Rows of unit length; newer transformers wrap the tensor in an output object."""
    vectors = getattr(features, "pooler_output", features).double().cpu()
    return (vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)).numpy()


def _open(folder: Path | None) -> tuple[Any, Any, Any]:
    if folder is None or not (folder / "config.json").is_file():
        got = "none" if folder is None else f"no config.json in {folder}"
        fail("judge clip", "needs a local folder with CLIP ViT-L/14", got, INSTALL)
    from safetensors import SafetensorError
    try:
        transformers = import_module("transformers")
    except ImportError as error:
        fail("judge clip", "needs the Python package transformers", str(error), "run `pip install transformers`")
    try:
        model, loaded = transformers.CLIPModel.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
        tokens = transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        fail("judge clip", "needs a complete CLIP model", f"a folder that could not be read ({reason})", INSTALL)
    if loaded["missing_keys"]:           # transformers would make them up
        fail("judge clip", "needs a complete CLIP model", f"one without {', '.join(sorted(loaded['missing_keys'])[:3])}", INSTALL)
    model.eval().requires_grad_(False)
    side = model.config.vision_config.image_size
    images = transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return model, tokens, images


def _version(model: Any, folder: Path | None) -> str:
    from caphuman_core.files.weights import fingerprint
    vision = model.config.vision_config
    paper = all(getattr(vision, key) == value for key, value in PAPER.items())
    name = "CLIP ViT-L/14" if paper else f"CLIP, not ViT-L/14 (patch {vision.patch_size}, {vision.num_hidden_layers} layers)"
    mark = fingerprint({"image": model.visual_projection.weight, "text": model.text_projection.weight})
    return f"{name}, {folder.name if folder else ''}, {mark}"
