// The page as an application of its own, which opens while the server is away.

// Whether this page may be one that was kept, as nothing was heard of the server
// yet.
export const maybeKept = () => Boolean(navigator.serviceWorker?.controller);

// Has the files of the page kept (service_worker.js). Browsers allow that to
// secure pages only, and not where they are set to keep nothing.
export async function keepPage() {
  try {
    const registration = await navigator.serviceWorker?.register(new URL("service_worker.js", document.baseURI), { updateViaCache: "none" });
    await registration?.update();
  } catch {
    // Then the page opens only while the server is there.
  }
}
