// Which folder a person wants files in, where the browser lets a page ask (File
// System Access). It is the page's side of folders.js.

import { store } from "./store.js";

const WRITING = { mode: "readwrite" };

export const canChoose = () => typeof globalThis.showDirectoryPicker === "function";

// undefined if nothing was chosen. Throws what the browser says if it lets no
// folder be chosen; it does as long as a click is fresh.
export async function chooseFolder() {
  try {
    return await showDirectoryPicker({ id: "kyuu", ...WRITING });
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    throw error;
  }
}

// The folder in which a part of this version of a file lies, if the page may write
// there; whoever has clicked may be asked.
export async function folderBefore(version) {
  const folder = await store.folderOf(version).catch(() => undefined);
  return folder && (await mayWrite(folder)) ? folder : undefined;
}

export async function mayWrite(folder) {
  try {
    return (await folder.queryPermission(WRITING)) === "granted" || (await folder.requestPermission(WRITING)) === "granted";
  } catch {
    return false; // Nobody has clicked, say.
  }
}
