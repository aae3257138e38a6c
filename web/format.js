// Numbers and names as people read them.

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

export function bytesText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  let value = bytes;
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000;
    i++;
  }
  return `${i === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[i]}`;
}

export function durationText(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function timeText(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
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

const FIRST = [
  "Amber", "Brave", "Calm", "Coral", "Eager", "Fern", "Gentle", "Golden", "Hazel", "Indigo", "Jade", "Kind",
  "Lunar", "Mellow", "Misty", "Noble", "Olive", "Pearl", "Quick", "Quiet", "Rosy", "Silver", "Sunny", "Velvet",
];
const SECOND = [
  "Badger", "Crane", "Dolphin", "Falcon", "Finch", "Fox", "Gecko", "Heron", "Ibis", "Koala", "Lynx", "Marten",
  "Newt", "Otter", "Panda", "Puffin", "Quail", "Raven", "Robin", "Seal", "Stork", "Swift", "Tapir", "Wren",
];

export function suggestName() {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  return `${pick(FIRST)} ${pick(SECOND)}`;
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
