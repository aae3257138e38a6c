// What is seen of a call: messages, files, and how the two are connected.

import { byId, icon, ICONS, make } from "./elements.js";
import { canChoose } from "./folder_choice.js";
import { bytesText, durationText, rateText, rttText, savedName, timeText, visible, visibleLines } from "./format.js";
import { History } from "./history.js";
import { store } from "./store.js";
import { Name, put, text } from "./texts.js";

const CANDIDATES = ["host", "srflx", "prflx", "relay"]; // RFC 8839 section 5.1.

export class Conversation {
  constructor() {
    this.log = byId("log");
    this.history = new History();
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
  note(what) {
    this.add(make("p", { class: "note", testid: "note", text: what }));
  }

  message(from, said, at) {
    this.add(
      make(
        "div",
        { class: `bubble ${from}`, testid: "chat-message", "data-from": from },
        make("p", { dir: "auto", text: visibleLines(said) }),
        make("time", { text: timeText(at) }),
      ),
    );
  }

  // A card that follows `transfer`. `actions`: {accept, acceptAll, acceptInto,
  // decline, declineAll, cancel}.
  file(transfer, actions) {
    const mine = transfer.direction === "out";
    const bar = make("div", { class: "fill" });
    const track = make(
      "div",
      { class: "track", testid: "file-progress", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": text("progress_of", { name: new Name(visible(transfer.name)) }) },
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
          make("div", { class: "file-title" }, make("b", { testid: "file-name", title: visible(transfer.name) }, make("bdi", { text: visible(transfer.name) })), make("small", { text: text("file_size", { size: () => bytesText(transfer.size) }) })),
        ),
        track,
        status,
        buttons,
      ),
    );
    const button = (what, testid, kind, onclick) => make("button", { class: kind, type: "button", testid, text: what, onclick });
    let drawn;
    const draw = () => {
      const share = transfer.size > 0 ? transfer.moved / transfer.size : transfer.state === "done" ? 1 : 0;
      card.dataset.state = transfer.state;
      bar.style.setProperty("width", `${(share * 100).toFixed(1)}%`);
      track.setAttribute("aria-valuenow", Math.floor(share * 100));
      track.hidden = !["active", "queued"].includes(transfer.state);
      put(status, statusText(transfer));
      if (drawn === transfer.state) return;
      drawn = transfer.state;
      buttons.replaceChildren();
      if (transfer.state === "offered" && !mine) {
        // The first of a batch asks for all of it.
        const all = transfer.heads;
        buttons.append(button(text("decline"), "file-decline", "plain", actions.decline), button(text("accept"), "file-accept", all ? "plain" : "primary", actions.accept));
        if (all) {
          buttons.append(
            button(text("decline_all", { count: all.files }), "file-decline-all", "plain", actions.declineAll),
            button(text("accept_all", { count: all.files, size: () => bytesText(all.bytes) }), "file-accept-all", "primary", actions.acceptAll),
          );
        }
        if (canChoose()) {
          buttons.append(button(text(all ? "accept_all_into" : "accept_into"), "file-accept-folder", "plain", () => actions.acceptInto({ all: Boolean(all) })));
        }
      } else if (!transfer.over) {
        buttons.append(button(text("cancel"), "file-cancel", "plain", actions.cancel));
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
    if (transfer.blob.type.startsWith("image/")) {
      const image = make("img", { class: "preview", src: url, alt: visible(transfer.name) });
      image.onload = () => this.atEnd && this.scrollToEnd();
      card.prepend(image);
    }
    if (transfer.saved) return; // It is where it was wanted.
    const link = make("a", { class: "button primary", href: url, download: savedName(transfer.name), testid: "file-save", text: text("save") });
    if (transfer.storedAs) link.addEventListener("click", () => store.saved(transfer.storedAs));
    buttons.append(link);
    // It was accepted: save it. Whoever missed it has the button.
    link.click();
  }

  // How the two are connected: Peer.path(), or undefined; and the number that the
  // other side sees, too, if nobody sits in the middle.
  showPath(path, number) {
    const panel = byId("panel");
    const set = (id, what) => put(byId(id), what);
    if (!path) {
      delete panel.dataset.way;
      set("way", text("way_none"));
      for (const id of ["rtt", "local", "remote", "volume", "dtls", "number"]) set(id, "–");
      this.history.clear();
      return;
    }
    this.history.add(path);
    panel.dataset.way = path.relayed ? "relayed" : "direct";
    set("way", text(path.relayed ? "way_relayed" : "way_direct"));
    set("rtt", path.rtt === undefined ? "–" : text("rtt", { rtt: () => rttText(path.rtt) }));
    set("local", candidateText(path.local));
    set("remote", candidateText(path.remote));
    set("volume", text("volume", { sent: () => bytesText(path.sent ?? 0), received: () => bytesText(path.received ?? 0) }));
    set("number", number ? text("number_compare", { number }) : "–");
    set("dtls", path.dtls ? `DTLS, ${path.dtls.replace("TLS_", "").replaceAll("_", " ")}` : "DTLS");
  }
}

function candidateText({ type, address, protocol, relayProtocol }) {
  const key = CANDIDATES.includes(type) ? `candidate_${type}` : "candidate_unknown";
  const candidate = text(key, { address: text("candidate_address", { address: address ?? text("address_hidden"), protocol }) });
  return relayProtocol ? text("candidate_by", { candidate, protocol: relayProtocol }) : candidate;
}

function statusText(transfer) {
  const out = transfer.direction === "out";
  const sizes = { moved: () => bytesText(transfer.moved), size: () => bytesText(transfer.size) };
  const before = { size: () => bytesText(transfer.resumedAt) };
  switch (transfer.state) {
    case "offered":
      return text(out ? "file_offered" : "file_wanted");
    case "waiting":
    case "queued":
      return text(transfer.comparing ? "file_comparing_here" : "file_waiting");
    case "active": {
      if (transfer.comparing) return text("file_comparing_there");
      if (transfer.moved >= transfer.size) return text("file_checking");
      const { perSecond } = transfer.rate;
      const { secondsLeft } = transfer;
      return perSecond > 0 ? text("file_moving", { ...sizes, rate: () => rateText(perSecond), time: () => durationText(secondsLeft) }) : text("file_moved", sizes);
    }
    case "done":
      if (transfer.saved) {
        const { folder, name } = transfer.saved;
        return text("file_saved", { folder: new Name(visible(folder)), name: new Name(visible(name)) });
      }
      if (transfer.resumedAt > 0) return text(out ? "file_arrived_rest" : "file_received_rest", before);
      return text(out ? "file_arrived" : "file_received");
    case "declined":
      return transfer.text ? text("file_declined_why", { reason: transfer.text }) : text("file_declined");
    case "cancelled":
      return withKept(transfer, transfer.text ? text("file_cancelled_by", { reason: transfer.text }) : text("file_cancelled"));
    default:
      return withKept(transfer, text("file_failed", { reason: transfer.text }));
  }
}

function withKept({ kept }, status) {
  return kept > 0 ? text("file_kept", { status, size: () => bytesText(kept) }) : status;
}
