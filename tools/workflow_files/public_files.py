"""Model files that the templates name, where each goes, and what the frontend is told of those that anybody may download."""
from __future__ import annotations

CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
CAPFACE = "caphuman.ckpt"
CLIP_VISION = "clip_vision_vit_l_14.safetensors"
FACENET = "20180402-114759-vggface2.pt"
OPENPOSE = "control_v11p_sd15_openpose_fp16.safetensors"
MEDIAPIPE = "mediapipe_face_fp32.safetensors"
FACE_PARSING = "79999_iter.pth"
STYLES = ("first_style.safetensors", "second_style.safetensors")
LORA = "style_lora.safetensors"
FLAME, DECA = "generic_model.pkl", "deca_model.tar"

# A line of the note on model files, by file.
NEEDED = {
    CHECKPOINT: "`models/checkpoints`: any Stable Diffusion **1.5** checkpoint",
    CAPFACE: f"`models/capface`: `{CAPFACE}`",
    CLIP_VISION: f"`models/clip_vision`: CLIP ViT-L/14 (`{CLIP_VISION}`)",
    FACENET: f"`models/facenet`: `{FACENET}`",
    OPENPOSE: f"`models/controlnet`: `{OPENPOSE}`",
    MEDIAPIPE: f"`models/detection`: `{MEDIAPIPE}`",
    FACE_PARSING: f"`models/face_parsing`: `{FACE_PARSING}`",
    LORA: "`models/loras`: any LoRA for Stable Diffusion 1.5",
    FLAME: "`models/flame`: FLAME's `generic_model.pkl`, `FLAME_texture.npz`, `landmark_embedding.npy`, `head_template.obj`. "
           "Their owners give them after **registration** (flame.is.tue.mpg.de), for non-commercial use; nothing can fetch "
           "them for you",
    DECA: "`models/flame`: `deca_model.tar`, from the DECA project, after the same registration",
}
BASIC = (CHECKPOINT, CAPFACE, CLIP_VISION, FACENET)
ADVICE = ("Missing files are named in red when the graph opens, with a download where there is one. Face detection (MTCNN) and the "
          "built-in head need no download. CapFace was trained on FLAME renders and works best with FLAME files in `models/flame`.")


def downloads(name: str) -> list[dict[str, str]]:
    """[{name, url, directory}] of a model file that a widget names; empty if it has no public download."""
    return []
