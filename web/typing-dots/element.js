import { connect } from "./client.js";

const LABELS = {
  one: "{name} is typing",
  two: "{a} and {b} are typing",
  many: "several people are typing",
  // For the nameless.
  agent: "Agent",
  user: "{user}",
};

// Dots are borders, which forced colours keep.
const CSS = `:host{display:block;position:relative}
:host([hidden]),:host(:not([typing],[reserve])) div,:host(:not([label])) span{display:none}
:host(:not([typing])) div{visibility:hidden}
div{display:flex;width:fit-content;min-height:1.2em;line-height:1.2;align-items:center;gap:.4em;padding:.6em .8em;border-radius:1.2em;background:var(--typing-dots-background,#8882)}
i{border:calc(var(--typing-dots-size,.4em)/2) solid var(--typing-dots-color,currentColor);border-radius:50%;animation:b 1.2s infinite}
i+i{animation-delay:.15s}
i+i+i{animation-delay:.3s}
output{position:absolute;width:1px;height:1px;overflow:hidden;white-space:nowrap;opacity:0}
@media (prefers-reduced-motion:no-preference){@keyframes b{30%{translate:0 -60%}60%{translate:0}}}`;
let sheet;

const add = (parent, tag, name, value) => {
  const node = document.createElement(tag);
  node.setAttribute(name, value);
  parent.append(node);
  return node;
};

export class TypingDots extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["src", "ticket", "channel", "agent", "user"];
  #link;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
    // A live region that comes with its text is often not read.
    const live = add(root, "output", "aria-live", "polite");
    const bubble = add(root, "div", "part", "bubble");
    for (let i = 0; i < 3; i++) add(bubble, "i", "part", "dot");
    const label = add(bubble, "span", "part", "label");
    label.setAttribute("aria-hidden", "true");

    let { client } = this; // Set before the upgrade, perhaps.
    let said = 0;
    let linked, own, talk;

    const show = (typing) => {
      const labels = { ...LABELS, ...this.labels };
      const fill = (text, values) => text.call?.(labels, values) ?? text.replace(/{(\w+)}/g, (_, key) => values[key]);
      const names = typing.map((one) => one.name || fill(labels[one.composer], one));
      const [a, b, c] = names;
      if (!a && !said) return;
      const kind = !b ? "one" : c || a === b ? "many" : "two";
      const text = a ? fill(labels[kind], { name: a, a, b, names }) : "";
      label.textContent = text;
      // Said at the beginning, and once more if others join.
      const level = a ? (b ? 2 : 1) : 0;
      if (!level || level > said) {
        said = level;
        live.textContent = text;
      }
      this.toggleAttribute("typing", !!a);
      this.dispatchEvent(new CustomEvent("change", { detail: { typing } }));
    };

    // Later, so that a move is no loss and five attributes are one change.
    this.#link = async () => {
      await 0;
      const given = TypingDots.observedAttributes.map((name) => this.getAttribute(name));
      const [src, ticket, channel, agent, user] = given;
      const next = this.isConnected && (client || src) && JSON.stringify(given);
      if (next === linked) return;
      linked = next;
      talk?.close();
      own?.close();
      show([]);
      if (!next) return;
      const tickets = [ticket];
      if (!client) own = connect({ src, ticket: () => tickets.pop() ?? this.renew() });
      talk = (client ?? own).watch({ channel, agent, user }, show);
    };

    Object.defineProperty(this, "client", {
      get: () => client,
      set: (value) => {
        if (value !== client) linked = 0;
        client = value;
        this.#link();
      },
    });
    for (const name of ["input", "sent", "stop"]) this[name] = () => talk?.[name]();
  }

  connectedCallback() {
    this.#link();
  }

  disconnectedCallback() {
    this.#link();
  }

  attributeChangedCallback() {
    this.#link();
  }
}

// Frameworks look here for what are properties.
Object.assign(TypingDots.prototype, { labels: undefined, renew: undefined });

if (globalThis.customElements && !customElements.get("typing-dots")) customElements.define("typing-dots", TypingDots);
