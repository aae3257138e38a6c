// Whether this network lets this server's STUN and TURN through, by each way that
// it offers: rows, a light, and a report to copy.

import { byId, make } from "./elements.js";
import { put, text } from "./texts.js";

const WITHIN = 8000;

// How a URL of an RTCIceServer is reached: "udp", "tcp" or "tls".
function transportOf(url) {
  if (url.startsWith("turns:")) return "tls";
  return url.includes("transport=tcp") ? "tcp" : "udp";
}

// {ok, ms, why} of one URL: a candidate of its kind comes, or no error does.
async function tryServer(url, { username, credential }) {
  const isRelay = url.startsWith("turn");
  const pc = new RTCPeerConnection({
    iceServers: [isRelay ? { urls: [url], username, credential } : { urls: [url] }],
    iceTransportPolicy: isRelay ? "relay" : "all",
  });
  const began = performance.now();
  const took = () => Math.round(performance.now() - began);
  let why = "";
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ ok: false, ms: took(), why: why || "no answer" }), WITHIN);
      const end = (ok) => {
        clearTimeout(timer);
        resolve({ ok, ms: took(), why: ok ? "" : why || "no answer" });
      };
      pc.onicecandidateerror = ({ errorCode, errorText }) => { why = `${errorCode} ${errorText}`.trim(); };
      pc.onicecandidate = ({ candidate }) => {
        if (candidate && candidate.type === (isRelay ? "relay" : "srflx")) end(true);
        // An address that no NAT changes is told by its interface only.
        if (!candidate) end(!isRelay && why === "");
      };
      pc.createDataChannel("");
      pc.setLocalDescription().catch((error) => { why = String(error); });
    });
  } finally {
    pc.close();
  }
}

// What all rows together mean: the key of the verdict, and the light.
function judge(rows) {
  const relays = rows.filter(({ isRelay }) => isRelay);
  const works = (transport) => relays.some((row) => row.ok && row.transport === transport);
  if (relays.length === 0) return ["check_none", "yellow"];
  if (works("udp")) return ["check_good", "green"];
  return works("tcp") || works("tls") ? ["check_tcp", "yellow"] : ["check_bad", "red"];
}

export class NetworkCheck {
  constructor(signaling) {
    this.signaling = signaling;
    const check = byId("check");
    check.addEventListener("toggle", () => check.open && this.run());
    byId("check-copy").addEventListener("click", () => this.copy());
  }

  async run() {
    const run = (this.current = {});
    put(byId("check-verdict"), text("check_running"));
    byId("check").dataset.light = "running";
    byId("check-copy").hidden = true;
    const servers = this.signaling.iceServers.flatMap((server) => [server.urls].flat().map((url) => ({ url, server })));
    const rows = await Promise.all(servers.map(async ({ url, server }) => {
      const result = await tryServer(url, server).catch((error) => ({ ok: false, ms: 0, why: String(error) }));
      return { url, isRelay: url.startsWith("turn"), transport: transportOf(url), ...result };
    }));
    if (this.current !== run) return;
    const [verdict, light] = judge(rows);
    byId("check-rows").replaceChildren(...rows.map(({ url, ok, ms, why }) => make(
      "li",
      { testid: "check-row", "data-ok": String(ok) },
      make("bdi", { text: url }),
      make("small", { text: ok ? text("check_ok", { ms: () => ms }) : text("check_failed", { why: () => why }) }),
    )));
    put(byId("check-verdict"), text(verdict));
    byId("check").dataset.light = light;
    this.report = [
      `${new Date().toISOString()} ${location.origin} ${light}`,
      navigator.userAgent,
      ...rows.map(({ url, ok, ms, why }) => `${ok ? "ok    " : "failed"} ${String(ms).padStart(5)} ms ${url} ${why}`.trimEnd()),
    ].join("\n");
    byId("check-copy").hidden = false;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.report);
      put(byId("check-copy"), text("copied"));
    } catch {
      // A page from a plain-HTTP address may not: it is there to be marked.
      byId("check-report").hidden = false;
      byId("check-report").firstElementChild.textContent = this.report;
      getSelection().selectAllChildren(byId("check-report"));
    }
  }
}
