/** Hair on a head in the view: the same arithmetic as caphuman_core/head/model/hair.py and render/portrait.py. Pure. */

const COLOUR = [0.17, 0.11, 0.075].map((channel) => channel * 255);      // albedo, in levels
const STRANDS = 210 * 6.28318;       // around the head, as an angle
const SHEEN = 0.1;
const STEPS = 4096;                  // of the sine's table, a power of two
const SINES = Float32Array.from({ length: STEPS + 1 }, (_, k) => Math.sin(k / STEPS * 2 * Math.PI));
const cache = new WeakMap();         // faces of the head -> WeakMap: cap -> faces of both

/** Triangles of a head and, after them, of its hair. mesh, cap: see head_client.js */
export function facesOf(mesh, cap) {
  if (!cap) return mesh.faces;
  const known = cache.get(mesh.faces) ?? new WeakMap();
  cache.set(mesh.faces, known);
  if (!known.has(cap)) {
    const faces = new Uint32Array(mesh.faces.length + cap.faces.length);
    faces.set(mesh.faces);
    cap.faces.forEach((vertex, k) => { faces[mesh.faces.length + k] = vertex + mesh.vertices; });
    known.set(cap, faces);
  }
  return known.get(cap);
}

/** Vertices of a posed head and, after them, of its hair, metres. shape: its verts [V*3] and skull, the rotation that its hair follows */
export function vertsOf({ verts, skull }, cap) {
  if (!cap) return verts;
  const { anchors, weights, offset, hung } = cap, all = new Float32Array(verts.length + offset.length), [x, y, z] = skull;
  all.set(verts);
  for (let v = 0, at = verts.length, k = 0; v < offset.length; v += 3, at += 3) {
    for (let n = 0; n < hung; n++, k++) {
      const from = anchors[k] * 3, weight = weights[k];
      all[at] += verts[from] * weight;
      all[at + 1] += verts[from + 1] * weight;
      all[at + 2] += verts[from + 2] * weight;
    }
    const a = offset[v], b = offset[v + 1], c = offset[v + 2];
    all[at] += x[0] * a + x[1] * b + x[2] * c;
    all[at + 1] += y[0] * a + y[1] * b + y[2] * c;
    all[at + 2] += z[0] * a + z[1] * b + z[2] * c;
  }
  return all;
}

/** The way of the strand at each vertex of the hair, metres, before the head's rotation. verts: of vertsOf; first: its first vertex of hair */
export function strandsOf(verts, first, { along }) {
  const out = new Float32Array(along.length * 3);
  along.forEach((next, v) => {
    for (let k = 0; k < 3; k++) out[v * 3 + k] = verts[(first + next) * 3 + k] - verts[(first + v) * 3 + k];
  });
  return out;
}

/** The sine of an angle; Math.sin takes most of a redraw. */
function sine(angle) {
  const at = angle * (STEPS / (2 * Math.PI)), whole = Math.floor(at), k = whole & (STEPS - 1);
  return SINES[k] + (SINES[k + 1] - SINES[k]) * (at - whole);
}

/** Albedo, in levels, at a place of the cap -> three numbers from out[at] on: strands of different tone, darker at the roots. */
export function tint(around, down, out, at) {
  const bent = around * STRANDS + 5 * sine(down * 9 + around * 40);
  const streak = 0.5 + 0.22 * sine(bent) + 0.16 * sine(bent * 2.63 + 1.3) + 0.1 * sine(bent * 0.37 + 4 * down);
  const tone = (0.62 + 0.62 * streak) * (0.72 + 0.28 * Math.min(1, Math.max(0, down * 4)));
  for (let c = 0; c < 3; c++) out[at + c] = COLOUR[c] * tone;
}

/** Light along a strand, in levels. way: cosine between the strand and the highlight's direction; facing: towards the viewer */
export function sheen(way, facing, strength) {
  if (facing <= 0) return 0;
  const across = Math.max(0, 1 - way * way), third = across * across * across, sixth = third * third;
  return SHEEN * 255 * strength * sixth * sixth * facing;
}
