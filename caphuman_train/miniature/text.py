"""The text encoder: CLIP's shape with weights that follow from a seed, so that nothing of it is stored and nothing is trained.

The miniature's captions need two things of a text encoder: that each word is told from every other, and that a colour is heard
together with what it stands before ("red shirt"). Random weights in all twelve layers would give that too, but buried in what the
words around make of it; here eleven layers and all MLPs add nothing, and the first layer's attention adds to each word the word
before it, in other directions. The host loads it as the text encoder of any Stable Diffusion 1.5 checkpoint.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

WIDTH, LAYERS, HEADS, TOKENS, WORDS = 768, 12, 12, 77, 49408
PREFIX = "cond_stage_model.transformer.text_model."
PLACES = 64                                      # last numbers of an embedding: where the word stands; the others: which it is
SHARP = 5.0                                      # how much louder than any other place the one before is heard
BEFORE = 0.8                                     # how loud the word before is beside the word itself


def text_weights(seed: int) -> dict[str, Tensor]:
    """All weights by their names in a checkpoint, float16."""
    source = torch.Generator().manual_seed(seed)
    words = torch.randn(WORDS, WIDTH, generator=source)
    words[:, -PLACES:] = 0
    state = {"embeddings.token_embedding.weight": words, "embeddings.position_embedding.weight": _places(),
             "final_layer_norm.weight": torch.ones(WIDTH), "final_layer_norm.bias": torch.zeros(WIDTH)}
    for layer in range(LAYERS):
        state |= {f"encoder.layers.{layer}.{name}": value for name, value in _silent().items()}
    state |= {f"encoder.layers.0.self_attn.{name}.weight": value for name, value in _listening(source).items()}
    return {PREFIX + name: value.half() for name, value in state.items()}


def _angles() -> Tensor:
    """[PLACES / 2] of a step to the next place, so that codes of two places are alike only where they are one."""
    return (torch.arange(PLACES // 2) + 0.5) * (math.pi / (PLACES // 2))


def _places() -> Tensor:
    """[TOKENS, WIDTH]: cosine and sine of each place's angles, in the last numbers."""
    angle = torch.arange(TOKENS)[:, None] * _angles()
    return torch.cat([torch.zeros(TOKENS, WIDTH - PLACES), angle.cos(), angle.sin()], 1)


def _silent() -> dict[str, Tensor]:
    """A layer that adds nothing."""
    state = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        state |= {f"self_attn.{name}.weight": torch.zeros(WIDTH, WIDTH), f"self_attn.{name}.bias": torch.zeros(WIDTH)}
    for name, (out, inner) in {"fc1": (4 * WIDTH, WIDTH), "fc2": (WIDTH, 4 * WIDTH)}.items():
        state |= {f"mlp.{name}.weight": torch.zeros(out, inner), f"mlp.{name}.bias": torch.zeros(out)}
    for name in ("layer_norm1", "layer_norm2"):
        state |= {f"{name}.weight": torch.ones(WIDTH), f"{name}.bias": torch.zeros(WIDTH)}
    return state


def _listening(source: torch.Generator) -> dict[str, Tensor]:
    """Attention whose heads all look at the place before, and carry the word there over into other directions."""
    half, angle = PLACES // 2, _angles()
    key, back = torch.zeros(PLACES, WIDTH), torch.zeros(PLACES, WIDTH)
    key[:, -PLACES:] = torch.eye(PLACES)
    cosine, sine = torch.diag(angle.cos()), torch.diag(angle.sin())
    back[:half, -PLACES:] = torch.cat([cosine, sine], 1)                 # the code of this place, turned back by one step
    back[half:, -PLACES:] = torch.cat([-sine, cosine], 1)
    other = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=source))[0]
    words = torch.eye(WIDTH)
    words[-PLACES:] = 0
    return {"q_proj": (SHARP * back).repeat(HEADS, 1), "k_proj": key.repeat(HEADS, 1), "v_proj": words, "out_proj": BEFORE * other}


class Text:
    """The same encoder, quickly: what the host's CLIP Text Encode gives for a caption, without its silent layers."""

    def __init__(self, seed: int) -> None:
        state = text_weights(seed)
        self._words = state[f"{PREFIX}embeddings.token_embedding.weight"]                # float16: a quarter of the memory
        self._places = state[f"{PREFIX}embeddings.position_embedding.weight"].float()
        self._attention = {name: state[f"{PREFIX}encoder.layers.0.self_attn.{name}.weight"].float()
                           for name in ("q_proj", "k_proj", "v_proj", "out_proj")}

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens: [B, 77] int64, as the host's tokenizer gives them. Returns [B, 77, 768] float32."""
        hidden = self._words[tokens].float() + self._places
        normed = torch.nn.functional.layer_norm(hidden, (WIDTH,))
        queries, keys, values = ((normed @ self._attention[name].T).unflatten(-1, (HEADS, -1)).transpose(1, 2)
                                 for name in ("q_proj", "k_proj", "v_proj"))
        heard = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        hidden = hidden + heard.transpose(1, 2).flatten(2) @ self._attention["out_proj"].T
        return torch.nn.functional.layer_norm(hidden, (WIDTH,))


def host_tokenizer():
    """Captions -> tokens [B, 77], by the host's tokenizer for Stable Diffusion 1.5. A caption is plain text."""
    from caphuman_train.host import part
    part()
    import comfy.sd1_clip
    made = comfy.sd1_clip.SD1Tokenizer()

    def tokens(captions: list[str]) -> Tensor:
        rows = []
        for caption in captions:
            plain = caption.replace("\\", " ").replace("(", "\\(").replace(")", "\\)")
            rows.append([int(token) for token, *_ in made.tokenize_with_weights(plain)["l"][0]])
        return torch.tensor(rows)
    return tokens
