import type { Client } from "./client.js";

type Label = string | ((values: any) => string);

export class TypingDots extends HTMLElement {
  client?: Client;
  labels?: { [key in "one" | "two" | "many" | "agent" | "user"]?: Label };
  renew?: () => string | Promise<string>;
  input(): void;
  sent(): void;
  stop(): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "typing-dots": TypingDots;
  }
}
