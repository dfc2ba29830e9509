// As much of a browser as the element uses. innerHTML is not among it.

class Node {
  children = [];
  attributes = new Map();
  writes = [];
  isConnected = false;

  /** Writes count: a live region that is written again may be read again. */
  get textContent() {
    return this.writes.at(-1) ?? "";
  }
  set textContent(text) {
    this.writes.push(text);
  }
  setAttribute(name, value) {
    const old = this.getAttribute(name);
    this.attributes.set(name, `${value}`);
    if (this.constructor.observedAttributes?.includes(name)) this.attributeChangedCallback?.(name, old, `${value}`);
  }
  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }
  hasAttribute(name) {
    return this.attributes.has(name);
  }
  toggleAttribute(name, force) {
    if (force) this.setAttribute(name, "");
    else this.attributes.delete(name);
    return force;
  }
  append(...nodes) {
    this.children.push(...nodes);
  }
  find(tag) {
    return this.children.find((child) => child.tag === tag) ?? this.children.map((child) => child.find(tag)).find(Boolean);
  }
}

export class HTMLElement extends Node {
  events = [];
  attachShadow() {
    return (this.shadow = new Node());
  }
  dispatchEvent(event) {
    this.events.push(event);
  }
}

const defined = new Map();

Object.assign(globalThis, {
  HTMLElement,
  CSSStyleSheet: class {
    replaceSync(text) {
      this.text = text;
    }
  },
  document: {
    baseURI: "https://chat.example/page",
    createElement: (tag) => Object.assign(new Node(), { tag }),
  },
  customElements: {
    get: (name) => defined.get(name),
    define: (name, constructor) => defined.set(name, constructor),
  },
});

export const insert = (element) => {
  element.isConnected = true;
  element.connectedCallback();
};

export const remove = (element) => {
  element.isConnected = false;
  element.disconnectedCallback();
};
