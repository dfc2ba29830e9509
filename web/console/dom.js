// Builds elements. Text from strangers only ever becomes text, never markup.

export const $ = (id) => document.getElementById(id);

export const el = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return node;
};

const SVG = "http://www.w3.org/2000/svg";

export const icon = (name) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
};

/** A name, kept from turning the text around it. */
export const name = (text, props = {}) => el("bdi", { text, ...props });

/** A phrase is a list of texts and of `{ name }`; here as nodes, with each name kept to itself. */
export const words = (phrase) => phrase.map((part) => (typeof part === "string" ? part : name(part.name)));

const TURNS = /[\u202A-\u202E\u2066-\u2069]/gu;
const LATIN = /^[\x20-\x7E]*$/u;

/** A name where no element keeps it to itself, as in a title: without what turns text around, and isolated. */
export const alone = (text) => {
  const still = text.replace(TURNS, "");
  return LATIN.test(still) ? still : `\u2068${still}\u2069`;
};

export const plain = (phrase) => phrase.map((part) => (typeof part === "string" ? part : alone(part.name))).join("");

/** Writes a phrase that may be cut off, with its full text for whoever points at it. */
export const setPhrase = (node, phrase) => {
  const text = plain(phrase);
  if (node.title === text) return;
  node.title = text;
  node.replaceChildren(...phrase.map((part) => el(part.name === undefined ? "span" : "bdi", { text: part.name ?? part })));
};

const LIST = new Intl.ListFormat("en", { type: "conjunction" });

/** "Ada and Grace", as a phrase. */
export const listed = (names) => LIST.formatToParts(names).map(({ type, value }) => (type === "element" ? { name: value } : value));

/** The moving dots, for the eye only: who types is said in text beside them. */
export const dots = () => el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));

/** Writes only what changed, so that nothing flickers and no selection is lost. */
export const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/** A name in full, for whoever points at where it is cut off. */
export const setTitle = (node, text) => {
  const title = alone(text);
  if (node.title !== title) node.title = title;
};

export const show = (node, visible) => {
  if (node.hidden === visible) node.hidden = !visible;
};

/** Makes the children of a list be these nodes in this order, moving as few as it can. */
export const arrange = (parent, nodes) => {
  const focused = parent.contains(document.activeElement) ? document.activeElement : undefined;
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
};

const letters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** What stands in an avatar: a letter where there is one, the last two digits of a phone number. */
export const initial = (text) => {
  if (/^\+?[\d\s]+$/.test(text)) return text.slice(-2);
  const first = text.match(/[\p{L}\p{N}]/u);
  if (first) return first[0].toUpperCase();
  for (const { segment } of letters.segment(text)) return segment;
  return "?";
};

/** The same muted hue for the same name, out of six. */
export const hue = (text) => {
  let sum = 0;
  for (const char of text) sum = (sum * 31 + char.codePointAt(0)) >>> 0;
  return String(sum % 6);
};

const CHANNELS = { kaleyra: "Kaleyra", pinnacle: "Pinnacle", salesforce: "Salesforce", native: "Native", socket: "Socket" };

export const channelName = (channel) => (Object.hasOwn(CHANNELS, channel) ? CHANNELS[channel] : channel);

/** A channel's or door's badge. */
export const badge = (channel, kind = "badge") =>
  el("span", { class: kind, "data-kind": Object.hasOwn(CHANNELS, channel) ? channel : "other" }, name(channelName(channel)));
