// What the page says besides the conversation: which view is seen, the title,
// the notice line, the state of the server in the bar.

import { byId } from "./elements.js";
import { languages, put, text as textOf } from "./texts.js";

export { stored } from "./memory.js";

export function view(name) {
  document.body.dataset.view = name;
}

let shownTitle;
const drawTitle = () => (document.title = shownTitle ? textOf("page_title_with", { text: shownTitle }) : textOf("page_title"));
languages.addEventListener("change", drawTitle);

// Without a text, the page's own.
export function title(text) {
  shownTitle = text;
  drawTitle();
}

export function notice(text, { action, onaction, kind = "info" } = {}) {
  byId("notice").hidden = false;
  byId("notice").dataset.kind = kind;
  put(byId("notice-text"), text);
  const button = byId("notice-action");
  button.hidden = !action;
  put(button, action ?? "");
  button.onclick = () => onaction?.();
}

export function clearNotice(kind) {
  if (kind === undefined || byId("notice").dataset.kind === kind) byId("notice").hidden = true;
}

export function serverStatus(state, text) {
  byId("server-status").dataset.state = state;
  put(byId("server-status"), text);
}
