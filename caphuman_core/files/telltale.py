"""The keys by which weight files are told apart: one table for the loaders, the doctor and convert. It imports nothing."""
from __future__ import annotations

CAPFACE_PREFIX = "control_model."               # of CapFace in a full training checkpoint
MASK_KEY = "mask_predict.0.weight"              # CapFace, and nothing else
HINT_KEY = "input_hint_block.0.weight"          # any ControlNet in the original layout, CapFace too
DIFFUSERS_CONTROLNET_KEY = "controlnet_cond_embedding.conv_in.weight"
CAPFACE_KEYS = frozenset({MASK_KEY, "id_linear.weight", "img_linear.weight"})       # all of them, without the prefix
DECA_PREFIX = "E_flame."                        # of DECA's encoder in deca_model.tar
DECA_KEY = "encoder.conv1.weight"               # of that encoder alone
FACENET_KEY = "block8.conv2d.weight"
FACE_PARSER_KEY = "cp.resnet.conv1.weight"
MTCNN_KEY = "prelu1.weight"
HEAD_MODEL_FAMILY = "caphuman-head/"            # `format` in the metadata of a head model, before its number
HEAD_MODEL_WHOLE, HEAD_MODEL_PACKED = "caphuman-head/1", "caphuman-head/2"      # see head_model.py; both are read
CLIP_IN_CHECKPOINT = "control_cond_stage_model.transformer."
CLIP_KEY = "vision_model.encoder.layers.22.layer_norm1.weight"
DEEPER_CLIP_KEY = "vision_model.encoder.layers.30.layer_norm1.weight"               # larger towers than ViT-L/14
UNET_PREFIX = "model.diffusion_model."
UNET_CONTEXT_KEY = UNET_PREFIX + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"      # its width tells the version
SD1_TEXT_PREFIX = "cond_stage_model.transformer."
