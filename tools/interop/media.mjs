// What tests see of audio and video at pages: the devices that a page holds, the
// pictures and the sound that arrive. The questions are the same for every
// browser and driver: a `page` has evaluate().

import assert from 'node:assert/strict';
import { WAIT } from './browser.mjs';
import { sleep } from './lib.mjs';

// Cameras (a green picture that moves), microphones (beeps), and a screen; nobody
// is asked. The second camera gives depths (Y16), which cannot be sent. Ten
// pictures a second leave a small machine something.
export const FAKE_DEVICES = ['--use-fake-device-for-media-stream=device-count=3,fps=10', '--use-fake-ui-for-media-stream'];
export const FIREFOX_DEVICES = {
  'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true, 'media.navigator.video.default_fps': 10,
};

// Runs in the page before its own scripts: keeps the connections and tracks it
// makes, and counts descriptions. `seen.channels` are those that it opened.
export function watchMedia() {
  const seen = globalThis.seen = { pcs: [], channels: [], tracks: [], asked: [], descriptions: 0 };
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      seen.pcs.push(this);
    }
    createDataChannel(...args) {
      seen.channels.push(super.createDataChannel(...args));
      return seen.channels.at(-1);
    }
    setLocalDescription(...args) {
      seen.descriptions += 1;
      return super.setLocalDescription(...args);
    }
  };
  const devices = navigator.mediaDevices;
  for (const name of ['getUserMedia', 'getDisplayMedia']) {
    const original = devices?.[name]?.bind(devices);
    if (!original) continue;
    devices[name] = async (constraints) => {
      seen.asked.push(constraints);
      const stream = await original(constraints);
      seen.tracks.push(...stream.getTracks());
      return stream;
    };
  }
}

// Asks `question(page, argument)` until it is answered with something true.
export async function until(page, question, argument, what = String(question)) {
  const deadline = Date.now() + WAIT;
  for (;;) {
    const answer = await page.evaluate(question, argument);
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${WAIT} ms: ${what}`);
    await sleep(100);
  }
}

// The device lights that are on: the kinds of tracks that live.
export const lights = (page) => page.evaluate(() =>
  globalThis.seen.tracks.filter((track) => track.readyState === 'live').map((track) => track.kind).sort());

export const asked = (page) => page.evaluate(() => globalThis.seen.asked.length);
export const descriptions = (page) => page.evaluate(() => globalThis.seen.descriptions);

// The pictures of the other side's `source` arrive: they have a size, are not
// black, and change. Returns their mean brightness, 0 to 255.
export async function expectPictures(page, source) {
  const look = async (name) => {
    const video = document.querySelector(`video[data-from=peer][data-source=${name}]`);
    if (!video || video.videoWidth === 0 || video.readyState < 2) return undefined;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [64, 48];
    const paint = canvas.getContext('2d', { willReadFrequently: true });
    const pixels = () => {
      paint.drawImage(video, 0, 0, 64, 48);
      return [...paint.getImageData(0, 0, 64, 48).data].filter((_, i) => i % 4 !== 3);
    };
    const before = pixels();
    const mean = before.reduce((sum, value) => sum + value, 0) / before.length;
    for (let i = 0; i < 40; ++i) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (pixels().filter((value, j) => Math.abs(value - before[j]) > 24).length > 20) return mean > 8 && { mean };
    }
    return undefined;
  };
  return (await until(page, look, source, `pictures of the other side's ${source}`)).mean;
}

export const noPicture = (page, source) =>
  until(page, (name) => !document.querySelector(`video[data-from=peer][data-source=${name}]`), source, `no picture of ${source}`);

// The energy of the sound that has arrived (W3C WebRTC Statistics,
// totalAudioEnergy).
const energy = (page) => page.evaluate(async () => {
  let all = 0;
  for (const report of (await globalThis.seen.pcs.at(-1).getStats()).values()) {
    if (report.type === 'inbound-rtp' && report.kind === 'audio') all += report.totalAudioEnergy ?? 0;
  }
  return all;
});

// Sound arrives, and is played.
export async function expectSound(page) {
  await until(page, () => [...document.querySelectorAll('audio')].some((audio) => !audio.paused && audio.currentTime > 0), undefined, 'sound that is played');
  const before = await energy(page);
  for (const deadline = Date.now() + WAIT; await energy(page) <= before + 1e-5;) {
    assert.ok(Date.now() < deadline, 'no sound arrives');
    await sleep(100);
  }
}

// Nothing is heard for longer than the fake microphone is silent between two
// beeps. What was under way may arrive first.
const SILENCE = 2500;
export async function expectSilence(page) {
  for (let i = 0; i < 8; ++i) {
    const before = await energy(page);
    await sleep(SILENCE);
    if (await energy(page) < before + 1e-7) return;
  }
  assert.fail('sound still arrives');
}

export const expectLights = (page, kinds) => until(page, (wanted) => {
  const live = globalThis.seen.tracks.filter((track) => track.readyState === 'live').map((track) => track.kind).sort();
  return JSON.stringify(live) === wanted;
}, JSON.stringify(kinds), `the lights of ${kinds.join(' and ') || 'nothing'}`);

// No negotiation is under way.
export const expectStable = (page) => until(page, () => {
  const pc = globalThis.seen.pcs.at(-1);
  return pc.signalingState === 'stable' &&
    pc.getTransceivers().every(({ currentDirection }) => currentDirection === 'sendonly' || currentDirection === 'recvonly');
}, undefined, 'a stable connection');
