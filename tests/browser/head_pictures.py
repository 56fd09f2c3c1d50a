"""The editor's renderer by itself in a page: its modules, and messages of the server, without server or frontend."""
from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from caphuman_core.flow import Head
from caphuman_core.head.edit import editor_wire
from caphuman_core.head.edit.widget_values import NEUTRAL
from caphuman_core.head.model.hair import BALD, styles_of
from caphuman_core.head.model.head_model import HeadModel

WEB = Path(__file__).resolve().parents[2] / "web" / "editor"
ORIGIN = "http://editor.test"
# head_client.js alone asks the host; without it, it is still the one that says what a head with some values needs.
REQUEST = """async ([head, values]) => {
    const { verticesRequest, textureCode } = await import('/editor/head_client.js');
    return { shape: verticesRequest(head, values), texture: textureCode(head, values) };
}"""
DRAW = """async ([mesh64, texture64, vertices64, hair64, head, values, width, height, repeats]) => {
    const { placement, lightOf, polynomial } = await import('/editor/head_math.js');
    const { glow } = await import('/editor/highlight.js');
    const { subject } = await import('/editor/painter.js');
    const { Raster } = await import('/editor/raster.js');
    const open = (text) => {
        const buffer = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
        const length = new DataView(buffer).getUint32(0, true);
        let at = 4 + length;
        const next = (Kind, count) => { const array = new Kind(buffer, at, count); at += array.byteLength; return array; };
        return { header: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))), next };
    };
    const m = open(mesh64), t = open(texture64), v = open(vertices64), count = m.header.triangles * 3;
    const Index = m.header.index_bytes === 4 ? Uint32Array : Uint16Array;
    const uvs = m.next(Float32Array, m.header.uvs * 2), gloss = m.next(Float32Array, m.header.vertices);
    const mesh = { vertices: m.header.vertices, uvs, gloss, faces: m.next(Index, count), uvFaces: m.next(Index, count) };
    const texture = { ...t.header, data: t.next(Uint8Array, t.header.width * t.header.height * 3) };
    const levels = v.next(Uint16Array, v.header.vertices * 3), { low, step } = v.header;
    let cap = null;
    if (hair64) {
        const h = open(hair64), n = h.header.vertices, hung = h.header.hung, F = Float32Array;
        cap = { hung, offset: h.next(F, n * 3), place: h.next(F, n * 2), weights: h.next(F, n * hung),
            anchors: h.next(Index, n * hung), faces: h.next(Index, h.header.triangles * 3), along: h.next(Index, n) };
    }
    const shape = { ...v.header, verts: Float32Array.from(levels, (level, i) => low[i % 3] + step[i % 3] * level) };
    const of = subject(head, mesh, texture, shape, cap);
    const raster = new Raster(), shaded = new Uint8ClampedArray(width * height * 4), light = lightOf(head, values);
    const part = { x: 0, y: 0, width: head.width, height: head.height }, times = [];
    raster.resize(width, height, of.verts.length / 3);
    for (let i = 0; i < repeats; i++) {
        const start = performance.now(), place = placement(head, shape, values);
        raster.project({ verts: of.verts, root: shape.root }, of.normals, place, part);
        raster.scan(of.faces);
        raster.paintShaded(of, polynomial(light), glow(light, place.turn), shaded);
        times.push(performance.now() - start);
    }
    const normal = new Uint8ClampedArray(width * height * 4);
    raster.scan(mesh.faces);
    raster.paintNormals(mesh.faces, normal);
    const text = (bytes) => { let out = ''; for (const byte of bytes) out += String.fromCharCode(byte); return btoa(out); };
    times.sort((a, b) => a - b);
    return { shaded: text(shaded), normal: text(normal), milliseconds: times[times.length >> 1], fastest: times[0],
        triangles: of.faces.length / 3 };
}"""


def open_bench(context) -> Any:
    """A page of a playwright browser context that can import the modules of web/editor; the host's own are empty."""
    page = context.new_page()
    page.route(f"{ORIGIN}/editor/*.js", lambda route: route.fulfill(
        body=(WEB / route.request.url.rsplit("/", 1)[1]).read_text(encoding="utf-8"), content_type="text/javascript"))
    page.route(f"{ORIGIN}/scripts/*.js", lambda route: route.fulfill(
        body="export const api = {}, app = {};", content_type="text/javascript"))
    page.route(f"{ORIGIN}/", lambda route: route.fulfill(body="<title>bench</title>", content_type="text/html"))
    page.goto(f"{ORIGIN}/")
    return page


def draw(page, model: HeadModel, head: Head, values: dict[str, Any], expressions: dict[str, float], width: int, height: int,
         repeats: int = 1, hair: str = BALD) -> dict[str, Any]:
    """What the editor shows: shaded and normal as uint8 [H, W, 4], and the median and least time of a redraw, ms."""
    told = editor_wire.head_json(head, model.name)
    request = page.evaluate(REQUEST, [told, {**NEUTRAL, **values, **expressions}])
    asked, skin = ({**told, **part} for part in (request["shape"], {"texture": request["texture"]}))
    messages = [editor_wire.mesh_message(model), editor_wire.texture_message(model, skin),
                editor_wire.vertices_message(editor_wire.EditorModel(model), asked)]
    texts = [base64.b64encode(message).decode() for message in messages]
    texts.append(base64.b64encode(editor_wire.hair_message(model, hair)).decode() if hair in styles_of(model) else "")
    shown = page.evaluate(DRAW, [*texts, told, values, width, height, repeats])
    for name in ("shaded", "normal"):
        shown[name] = np.frombuffer(base64.b64decode(shown[name]), np.uint8).reshape(height, width, 4)
    return shown
