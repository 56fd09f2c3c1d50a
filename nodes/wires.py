"""The pack's socket types, one per object that travels between its nodes."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

CapFace = io.Custom("CAPHUMAN_CAPFACE")                    # nodes.capface_control.CapFace
FaceDetector = io.Custom("CAPHUMAN_FACE_DETECTOR")
FaceParser = io.Custom("CAPHUMAN_FACE_PARSER")
IdentityEncoder = io.Custom("CAPHUMAN_IDENTITY_ENCODER")
HeadModel = io.Custom("CAPHUMAN_HEAD_MODEL")               # caphuman_core.head.model.head_model.HeadModel
HeadFitter = io.Custom("CAPHUMAN_HEAD_FITTER")
Faces = io.Custom("CAPHUMAN_FACES")                        # caphuman_core.flow.Faces
Identity = io.Custom("CAPHUMAN_IDENTITY")                  # caphuman_core.flow.Identity
Head = io.Custom("CAPHUMAN_HEAD")                          # caphuman_core.flow.Head
Keyframes = io.Custom("CAPHUMAN_KEYFRAMES")              # caphuman_core.head.edit.sequence.Keyframes
Hint = io.Custom("CAPHUMAN_HINT")                          # caphuman_core.flow.HeadHint

FaceLandmarks = io.Custom("FACE_LANDMARKS")                # the host's MediaPipe nodes
BoundingBox = io.Custom("BOUNDING_BOX")                    # the host's, as a socket without its widget
Segs = io.Custom("SEGS")                                   # Impact Pack: ((height, width), [SEG with crop_region x1, y1, x2, y2])
