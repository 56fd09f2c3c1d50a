/**
 * A z-buffer in plain JavaScript, with the rules of caphuman_core/render: nearest face at each pixel centre, both windings, a centre on
 * an edge belongs to no face; normals interpolated and not renormalised, texture bilinear, light evaluated at each pixel.
 */
import { sheen, tint } from "./hair.js";
import { shine } from "./highlight.js";

/** Area-weighted vertex normals, unit length. verts [V*3], faces [F*3] -> out [V*3], which is returned. */
export function vertexNormals(verts, faces, out) {
  out.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = faces[f] * 3, b = faces[f + 1] * 3, c = faces[f + 2] * 3;
    const ux = verts[b] - verts[a], uy = verts[b + 1] - verts[a + 1], uz = verts[b + 2] - verts[a + 2];
    const vx = verts[c] - verts[a], vy = verts[c + 1] - verts[a + 1], vz = verts[c + 2] - verts[a + 2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    out[a] += nx; out[a + 1] += ny; out[a + 2] += nz;
    out[b] += nx; out[b + 1] += ny; out[b + 2] += nz;
    out[c] += nx; out[c + 1] += ny; out[c + 2] += nz;
  }
  for (let v = 0; v < out.length; v += 3) {
    const length = Math.hypot(out[v], out[v + 1], out[v + 2]) || 1;
    out[v] /= length; out[v + 1] /= length; out[v + 2] /= length;
  }
  return out;
}

const NORMAL = 3, SKIN = 6;          // places in Raster.here

/** Buffers that grow to the largest picture; drawing allocates nothing. */
export class Raster {
  here = new Float64Array(9);        // at the pixel being painted: three weights, normal, skin colour

  constructor() {
    this.#take(0);
    this.resize(0, 0, 0);
  }

  #take(pixels) {
    this.depth = new Float32Array(pixels);
    this.face = new Int32Array(pixels);
    this.first = new Float32Array(pixels);               // barycentric weights of the face's first two corners
    this.second = new Float32Array(pixels);
  }

  /** Gets ready for pictures of this size and meshes of so many vertices. */
  resize(width, height, vertices) {
    Object.assign(this, { width, height });
    if (this.face.length < width * height) this.#take(width * height);
    if (this.screen?.length === vertices * 3) return;
    this.screen = new Float64Array(vertices * 3);        // x, y in pixels, z smaller is nearer
    this.turned = new Float32Array(vertices * 3);        // normals
  }

  /**
   * Where everything lies in our picture.
   * @param {{verts: Float32Array, root: number[]}} shape before the global rotation: [V*3] and [3]; normals [V*3]
   * @param {object} place of head_math.placement
   * @param {{x: number, y: number, width: number, height: number}} part of the head's picture, in its pixels, that ours shows
   */
  project({ verts, root }, normals, place, part) {
    const { turn: r, map, depth } = place, { screen, turned } = this, zoomX = this.width / part.width, zoomY = this.height / part.height;
    const [cx, cy, cz] = root;
    for (let v = 0; v < verts.length; v += 3) {
      const x = verts[v] - cx, y = verts[v + 1] - cy, z = verts[v + 2] - cz;
      const X = r[0] * x + r[1] * y + r[2] * z + cx, Y = r[3] * x + r[4] * y + r[5] * z + cy;
      screen[v] = (map[0] * X + map[1] * Y + map[2] - part.x) * zoomX;
      screen[v + 1] = (map[3] * X + map[4] * Y + map[5] - part.y) * zoomY;
      screen[v + 2] = -depth * (r[6] * x + r[7] * y + r[8] * z + cz);
      const nx = normals[v], ny = normals[v + 1], nz = normals[v + 2];
      turned[v] = r[0] * nx + r[1] * ny + r[2] * nz;
      turned[v + 1] = r[3] * nx + r[4] * ny + r[5] * nz;
      turned[v + 2] = r[6] * nx + r[7] * ny + r[8] * nz;
    }
  }

  /** Finds the nearest face at each pixel. */
  scan(faces) {
    this.depth.fill(Infinity, 0, this.width * this.height);
    this.face.fill(-1, 0, this.width * this.height);
    for (let f = 0; f < faces.length; f += 3) this.#triangle(faces, f);
  }

  #triangle(faces, f) {
    const { screen: s, width, height } = this;
    const a = faces[f] * 3, b = faces[f + 1] * 3, c = faces[f + 2] * 3;
    const ax = s[a], ay = s[a + 1], bx = s[b], by = s[b + 1], cx = s[c], cy = s[c + 1];
    const area = (cx - ax) * (by - ay) - (cy - ay) * (bx - ax);
    if (!(Math.abs(area) > 1e-9)) return;                // without surface, or not a number
    const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx) - 0.5)), right = Math.min(width - 1, Math.floor(Math.max(ax, bx, cx) - 0.5));
    const top = Math.max(0, Math.ceil(Math.min(ay, by, cy) - 0.5)), bottom = Math.min(height - 1, Math.floor(Math.max(ay, by, cy) - 0.5));
    const az = s[a + 2], bz = s[b + 2], cz = s[c + 2], inverse = 1 / area;
    const stepA = (cy - by) * inverse, stepB = (ay - cy) * inverse;
    for (let y = top; y <= bottom; y++) {
      const py = y + 0.5, px = left + 0.5;
      let wa = ((px - bx) * (cy - by) - (py - by) * (cx - bx)) * inverse, wb = ((px - cx) * (ay - cy) - (py - cy) * (ax - cx)) * inverse;
      for (let x = left, at = y * width + left; x <= right; x++, at++, wa += stepA, wb += stepB) {
        const wc = 1 - wa - wb;
        if (!(wa > 0 && wb > 0 && wc > 0)) continue;
        const z = wa * az + wb * bz + wc * cz;
        if (z >= this.depth[at]) continue;
        this.depth[at] = z;
        this.face[at] = f;
        this.first[at] = wa;
        this.second[at] = wb;
      }
    }
  }

  /** Normals as colours, 0..1 = -1..1; what is not covered becomes transparent. pixels: RGBA bytes. */
  paintNormals(faces, pixels) {
    const { face, here } = this;
    pixels.fill(0);
    for (let i = 0, at = 0; at < pixels.length; i++, at += 4) {
      if (face[i] < 0) continue;
      this.#look(i, faces);
      for (let c = 0; c < 3; c++) pixels[at + c] = (here[NORMAL + c] * 0.5 + 0.5) * 255;
      pixels[at + 3] = 255;
    }
  }

  /**
   * Albedo times light, highlights on top. light: head_math.polynomial, glow: of highlight.js.
   * of: mesh: faces, uvs, uvFaces, gloss; texture: { width, height, data RGB bytes, row 0 at v = 1 }; faces: the mesh's and then the hair's; hair or null
   */
  paintShaded({ mesh, texture, faces, hair }, light, glow, pixels) {
    const { face, here } = this, skin = mesh.faces.length;
    pixels.fill(0);
    for (let i = 0, at = 0; at < pixels.length; i++, at += 4) {
      if (face[i] < 0) continue;
      this.#look(i, faces);
      const more = face[i] < skin ? this.#skin(mesh, face[i], texture, glow) : this.#strand(hair, faces, face[i], glow);
      const nx = here[NORMAL], ny = here[NORMAL + 1], nz = here[NORMAL + 2];
      for (let c = 0, k = 0; c < 3; c++, k += 9) {
        const shade = light[k] + nx * (light[k + 1] + light[k + 4] * ny + light[k + 5] * nz + light[k + 7] * nx)
          + ny * (light[k + 2] + light[k + 6] * nz - light[k + 7] * ny) + nz * (light[k + 3] + light[k + 8] * nz);
        pixels[at + c] = here[SKIN + c] * shade + more;
      }
      pixels[at + 3] = 255;
    }
  }

  /** Weights and normal at a covered pixel -> here. */
  #look(i, faces) {
    const { turned: n, here } = this, f = this.face[i], a = faces[f] * 3, b = faces[f + 1] * 3, c = faces[f + 2] * 3;
    const wa = this.first[i], wb = this.second[i], wc = 1 - wa - wb;
    here[0] = wa;
    here[1] = wb;
    here[2] = wc;
    here[NORMAL] = n[a] * wa + n[b] * wb + n[c] * wc;
    here[NORMAL + 1] = n[a + 1] * wa + n[b + 1] * wb + n[c + 1] * wc;
    here[NORMAL + 2] = n[a + 2] * wa + n[b + 2] * wb + n[c + 2] * wc;
  }

  /** The texture's colour, bilinear, at the weights that are here -> here; the highlight's levels are returned. */
  #skin({ faces, gloss, uvs, uvFaces }, f, { width, height, data }, glow) {
    const { here } = this, a = uvFaces[f] * 2, b = uvFaces[f + 1] * 2, c = uvFaces[f + 2] * 2, wa = here[0], wb = here[1], wc = here[2];
    const u = (uvs[a] * wa + uvs[b] * wb + uvs[c] * wc) * width - 0.5;
    const v = (1 - (uvs[a + 1] * wa + uvs[b + 1] * wb + uvs[c + 1] * wc)) * height - 0.5;
    const u0 = Math.max(0, Math.min(width - 1, Math.floor(u))), v0 = Math.max(0, Math.min(height - 1, Math.floor(v)));
    const u1 = Math.min(width - 1, u0 + 1), v1 = Math.min(height - 1, v0 + 1), fu = u - u0, fv = v - v0;
    const p = (v0 * width + u0) * 3, q = (v0 * width + u1) * 3, r = (v1 * width + u0) * 3, s = (v1 * width + u1) * 3;
    for (let k = 0; k < 3; k++) {
      const upper = data[p + k] + (data[q + k] - data[p + k]) * fu, lower = data[r + k] + (data[s + k] - data[r + k]) * fu;
      here[SKIN + k] = upper + (lower - upper) * fv;
    }
    const wet = gloss[faces[f]] * wa + gloss[faces[f + 1]] * wb + gloss[faces[f + 2]] * wc;
    return wet > 0 ? glow.strength * shine(this.#cosine(glow.half), wet) : 0;
  }

  /** Between the normal that is here and a direction. */
  #cosine([x, y, z]) {
    const { here } = this, nx = here[NORMAL], ny = here[NORMAL + 1], nz = here[NORMAL + 2];
    return (nx * x + ny * y + nz * z) / Math.sqrt(nx * nx + ny * ny + nz * nz);
  }

  /** The colour of hair at the weights that are here -> here; the levels of its sheen are returned. */
  #strand({ place, strands, first }, faces, f, { own: [x, y, z], strength }) {
    const { here } = this, a = faces[f] - first, b = faces[f + 1] - first, c = faces[f + 2] - first, wa = here[0], wb = here[1], wc = here[2];
    tint(around(place[a * 2], place[b * 2], place[c * 2], here), place[a * 2 + 1] * wa + place[b * 2 + 1] * wb + place[c * 2 + 1] * wc, here, SKIN);
    const sx = strands[a * 3] * wa + strands[b * 3] * wb + strands[c * 3] * wc;
    const sy = strands[a * 3 + 1] * wa + strands[b * 3 + 1] * wb + strands[c * 3 + 1] * wc;
    const sz = strands[a * 3 + 2] * wa + strands[b * 3 + 2] * wb + strands[c * 3 + 2] * wc;
    const way = (sx * x + sy * y + sz * z) / Math.max(1e-12, Math.sqrt(sx * sx + sy * sy + sz * sz));
    return sheen(way, here[NORMAL + 2], strength);
  }
}

/** A place around the head between three, without the jump from 1 to 0. */
function around(a, b, c, weights) {
  const wraps = Math.max(a, b, c) - Math.min(a, b, c) > 0.5;
  const mixed = (at) => (wraps && at < 0.5 ? at + 1 : at);
  return mixed(a) * weights[0] + mixed(b) * weights[1] + mixed(c) * weights[2];
}
