// What the page says besides the conversation: which view is seen, the title,
// the notice line, the state of the server in the bar; and what the browser
// remembers for it.

import { byId } from "./elements.js";

export function view(name) {
  document.body.dataset.view = name;
}

// Without a text, the page's own.
export function title(text) {
  document.title = text ? `${text} · kyuu` : "kyuu";
}

export function notice(text, { action, onaction, kind = "info" } = {}) {
  byId("notice").hidden = false;
  byId("notice").dataset.kind = kind;
  byId("notice-text").textContent = text;
  const button = byId("notice-action");
  button.hidden = !action;
  button.textContent = action ?? "";
  button.onclick = () => onaction?.();
}

export function clearNotice(kind) {
  if (kind === undefined || byId("notice").dataset.kind === kind) byId("notice").hidden = true;
}

export function serverStatus(state, text) {
  byId("server-status").dataset.state = state;
  byId("server-status").textContent = text;
}

// Reads, or with a value writes, or with null removes what is remembered.
export const stored = (storage, key, value) => {
  try {
    if (value === undefined) return storage.getItem(key) ?? undefined;
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // Storage may be forbidden; then nothing is remembered.
  }
  return undefined;
};
