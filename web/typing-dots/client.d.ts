export interface Conversation {
  channel?: string;
  agent?: string;
  user?: string;
}

export interface Person {
  participant?: string;
  name?: string;
}

export interface Typing extends Required<Conversation>, Person {
  composer: "agent" | "user";
  started_at: string;
}

export interface Hello extends Conversation, Person {
  side: "agent" | "user";
  access: "read" | "read_write";
  last_turn?: number;
}

export interface Talk {
  readonly typing: Typing[];
  input(): void;
  sent(): void;
  stop(): void;
  close(): void;
}

export interface Client {
  readonly state: "connecting" | "open" | "waiting" | "closed";
  readonly hello?: Hello;
  onstate(fn: (state: Client["state"], detail?: string) => void): () => void;
  watch(conversation?: Conversation, fn?: (typing: Typing[]) => void): Talk;
  close(): void;
}

export function connect(options: {
  src: string | URL;
  ticket: string | (() => string | Promise<string>);
  throttle_ms?: number;
  idle_ms?: number;
  WebSocket?: new (url: string) => WebSocket;
}): Client;
