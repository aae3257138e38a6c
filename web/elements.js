// Small helpers for building parts of the page. Text is always set as text: a Text
// of texts.js, or what a person or a program has chosen.

import { put, putAttribute } from "./texts.js";

export const byId = (id) => document.getElementById(id);

// make("button", {class: "x", testid: "y", text: "Go", onclick: f}, child, ...)
export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") put(element, value);
    else if (name === "testid") element.dataset.testid = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else putAttribute(element, name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

// A stroked icon of 24 by 24 from one path.
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

export const ICONS = {
  file: "M14 3H6v18h12V7zM14 3v4h4",
  up: "M12 20V5M5 12l7-7 7 7",
  down: "M12 4v15M5 12l7 7 7-7",
  check: "M5 13l4 4L19 7",
  cross: "M6 6l12 12M18 6L6 18",
  ban: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM5.6 5.6l12.8 12.8",
  phone: "M6 4h3l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v3a2 2 0 0 1-2 2A15 15 0 0 1 4 6a2 2 0 0 1 2-2z",
  camera: "M5 6h9a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2zM16 11l5-3v8l-5-3",
};
