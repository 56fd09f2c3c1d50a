/** Pictures of a head alone, transparent around it. One set of buffers serves every view of the page: a picture is used at once. */
import { facesOf, strandsOf, vertsOf } from "./hair.js";
import { glow } from "./highlight.js";
import { lightOf, placement, polynomial } from "./head_math.js";
import { Raster, vertexNormals } from "./raster.js";

const canvas = document.createElement("canvas"), raster = new Raster();
let image = null;

/**
 * A head as the server sent it, ready to be painted.
 * @param {object} head HEAD; @param {object} mesh, texture, shape of head_client.js; @param {object | null} cap of hair
 */
export function subject(head, mesh, texture, shape, cap) {
  const verts = vertsOf(shape, cap), faces = facesOf(mesh, cap);
  const hair = cap && { place: cap.place, first: mesh.vertices, strands: strandsOf(verts, mesh.vertices, cap) };
  return { head, mesh, texture, shape, verts, faces, hair, normals: vertexNormals(verts, faces, new Float32Array(verts.length)) };
}

/**
 * Paints a subject and returns the canvas it is on, which the next painting overwrites. Normals are CapFace's: without hair.
 * @param {object} of a subject; @param {object} values the node's widgets
 * @param {{look: string, part: {x, y, width, height}}} view part: of the head's picture, in its pixels
 * @param {number[]} size width and height in pixels
 */
export function paint(of, values, { look, part }, [width, height]) {
  const { head, mesh, shape, verts, normals } = of, place = placement(head, shape, values), light = lightOf(head, values);
  raster.resize(width, height, verts.length / 3);
  if (image?.width !== width || image.height !== height) {
    image = new ImageData(width, height);
    Object.assign(canvas, { width, height });
  }
  raster.project({ verts, root: shape.root }, normals, place, part);
  raster.scan(look === "normal" ? mesh.faces : of.faces);
  if (look === "normal") raster.paintNormals(mesh.faces, image.data);
  else raster.paintShaded(of, polynomial(light), glow(light, place.turn), image.data);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
