// Microphone, camera and screen of this machine: which ones there are, which one
// was chosen, and in words why one cannot be had.

import { stored } from "./memory.js";
import { list, text } from "./texts.js";

const WORDS = {
  microphone: { name: text("device_microphone"), list: "audioinput", key: "kyuu-microphone" },
  camera: { name: text("device_camera"), list: "videoinput", key: "kyuu-camera" },
  screen: { name: text("device_screen") },
};

// Echo is taken out since the other side is heard by loudspeakers.
const WANTED = {
  microphone: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  camera: { width: { ideal: 1280 }, height: { ideal: 720 } },
};

// `told`, a Text, is for people. `cancelled`: the person thought better of it.
export class DeviceError extends Error {
  constructor(told, { cancelled = false } = {}) {
    super(String(told));
    this.told = told;
    this.cancelled = cancelled;
  }
}

const named = (sources, type) => list(sources.map((source) => WORDS[source].name), type);

// Why `sources` cannot be used; of the error's name alone, since browsers differ
// in the rest (Media Capture and Streams, section "getUserMedia()").
export function inWords(error, sources) {
  const values = { devices: named(sources), either: named(sources, "disjunction"), message: error.message };
  const keys = {
    NotAllowedError: "device_not_allowed",
    NotFoundError: "device_not_found",
    NotReadableError: "device_not_readable",
    AbortError: "device_aborted",
    OverconstrainedError: "device_gone",
    SecurityError: "device_forbidden",
  };
  return text(Object.hasOwn(keys, error.name) ? keys[error.name] : "device_other", values);
}

export function canShareScreen() {
  return Boolean(navigator.mediaDevices?.getDisplayMedia);
}

function devicesOrWhyNot(sources) {
  if (navigator.mediaDevices?.getUserMedia) return navigator.mediaDevices;
  throw new DeviceError(
    text(globalThis.isSecureContext ? "device_unsupported" : "device_insecure", { devices: named(sources) }),
  );
}

export const chosen = (source) => stored(localStorage, WORDS[source].key);

export function choose(source, deviceId) {
  stored(localStorage, WORDS[source].key, deviceId || null);
}

function wish(source, remembered) {
  const deviceId = remembered && chosen(source);
  return { ...WANTED[source], ...(deviceId && { deviceId: { exact: deviceId } }) };
}

async function capture(sources, remembered = true) {
  const devices = devicesOrWhyNot(sources);
  const constraints = {};
  if (sources.includes("microphone")) constraints.audio = wish("microphone", remembered);
  if (sources.includes("camera")) constraints.video = wish("camera", remembered);
  try {
    const stream = await devices.getUserMedia(constraints);
    return new Map(stream.getTracks().map((track) => [track.kind === "audio" ? "microphone" : "camera", track]));
  } catch (error) {
    // One that was chosen another day may be gone.
    const gone = error.name === "OverconstrainedError" || error.name === "NotFoundError";
    if (gone && remembered && sources.some(chosen)) return capture(sources, false);
    throw Object.assign(new DeviceError(inWords(error, sources)), { name: error.name });
  }
}

// Opens microphone, camera or both, and asks the person once. Returns
// {tracks: Map of source to MediaStreamTrack, problem}: with only one of two,
// `problem` says why. Throws a DeviceError if there is none.
export async function open(sources) {
  try {
    return { tracks: await capture(sources) };
  } catch (error) {
    // Who said no to both is not asked for each.
    if (sources.length < 2 || error.name === "NotAllowedError") throw error;
    const tracks = new Map();
    let problem = error;
    for (const source of sources) {
      try {
        for (const [key, track] of await capture([source])) tracks.set(key, track);
      } catch (other) {
        problem = other;
      }
    }
    if (tracks.size === 0) throw error;
    return { tracks, problem: problem.told };
  }
}

// Has the person choose a screen, window or tab. Returns a Map with "screen",
// and "sound" if the browser gives the sound of what is shared.
export async function openScreen() {
  if (!canShareScreen()) devicesOrWhyNot(["screen"]);
  if (!canShareScreen()) throw new DeviceError(text("no_screen_sharing"));
  try {
    // The whole system's sound would have the other side hear itself.
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true, systemAudio: "exclude" });
    const tracks = new Map(stream.getTracks().map((track) => [track.kind === "audio" ? "sound" : "screen", track]));
    // Text shall stay legible when the way is narrow.
    if ("contentHint" in tracks.get("screen")) tracks.get("screen").contentHint = "detail";
    return tracks;
  } catch (error) {
    if (error.name === "NotAllowedError") throw new DeviceError(text("screen_not_shared"), { cancelled: true });
    throw new DeviceError(inWords(error, ["screen"]));
  }
}

// The devices to choose from: [{id, label}]. Without a permission browsers tell
// no labels, and then there is nothing to choose.
export async function choices(source) {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  return all
    .filter(({ kind, deviceId, label }) => kind === WORDS[source].list && deviceId && label)
    .map(({ deviceId, label }) => ({ id: deviceId, label }));
}
