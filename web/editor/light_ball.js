/** A ball under the light: drag the light over it. */
import { el, marked } from "./dom.js";
import { polynomial, rig, shadeOf } from "./head_math.js";
import { bounded, DIRECTION, LIGHT, starts } from "./pose_values.js";
import { TEXT } from "./text.js";

const RADIUS = 0.68;                 // of half the canvas; around it is room for lights behind the head
const SIDE = 96;                     // canvas pixels
const MATT = 0.68;                   // of the light that the ball gives back
const DEGREES = 180 / Math.PI;
const KEYS = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] };

/** Direction [x right, y up, z to the viewer] of azimuth and elevation, degrees (caphuman_core/head/light.py). */
export function direction(azimuth, elevation) {
  const a = azimuth / DEGREES, e = elevation / DEGREES;
  return [Math.sin(a) * Math.cos(e), Math.sin(e), Math.cos(a) * Math.cos(e)];
}

/**
 * Azimuth and elevation, degrees, of a point on the ball.
 * @param {number} x right, @param {number} y up, in radii; from radius 1 to 2 the light wanders on behind the head
 */
export function lightAt(x, y) {
  const radius = Math.hypot(x, y), behind = radius > 1;
  const reach = Math.min(1, behind ? Math.max(0, 2 - radius) : radius), scale = radius ? reach / radius : 0;
  const depth = Math.sqrt(Math.max(0, 1 - reach * reach)) * (behind ? -1 : 1);
  const azimuth = Math.atan2(x * scale, depth) * DEGREES, elevation = Math.asin(Math.max(-1, Math.min(1, y * scale))) * DEGREES;
  return { light_azimuth: bounded("light_azimuth", Math.round(azimuth)), light_elevation: bounded("light_elevation", Math.round(elevation)) };
}

export class LightBall {
  #canvas;
  #values = null;
  #actions;
  #drawn = "";

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#canvas = el("canvas", { width: SIDE, height: SIDE, tabindex: 0, role: "slider", class: "caphuman-ball",
      ...marked("ball", TEXT.ballLabel), onpointerdown: (event) => this.#press(event), onpointermove: (event) => this.#move(event),
      onpointerup: () => this.#actions.settle(), onlostpointercapture: () => this.#actions.settle(),
      ondblclick: () => actions.put({ ...starts(DIRECTION), relight: true }), onkeydown: (event) => this.#key(event) });
    this.element = this.#canvas;
  }

  #press(event) {
    if (event.button !== 0 || this.#values?.locked) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#move(event);
  }

  #move(event) {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    const box = this.#canvas.getBoundingClientRect(), half = box.width / 2 * RADIUS;
    const x = (event.clientX - box.left - box.width / 2) / half, y = -(event.clientY - box.top - box.height / 2) / half;
    this.#actions.drag({ ...lightAt(x, y), relight: true });
  }

  #key(event) {
    const step = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
    if (!step || this.#values?.locked) return;
    event.preventDefault();
    event.stopPropagation();
    const { light_azimuth: azimuth, light_elevation: elevation } = this.#values;
    this.#actions.put({ relight: true, light_azimuth: bounded("light_azimuth", azimuth + step[0]),
      light_elevation: bounded("light_elevation", elevation + step[1]) });
  }

  /** @param {object} values the editor's; @param {boolean} locked the light's direction is linked */
  show(values, locked) {
    this.#values = { ...values, locked };
    this.#canvas.setAttribute("aria-valuetext", `${values.light_azimuth}°, ${values.light_elevation}°`);
    this.#canvas.classList.toggle("caphuman-off", !values.relight);
    this.#draw(values);
  }

  #draw(values) {
    const look = JSON.stringify([...LIGHT, "light_colour"].map((name) => values[name]));
    if (look === this.#drawn) return;
    this.#drawn = look;
    const context = this.#canvas.getContext("2d"), middle = SIDE / 2, radius = middle * RADIUS;
    const light = direction(values.light_azimuth, values.light_elevation);
    context.clearRect(0, 0, SIDE, SIDE);
    context.putImageData(shadedBall(polynomial(rig(values))), 0, 0);
    drawLamp(context, middle, radius, light);
  }
}

/** The ball's pixels: a matt white sphere, lit as heads are, with a soft rim. light: head_math.polynomial */
function shadedBall(light) {
  const image = new ImageData(SIDE, SIDE), middle = SIDE / 2, radius = middle * RADIUS;
  for (let row = 0, at = 0; row < SIDE; row += 1) {
    for (let column = 0; column < SIDE; column += 1, at += 4) {
      const x = (column + 0.5 - middle) / radius, y = -(row + 0.5 - middle) / radius, square = x * x + y * y;
      const normal = [x, y, Math.sqrt(Math.max(0, 1 - square))];
      for (let i = 0; i < 3; i += 1) image.data[at + i] = MATT * 255 * shadeOf(light, i * 9, normal);
      image.data[at + 3] = 255 * Math.max(0, Math.min(1, (1 - Math.sqrt(square)) * radius + 0.5));
    }
  }
  return image;
}

const inside = (value) => Math.max(6, Math.min(SIDE - 6, value));

/** The lamp: filled in front of the ball, hollow and outside its rim when behind. */
function drawLamp(context, middle, radius, [x, y, z]) {
  const flat = Math.hypot(x, y), reach = z >= 0 ? 1 : flat > 1e-6 ? (2 - flat) / flat : 0;
  const left = middle + x * reach * radius, top = middle - y * reach * radius;
  context.beginPath();
  context.arc(inside(left), inside(top), 5, 0, 2 * Math.PI);
  context.lineWidth = 2;
  context.strokeStyle = "#1b1b1b";
  context.fillStyle = z >= 0 ? "#ffd34d" : "transparent";
  context.fill();
  context.stroke();
  context.lineWidth = 1.2;
  context.strokeStyle = "#ffd34d";
  context.stroke();
}
