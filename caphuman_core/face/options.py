"""Names that node schemas show. It imports nothing, so that showing them costs no start-up time."""
from __future__ import annotations

FACE_ORDERS = ("largest", "left to right", "top to bottom", "most central", "confidence")
IF_NO_FACE = ("error", "skip", "whole image")
IF_FRAME_WITHOUT_FACE = ("interpolate", "leave empty", "error")
MTCNN_FILES = ("pnet.pt", "rnet.pt", "onet.pt")
