// What the page says, in the language of who reads it. Each language has one
// table (texts_en.js); its texts have places, "{name}", and where a number
// decides, one form for each plural category that the language has
// (Intl.PluralRules), by the value `count`.

import { stored } from "./memory.js";
import { de } from "./texts_de.js";
import { en } from "./texts_en.js";

const KEY = "kyuu-language";

export const LANGUAGES = {
  en: { name: "English", dir: "ltr", texts: en },
  de: { name: "Deutsch", dir: "ltr", texts: de },
};

// The one that was chosen, else the first that the person's browser names and we
// have.
function preferred() {
  const chosen = stored(globalThis.localStorage, KEY);
  const known = [chosen, ...(globalThis.navigator?.languages ?? []).map((tag) => tag.split("-")[0].toLowerCase())];
  return known.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}

let current = preferred();

// A tag of BCP 47, for Intl.
export const language = () => current;

// The name of a person or a file, in a text: in a <bdi>, so that its direction
// turns nothing else around. Give it as it is to be seen, by visible().
export class Name {
  constructor(text, testid) {
    this.text = text;
    this.testid = testid;
  }
}

// A text by its key, and the values for its places: numbers, strings, names,
// other texts, and functions that return one of these in the language of the
// moment.
export class Text {
  constructor(key, values = {}) {
    this.key = key;
    this.values = values;
  }

  // Its parts: strings and names.
  *parts() {
    const { texts } = LANGUAGES[current];
    const entry = texts[this.key];
    if (entry === undefined) throw new Error(`no text ${this.key}`);
    const form = typeof entry === "string" ? entry : (entry[new Intl.PluralRules(current).select(this.values.count)] ?? entry.other);
    for (const [i, piece] of form.split(/\{(\w+)\}/).entries()) {
      if (i % 2 === 0) yield piece;
      else yield* partsOf(this.values[piece]);
    }
  }

  toString() {
    return [...this.parts()].map((part) => (part instanceof Name ? part.text : part)).join("");
  }

  nodes() {
    return [...this.parts()].filter((part) => part !== "").map((part) => {
      if (!(part instanceof Name)) return part;
      const bdi = document.createElement("bdi");
      bdi.textContent = part.text;
      if (part.testid) bdi.dataset.testid = part.testid;
      return bdi;
    });
  }
}

function* partsOf(value) {
  if (typeof value === "function") yield* partsOf(value());
  else if (value instanceof Text) yield* value.parts();
  else if (value instanceof Name) yield value;
  else if (typeof value === "number") yield new Intl.NumberFormat(current).format(value);
  else yield String(value ?? "");
}

export const text = (key, values) => new Text(key, values);

// "a, b and c"
export const list = (texts, type = "conjunction") => () => new Intl.ListFormat(current, { type }).format(texts.map(String));

// One of the words that a language has for something.
export const words = (key) => LANGUAGES[current].texts[key];

// ------------------------------------------------------------- in the document

// What stands in an element, or in an attribute of it, follows the language.
const ATTRIBUTES = ["title", "aria-label", "placeholder", "content", "alt"];
const said = new WeakMap(); // element -> Map of attribute, or "", to its Text

const mark = (attribute) => `data-text${attribute && `-${attribute}`}`;

function write(element, attribute, what) {
  if (attribute) element.setAttribute(attribute, what);
  else element.replaceChildren(...what.nodes());
}

function remember(element, attribute, what) {
  if (!(what instanceof Text) && !said.has(element)) return;
  const texts = said.get(element) ?? new Map();
  said.set(element, texts);
  if (what instanceof Text) {
    texts.set(attribute, what);
    element.setAttribute(mark(attribute), what.key);
  } else {
    texts.delete(attribute);
    element.removeAttribute(mark(attribute));
  }
}

// Puts a Text, or a string that is the same in every language, into an element.
export function put(element, what) {
  remember(element, "", what);
  if (what instanceof Text) write(element, "", what);
  else element.textContent = what;
}

// The same for an attribute of it.
export function putAttribute(element, attribute, what) {
  remember(element, attribute, what);
  if (what instanceof Text) write(element, attribute, what);
  else element.setAttribute(attribute, what);
}

export function removeAttribute(element, attribute) {
  remember(element, attribute, "");
  element.removeAttribute(attribute);
}

function translate() {
  document.documentElement.lang = current;
  document.documentElement.dir = LANGUAGES[current].dir;
  for (const attribute of ["", ...ATTRIBUTES]) {
    for (const element of document.querySelectorAll(`[${mark(attribute)}]`)) {
      write(element, attribute, said.get(element)?.get(attribute) ?? text(element.getAttribute(mark(attribute))));
    }
  }
}

// "change": the language is another one.
export const languages = new EventTarget();

// Says all in `tag`, which is remembered.
export function speak(tag) {
  current = tag;
  stored(globalThis.localStorage, KEY, tag);
  translate();
  languages.dispatchEvent(new Event("change"));
}

// The control for it.
export function offerLanguages(select) {
  translate();
  for (const [tag, { name }] of Object.entries(LANGUAGES)) {
    const option = new Option(name, tag, false, tag === current);
    option.lang = tag;
    select.append(option);
  }
  select.addEventListener("change", () => speak(select.value));
}
