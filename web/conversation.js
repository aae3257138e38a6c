// What is seen of a call: messages, files, and how the two are connected.

import { byId, icon, ICONS, make } from "./elements.js";
import { bytesText, durationText, savedName, timeText, visible, visibleLines } from "./format.js";
import { store } from "./store.js";

const WAYS = {
  host: "local network address",
  srflx: "address seen by the server",
  prflx: "address seen by the other side",
  relay: "relay of the server",
};

export class Conversation {
  constructor() {
    this.log = byId("log");
    // Who reads the end goes on reading it when the panel or a keyboard takes
    // room away.
    this.atEnd = true;
    this.log.addEventListener("scroll", () => (this.atEnd = this.nearEnd()));
    new ResizeObserver(() => this.atEnd && this.scrollToEnd()).observe(this.log);
  }

  nearEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
  }

  scrollToEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.atEnd = true;
  }

  clear() {
    this.log.replaceChildren();
    this.atEnd = true;
    this.links?.forEach((url) => URL.revokeObjectURL(url));
    this.links = [];
    this.showPath(undefined);
  }

  add(element) {
    const follow = this.atEnd;
    this.log.append(element);
    if (follow) this.scrollToEnd();
    return element;
  }

  // A line of ours between the messages.
  note(text) {
    this.add(make("p", { class: "note", testid: "note", text }));
  }

  message(from, text, at) {
    this.add(
      make(
        "div",
        { class: `bubble ${from}`, testid: "chat-message", "data-from": from },
        make("p", { dir: "auto", text: visibleLines(text) }),
        make("time", { text: timeText(at) }),
      ),
    );
  }

  // A card that follows `transfer`. `actions`: {accept, acceptAll, decline,
  // declineAll, cancel}.
  file(transfer, actions) {
    const mine = transfer.direction === "out";
    const bar = make("div", { class: "fill" });
    const track = make(
      "div",
      { class: "track", testid: "file-progress", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": `Progress of ${visible(transfer.name)}` },
      bar,
    );
    const status = make("p", { class: "file-status", testid: "file-status" });
    const buttons = make("div", { class: "row" });
    const card = this.add(
      make(
        "div",
        { class: `bubble file ${mine ? "me" : "peer"}`, testid: "file-card", "data-direction": transfer.direction, "data-name": transfer.name, "data-id": transfer.id },
        make(
          "div",
          { class: "file-head" },
          make("span", { class: "file-icon" }, icon(ICONS.file)),
          make("div", { class: "file-title" }, make("b", { testid: "file-name", title: visible(transfer.name) }, make("bdi", { text: visible(transfer.name) })), make("small", { text: bytesText(transfer.size) })),
        ),
        track,
        status,
        buttons,
      ),
    );
    const button = (text, testid, kind, onclick) => make("button", { class: kind, type: "button", testid, text, onclick });
    let drawn;
    const draw = () => {
      const share = transfer.size > 0 ? transfer.moved / transfer.size : transfer.state === "done" ? 1 : 0;
      card.dataset.state = transfer.state;
      bar.style.setProperty("width", `${(share * 100).toFixed(1)}%`);
      track.setAttribute("aria-valuenow", Math.floor(share * 100));
      track.hidden = !["active", "queued"].includes(transfer.state);
      status.textContent = statusText(transfer);
      if (drawn === transfer.state) return;
      drawn = transfer.state;
      buttons.replaceChildren();
      if (transfer.state === "offered" && !mine) {
        // The first of a batch asks for all of it.
        const all = transfer.heads;
        buttons.append(button("Decline", "file-decline", "plain", actions.decline), button("Accept", "file-accept", all ? "plain" : "primary", actions.accept));
        if (all) {
          buttons.append(
            button(`Decline all ${all.files}`, "file-decline-all", "plain", actions.declineAll),
            button(`Accept all ${all.files} (${bytesText(all.bytes)})`, "file-accept-all", "primary", actions.acceptAll),
          );
        }
      } else if (!transfer.over) {
        buttons.append(button("Cancel", "file-cancel", "plain", actions.cancel));
      } else if (transfer.state === "done") {
        card.dataset.sha256 = transfer.sha256;
        if (transfer.blob) this.showReceived(transfer, card, buttons);
      }
      if (this.atEnd) this.scrollToEnd();
    };
    transfer.addEventListener("change", draw);
    draw();
    if (!mine) this.scrollToEnd();
  }

  showReceived(transfer, card, buttons) {
    const url = URL.createObjectURL(transfer.blob);
    this.links.push(url);
    const link = make("a", { class: "button primary", href: url, download: savedName(transfer.name), testid: "file-save", text: "Save" });
    if (transfer.storedAs) link.addEventListener("click", () => store.saved(transfer.storedAs));
    buttons.append(link);
    if (transfer.blob.type.startsWith("image/")) {
      const image = make("img", { class: "preview", src: url, alt: visible(transfer.name) });
      image.onload = () => this.atEnd && this.scrollToEnd();
      card.prepend(image);
    }
    // It was accepted: save it. Whoever missed it has the button.
    link.click();
  }

  // How the two are connected: Peer.path(), or undefined.
  showPath(path) {
    const panel = byId("panel");
    const set = (id, text) => (byId(id).textContent = text);
    if (!path) {
      delete panel.dataset.way;
      set("way", "not connected");
      for (const id of ["rtt", "local", "remote", "volume", "dtls"]) set(id, "–");
      return;
    }
    panel.dataset.way = path.relayed ? "relayed" : "direct";
    set("way", path.relayed ? "Relayed through the server (still encrypted end to end)" : "Direct, from one to the other");
    set("rtt", path.rtt === undefined ? "–" : `${(path.rtt * 1000).toFixed(path.rtt < 0.01 ? 1 : 0)} ms`);
    const end = ({ type, address, protocol, relayProtocol }) =>
      `${WAYS[type] ?? type}: ${address} ${protocol}${relayProtocol ? ` (to the relay: ${relayProtocol})` : ""}`;
    set("local", end(path.local));
    set("remote", end(path.remote));
    set("volume", `${bytesText(path.sent ?? 0)} / ${bytesText(path.received ?? 0)}`);
    set("dtls", path.dtls ? `DTLS, ${path.dtls.replace("TLS_", "").replaceAll("_", " ")}` : "DTLS");
  }
}

function statusText(transfer) {
  const out = transfer.direction === "out";
  switch (transfer.state) {
    case "offered":
      return out ? "Waiting for an answer" : "Do you want this file?";
    case "waiting":
    case "queued":
      return transfer.comparing ? "Comparing with what is here already" : "Waiting for its turn";
    case "active": {
      if (transfer.comparing) return "Comparing with what is there already";
      if (transfer.moved >= transfer.size) return "Checking";
      const rate = transfer.rate.perSecond;
      const left = durationText(transfer.secondsLeft);
      return `${bytesText(transfer.moved)} of ${bytesText(transfer.size)}${rate > 0 ? ` · ${bytesText(rate)}/s · ${left} left` : ""}`;
    }
    case "done":
      if (out) return `Arrived intact${transfer.resumedAt > 0 ? ` (${bytesText(transfer.resumedAt)} of it were there before)` : ""}`;
      return `Received intact (SHA-256 checked${transfer.resumedAt > 0 ? `; ${bytesText(transfer.resumedAt)} of it were here before` : ""})`;
    case "declined":
      return `Declined${transfer.text ? `: ${transfer.text}` : ""}`;
    case "cancelled":
      return `Cancelled${transfer.text ? ` ${transfer.text}` : ""}${keptText(transfer)}`;
    default:
      return `Failed: ${transfer.text}${keptText(transfer)}`;
  }
}

function keptText({ kept }) {
  return kept > 0 ? `. ${bytesText(kept)} of it are kept for when it is sent again.` : "";
}
