// Numbers and names as people read them, in the language of the page.

import { language, words } from "./texts.js";

// What is shown by nothing, or changes how other characters are shown.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
// Emoji that belong together, which stay as they are.
const EMOJI = /\p{Emoji}\p{Emoji_Modifier}?\ufe0f?(?:\u200d\p{Emoji}\p{Emoji_Modifier}?\ufe0f?)*/u;
const PARTS = new RegExp(`${EMOJI.source}|${HIDDEN.source}`, "gu");

// Text that somebody else has chosen, with control, bidi and invisible
// characters spelt out, so that it cannot look like another text.
export function visible(text) {
  return text.replace(PARTS, (part) =>
    [...part].length === 1 && HIDDEN.test(part) ? `<U+${part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>` : part,
  );
}

// The same for what may have several lines.
export const visibleLines = (text) => text.split(/\r?\n/).map(visible).join("\n");

// The name under which a received file is saved (docs/application_protocol.md,
// "Names").
export const savedName = (name) => name.replace(new RegExp(HIDDEN.source, "gu"), "_").replace(/^\./, "_");

const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

function inUnits(bytes, perSecond) {
  let i = perSecond ? 1 : 0; // "0 bytes per second" is a long word.
  let value = perSecond ? bytes / 1000 : bytes;
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000;
    i++;
  }
  const digits = i === 0 || value >= 99.5 ? 0 : 1;
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: perSecond ? `${units[i]}-per-second` : units[i],
    unitDisplay: i === 0 ? "long" : "short",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

export const bytesText = (bytes) => inUnits(bytes, false);
export const rateText = (bytesPerSecond) => inUnits(bytesPerSecond, true);

const inUnit = (value, unit, digits = 0) =>
  new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "short", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

// A round trip of so many seconds.
export const rttText = (seconds) => inUnit(seconds * 1000, "millisecond", seconds < 0.01 ? 1 : 0);

export function durationText(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return inUnit(Math.max(1, Math.ceil(seconds)), "second");
  if (seconds < 3600) return `${inUnit(Math.floor(seconds / 60), "minute")} ${inUnit(Math.floor(seconds % 60), "second")}`;
  return `${inUnit(Math.floor(seconds / 3600), "hour")} ${inUnit(Math.floor((seconds % 3600) / 60), "minute")}`;
}

export function timeText(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" });
}

// Rate measures bytes per second over the last three seconds.
export class Rate {
  constructor() {
    this.samples = [];
  }
  // `total` bytes have been moved so far.
  add(total, now = performance.now()) {
    this.samples.push([now, total]);
    while (this.samples.length > 2 && now - this.samples[0][0] > 3000) this.samples.shift();
  }
  get perSecond() {
    if (this.samples.length < 2) return 0;
    const [t0, b0] = this.samples[0];
    const [t1, b1] = this.samples[this.samples.length - 1];
    return t1 > t0 ? ((b1 - b0) * 1000) / (t1 - t0) : 0;
  }
}

export function suggestName() {
  const pick = (key) => words(key)[Math.floor(Math.random() * words(key).length)];
  const values = { first: pick("suggested_first"), second: pick("suggested_second") };
  return words("suggested").replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// "ada" -> "ada 2" -> "ada 3".
export function nextName(name) {
  const match = /^(.*) (\d+)$/.exec(name);
  return match ? `${match[1]} ${Number(match[2]) + 1}` : `${name} 2`;
}

// A number that a name always has: colours and places derive from it.
export function hashOf(name) {
  let hash = 2166136261;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
  return hash >>> 0;
}

export function initialsOf(name) {
  const words = name.replace(new RegExp(HIDDEN.source, "gu"), "").trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return letters.map((word) => Array.from(word)[0] ?? "?").join("").toUpperCase();
}
