"""A posed head as one binary glTF 2.0 file, with normals: without them a viewer must shade every triangle flat."""
from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pixels import image_of

if TYPE_CHECKING:
    from torch import Tensor

    from .mesh import TexturedMesh

# Numbers of the glTF 2.0 specification.
MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FLOAT, UINT32, VERTICES, INDICES, TRIANGLES = 5126, 5125, 34962, 34963, 4
LINEAR, CLAMP = 9729, 33071
ROUGHNESS = 0.7              # skin: neither chalk nor plastic


def to_glb(mesh: TexturedMesh, index: int = 0) -> bytes:
    """The head `index` of a batch as the content of a .glb file: positions, normals, texture coordinates, its texture as PNG."""
    arrays = {"POSITION": mesh.verts[index], "NORMAL": mesh.normals[index], "TEXCOORD_0": mesh.uvs}
    blocks = [as_bytes(array, "<f4") for array in arrays.values()]
    blocks += [as_bytes(mesh.faces, "<u4"), png(mesh.texture[index])]
    starts = np.cumsum([0, *(_padded(len(block)) for block in blocks)]).tolist()
    views: list[dict[str, Any]] = [{"buffer": 0, "byteOffset": start, "byteLength": len(block)}
                                   for start, block in zip(starts, blocks, strict=False)]
    for view in views[:3]:
        view["target"] = VERTICES
    views[3]["target"] = INDICES
    described = _described(arrays, mesh.faces) | {"bufferViews": views, "buffers": [{"byteLength": starts[-1]}]}
    binary = b"".join(block.ljust(_padded(len(block)), b"\0") for block in blocks)
    text = json.dumps(described, separators=(",", ":")).encode()
    text = text.ljust(_padded(len(text)))                    # JSON is filled up with spaces, the binary part with zeros
    return struct.pack("<3I", MAGIC, VERSION, 28 + len(text) + len(binary)) \
        + struct.pack("<2I", len(text), JSON_CHUNK) + text + struct.pack("<2I", len(binary), BINARY_CHUNK) + binary


def _described(arrays: dict[str, Tensor], faces: Tensor) -> dict[str, Any]:
    """The scene: one mesh with one material; arrays are views 0 to 2, indices view 3, the texture view 4."""
    accessors: list[dict[str, Any]] = [
        {"bufferView": view, "componentType": FLOAT, "count": len(array), "type": f"VEC{array.shape[1]}"}
        for view, array in enumerate(arrays.values())]
    accessors[0] |= {"min": arrays["POSITION"].amin(0).tolist(), "max": arrays["POSITION"].amax(0).tolist()}
    accessors.append({"bufferView": 3, "componentType": UINT32, "count": faces.numel(), "type": "SCALAR"})
    look = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": ROUGHNESS}
    shape = {"attributes": {name: at for at, name in enumerate(arrays)}, "indices": 3, "material": 0, "mode": TRIANGLES}
    return {"asset": {"version": "2.0", "generator": "ComfyUI-CapHuman"}, "scene": 0, "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "head"}], "meshes": [{"primitives": [shape]}], "accessors": accessors,
            "materials": [{"pbrMetallicRoughness": look, "doubleSided": True}], "textures": [{"source": 0, "sampler": 0}],
            "images": [{"bufferView": 4, "mimeType": "image/png"}],
            "samplers": [{"magFilter": LINEAR, "minFilter": LINEAR, "wrapS": CLAMP, "wrapT": CLAMP}]}


def as_bytes(values: Tensor, kind: str) -> bytes:
    """A tensor's numbers as numpy's `kind`, in order."""
    return np.ascontiguousarray(values.cpu().numpy(), dtype=kind).tobytes()


def png(texture: Tensor) -> bytes:
    """[H, W, 3] 0..1 as a PNG file."""
    file = io.BytesIO()
    image_of(texture.movedim(-1, 0)).save(file, "PNG", compress_level=1)       # at every run of a node: speed before size
    return file.getvalue()


def _padded(count: int) -> int:
    """Bytes up to the next multiple of four, where glTF wants every part to begin."""
    return -(-count // 4) * 4
