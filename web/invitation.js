// Asking others to this room: its address, a picture of that for a camera, and
// six digits that the server knows for some minutes. And coming by such digits.

import { byId } from "./elements.js";
import { put, text } from "./texts.js";

const CODES = new URL("v1/codes", document.baseURI);
const DIGITS = /^\d{6}$/;

// What others open to be here: no more than the room.
function link() {
  const url = new URL("./", location.href);
  const room = new URLSearchParams(location.search).get("room");
  if (room) url.searchParams.set("room", room);
  return url.href;
}

async function ask(path, body = "") {
  const response = await fetch(path, { method: "POST", body });
  if (response.ok) return response.json();
  throw Object.assign(new Error(await response.text()), { status: response.status });
}

export class Invitation {
  constructor() {
    byId("invite").addEventListener("toggle", () => this.show());
    byId("invite-code").addEventListener("click", () => this.makeCode());
    byId("invite-copy").addEventListener("click", () => this.copy());
    byId("code-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.come(byId("code").value.replace(/\D/g, ""));
    });
  }

  // The picture is asked for when somebody looks.
  show() {
    if (!byId("invite").open) return;
    const address = link();
    byId("invite-link").textContent = address;
    const picture = byId("invite-qr");
    const source = new URL(`v1/qr.svg?${new URLSearchParams({ link: address })}`, document.baseURI).href;
    if (picture.src !== source) picture.src = source;
  }

  async makeCode() {
    const room = new URLSearchParams(location.search).get("room") ?? "";
    byId("invite-code").disabled = true;
    try {
      const { code, expires_s: seconds } = await ask(CODES, room);
      byId("invite-digits").textContent = `${code.slice(0, 3)} ${code.slice(3)}`;
      byId("invite-digits").dataset.code = code;
      put(byId("invite-status"), text("invite_code_for", { minutes: Math.round(seconds / 60) }));
      clearTimeout(this.expiring);
      this.expiring = setTimeout(() => this.forget(), seconds * 1000);
    } catch (error) {
      put(byId("invite-status"), text(error.status === 429 ? "code_too_many" : "server_unreachable"));
    }
    byId("invite-code").disabled = false;
  }

  forget() {
    byId("invite-digits").textContent = "";
    put(byId("invite-status"), text("invite_code_over"));
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(link());
      put(byId("invite-copy"), text("copied"));
    } catch {
      getSelection().selectAllChildren(byId("invite-link"));
    }
  }

  async come(digits) {
    const error = byId("code-error");
    error.hidden = true;
    const refuse = (key) => {
      put(error, text(key));
      error.hidden = false;
      byId("code").focus();
      byId("code").select();
    };
    if (!DIGITS.test(digits)) {
      refuse("code_six");
      return;
    }
    byId("code-button").disabled = true;
    try {
      const { room } = await ask(`${CODES}/${digits}`);
      const url = new URL(location.href);
      url.searchParams.delete("room");
      if (room) url.searchParams.set("room", room);
      // The same room needs no other page.
      if (url.href === location.href) byId("name").focus();
      else location.assign(url);
    } catch ({ status }) {
      refuse({ 404: "code_unknown", 429: "code_too_many" }[status] ?? "server_unreachable");
    }
    byId("code-button").disabled = false;
  }
}
