// What the person says and sends: the line of text, and files that are chosen,
// pasted or dropped.

import { byId } from "./elements.js";
import { bytesText } from "./format.js";
import { putAttribute, text } from "./texts.js";

const CHAT_BYTES = 8000;

// Cuts a text into pieces that the protocol allows.
function* pieces(text) {
  const size = (piece) => new TextEncoder().encode(piece).length;
  let rest = Array.from(text);
  while (rest.length > 0) {
    let take = Math.min(rest.length, CHAT_BYTES);
    while (size(rest.slice(0, take).join("")) > CHAT_BYTES) take = Math.floor(take / 2);
    yield rest.slice(0, take).join("");
    rest = rest.slice(take);
  }
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

export class Composer {
  constructor(calls, conversation) {
    this.calls = calls;
    this.conversation = conversation;
    byId("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.say(byId("message").value.trim());
    });
    byId("attach").addEventListener("click", () => byId("files").click());
    putAttribute(byId("attach"), "title", text("send_files_hint", { size: () => bytesText(1e9) }));
    byId("files").addEventListener("change", () => {
      this.send([...byId("files").files]);
      byId("files").value = "";
    });
    addEventListener("paste", (event) => {
      if (event.clipboardData?.files.length > 0) this.send([...event.clipboardData.files]);
    });
    this.takeDrops();
    addEventListener("beforeunload", (event) => {
      if (calls.current?.transfers?.active) event.preventDefault();
    });
  }

  takeDrops() {
    let dragging = 0;
    const show = (wanted) => (byId("drop").hidden = !(wanted && this.calls.current?.peer?.usable));
    addEventListener("dragenter", (event) => carriesFiles(event) && show(++dragging > 0));
    addEventListener("dragleave", (event) => carriesFiles(event) && show(--dragging > 0));
    addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      dragging = 0;
      show(false);
      this.send([...event.dataTransfer.files]);
    });
  }

  say(text) {
    const peer = this.calls.current?.peer;
    if (!text || !peer) return;
    for (const piece of pieces(text)) {
      const time = Date.now();
      if (!peer.send({ type: "chat", text: piece, time })) return;
      this.conversation.message("me", piece, time);
    }
    byId("message").value = "";
  }

  send(files) {
    const call = this.calls.current;
    if (call?.peer?.usable && files.length > 0) call.transfers.offerAll(files);
  }
}
