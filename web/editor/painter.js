/** Pictures of a head alone, transparent around it. One set of buffers serves every view of the page: a picture is used at once. */
import { lightOf, placement, polynomial } from "./head_math.js";
import { Raster, vertexNormals } from "./raster.js";

const canvas = document.createElement("canvas"), raster = new Raster();
let image = null;

/**
 * A head as the server sent it, ready to be painted.
 * @param {object} head HEAD; @param {object} mesh, texture, shape of head_client.js
 */
export function subject(head, mesh, texture, shape) {
  const normals = vertexNormals(shape.verts, mesh.faces, new Float32Array(shape.verts.length));
  return { head, mesh, texture, shape, normals };
}

/**
 * Paints a subject and returns the canvas it is on, which the next painting overwrites.
 * @param {object} of a subject; @param {object} values the node's widgets
 * @param {{look: string, part: {x, y, width, height}}} view part: of the head's picture, in its pixels
 * @param {number[]} size width and height in pixels
 */
export function paint({ head, mesh, texture, shape, normals }, values, { look, part }, [width, height]) {
  raster.resize(width, height, shape.vertices);
  if (image?.width !== width || image.height !== height) {
    image = new ImageData(width, height);
    Object.assign(canvas, { width, height });
  }
  raster.project(shape, normals, placement(head, shape, values), part);
  raster.scan(mesh.faces);
  if (look === "normal") raster.paintNormals(mesh.faces, image.data);
  else raster.paintShaded(mesh, texture, polynomial(lightOf(head, values)), image.data);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
