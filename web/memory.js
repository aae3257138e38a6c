// What the browser remembers for the page.

// Reads, or with a value writes, or with null removes what is remembered.
export const stored = (storage, key, value) => {
  try {
    if (value === undefined) return storage.getItem(key) ?? undefined;
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // Storage may be forbidden; then nothing is remembered.
  }
  return undefined;
};
