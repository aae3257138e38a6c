// How the connection was over the last two minutes: its round trip, its rate and
// its way, as a picture, and in words for who cannot see it.

import { byId } from "./elements.js";
import { durationText, rateText, rttText } from "./format.js";
import { put, text } from "./texts.js";

const KEPT = 120; // Samples, of a second each.
const WIDTH = KEPT - 1; // Of the picture, in its own units...
const HEIGHT = 40; // ...of which the line uses all but what would be cut off.
const EDGE = 1.5;

const most = (values) => Math.max(...values);

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.samples = []; // {at, rtt, moved, rate, relayed}; rtt in seconds, at in milliseconds.
    byId("history").hidden = true;
  }

  // Takes what Peer.path() says at `now` milliseconds.
  add({ rtt, sent = 0, received = 0, relayed }, now = performance.now()) {
    const moved = sent + received;
    const last = this.samples.at(-1);
    const seconds = last ? (now - last.at) / 1000 : 0;
    // Another way counts its own bytes from nothing.
    const rate = seconds > 0 && moved >= last.moved ? (moved - last.moved) / seconds : 0;
    this.samples.push({ at: now, rtt, moved, rate, relayed });
    if (this.samples.length > KEPT) this.samples.shift();
    if (this.samples.length > 1) this.draw();
  }

  draw() {
    const { samples } = this;
    byId("history").hidden = false;
    // The newest at the end.
    const x = (i) => WIDTH - (samples.length - 1 - i);
    const y = (value, top) => HEIGHT - EDGE - (value / top) * (HEIGHT - 2 * EDGE);
    const rates = samples.map(({ rate }) => rate);
    const trips = samples.map(({ rtt }) => rtt).filter((rtt) => rtt !== undefined);
    const topRate = Math.max(most(rates), 1);
    const topTrip = trips.length > 0 ? Math.max(most(trips), 0.001) : 1;
    const area = samples.map(({ rate }, i) => `L${x(i)} ${y(rate, topRate).toFixed(2)}`).join("");
    byId("history-rate-area").setAttribute("d", `M${x(0)} ${HEIGHT}${area}L${WIDTH} ${HEIGHT}Z`);
    const points = samples.map(({ rtt }, i) => rtt !== undefined && `${x(i)},${y(rtt, topTrip).toFixed(2)}`).filter(Boolean);
    byId("history-rtt-line").setAttribute("points", points.join(" "));
    const relayed = samples.map((sample, i) => (sample.relayed ? `M${x(i) - 0.5} ${HEIGHT - EDGE}h1` : "")).join("");
    byId("history-relayed-line").setAttribute("d", relayed);
    this.say(rates, trips);
  }

  say(rates, trips) {
    const { samples } = this;
    const [rate, trip] = [rates.at(-1), trips.at(-1)];
    const seconds = (samples.at(-1).at - samples[0].at) / 1000;
    const trend = { now: () => rttText(trip), least: () => rttText(Math.min(...trips)), most: () => rttText(most(trips)) };
    put(byId("history-rtt"), trips.length > 0 ? text("history_rtt", trend) : text("history_no_rtt"));
    put(byId("history-rate"), text("history_rate", { now: () => rateText(rate), most: () => rateText(most(rates)) }));
    const changes = samples.filter(({ relayed }, i) => i > 0 && relayed !== samples[i - 1].relayed).length;
    const key = changes > 0 ? "history_way_changed" : samples[0].relayed ? "history_relayed" : "history_direct";
    put(byId("history-way"), text(key, { count: changes, time: () => durationText(seconds) }));
  }
}
