/** Small helpers for building the editor's elements. */

/**
 * An element. `attributes` whose name starts with "on" are listeners, `class` and others are set as attributes,
 * undefined and false leave them out.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** data-testid and tooltip of one element. */
export const marked = (id, title) => ({ "data-testid": `caphuman-${id}`, title, "aria-label": title });

/** A button that never takes the keyboard focus from the view when it is clicked. */
export function button(id, title, onclick, ...content) {
  return el("button", { type: "button", ...marked(id, title), onclick, onmousedown: (event) => event.preventDefault() }, ...content);
}

const SHAPES = {
  undo: "M6 5 3 8l3 3M3 8h7a3.5 3.5 0 0 1 0 7H7",
  redo: "M12 5l3 3-3 3M15 8H8a3.5 3.5 0 0 0 0 7h3",
  mirror: "M9 2v14M7 5 2 14h5zM11 5l5 9h-5z",
  reset: "M4 4v4h4M4.2 8A5.5 5.5 0 1 1 4 11",
  copy: "M6 6h9v9H6zM3 12V3h9",
  paste: "M6 4H4v12h10V4h-2M6 2.5h6v3H6zM7 9h4M7 12h4",
  inputs: "M3 5h7M14 5h1M3 13h1M8 13h7M12 3v4M6 11v4",
  closeUp: "M3 6V3h3M12 3h3v3M15 12v3h-3M6 15H3v-3M9 5.5a3 3.5 0 1 0 0 7a3 3.5 0 0 0 0-7z",
  points: "M4 5h2v2H4zM12 5h2v2h-2zM8 8.5h2v2H8zM5 13h2v2H5zM11 13h2v2h-2z",
  compare: "M9 2v14M3 4h6M3 14h6M3 4v10M12 4h3v10h-3",
  rename: "M3 15l1-4 8-8 3 3-8 8zM10.5 4.5l3 3",
  delete: "M3 5h12M7 5V3h4v2M5 5l1 10h6l1-10",
};

/** A line drawing of 18 x 18 units. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 18 18");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** Adds the editor's style sheet to the page, once. */
export function addStyle() {
  const href = new URL("./style.css", import.meta.url).href;
  if ([...document.querySelectorAll("link")].some((link) => link.href === href)) return;
  document.head.append(el("link", { rel: "stylesheet", href }));
}
