// Keeps the files of the page, so that it opens while the server is away. What the
// server has is preferred: an update arrives with the next visit, and what is kept
// is asked for only when nothing comes. Nothing else is touched: what the server
// answers to v1/ is never kept.

importScripts("version.js"); // self.kyuuPage: {version, files}; a new one is a new worker.

const PATIENCE = 4000; // Milliseconds that a server is waited for that does not answer.
const HOME = new URL("./", location.href);
// Other pages of this origin, and other versions, have their own.
const OURS = `kyuu ${HOME.pathname} `;
const CACHE = `${OURS}${self.kyuuPage.version}`;
const SHELL = new Set([HOME.href, ...self.kyuuPage.files.map((name) => new URL(name, HOME).href)]);

async function keep() {
  const cache = await caches.open(CACHE);
  await cache.addAll([...SHELL].map((url) => new Request(url, { cache: "reload" })));
  // A server that was replaced meanwhile has given some of one and some of another.
  const version = await (await fetch(new URL("version.js", HOME), { cache: "reload" })).text();
  if (version.includes(self.kyuuPage.version)) return;
  await caches.delete(CACHE);
  throw new Error("the server has another version by now");
}

async function forgetOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(OURS) && name !== CACHE) await caches.delete(name);
  }
}

async function answer(request, url) {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    // A proxy says this for a server that is away.
    if (![502, 503, 504].includes(response.status)) return response;
  } catch {
    // Nobody answers.
  }
  return (await (await caches.open(CACHE)).match(url)) ?? Response.error();
}

self.addEventListener("install", (event) => {
  self.skipWaiting(); // The one before has nothing that this one has not.
  event.waitUntil(keep());
});
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = url.hash = ""; // A room and a name change nothing of the page.
  if (request.method === "GET" && SHELL.has(url.href)) event.respondWith(answer(request, url.href));
});
