// Small helpers for building parts of the page. Text is always set as text.

export const byId = (id) => document.getElementById(id);

// make("button", {class: "x", testid: "y", text: "Go", onclick: f}, child, ...)
export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "testid") element.dataset.testid = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
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
};
