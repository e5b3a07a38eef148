// The chat as a bounded list of messages with delivery state and an unread count.

export interface ChatMessage {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  readonly own: boolean;
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly state: 'sending' | 'sent' | 'failed';
}

export interface ChatState {
  readonly messages: readonly ChatMessage[];
  readonly unread: number;
  readonly open: boolean;
}

/** Messages kept, so that a long meeting stays light. */
export const CHAT_MAX = 500;
/** Longest message that is sent, characters: fits one LiveKit data packet of 15 kB in any script. */
export const CHAT_TEXT_MAX = 4000;
/** Messages of one person closer together than this are one group, milliseconds. */
const GROUP_WINDOW = 120_000;

export const initialChat: ChatState = { messages: [], unread: 0, open: false };

export type ChatEvent =
  | { readonly type: 'message'; readonly message: ChatMessage }
  | { readonly type: 'state'; readonly id: string; readonly state: ChatMessage['state'] }
  | { readonly type: 'open'; readonly open: boolean };

export function chat(state: ChatState, event: ChatEvent): ChatState {
  switch (event.type) {
    case 'message': {
      // The same message may come as a text stream and as an older chat packet.
      if (state.messages.some((m) => m.id === event.message.id && m.identity === event.message.identity)) return state;
      const messages = [...state.messages, event.message].slice(-CHAT_MAX);
      return { ...state, messages, unread: state.open || event.message.own ? state.unread : state.unread + 1 };
    }
    case 'state':
      return { ...state, messages: state.messages.map((m) => (m.id === event.id ? { ...m, state: event.state } : m)) };
    case 'open':
      return { ...state, open: event.open, unread: event.open ? 0 : state.unread };
  }
}

/** Whether `message` is shown under the name that `before` already carries. */
export function continuesGroup(before: ChatMessage | undefined, message: ChatMessage): boolean {
  return before !== undefined && before.identity === message.identity && message.at - before.at < GROUP_WINDOW;
}

export interface Segment {
  readonly text: string;
  readonly href: string | undefined;
}

const LINK = /https?:\/\/[^\s<>"']+/gi;

/** Cuts a message into text and http(s) links; a full stop or bracket that ends a sentence is not part of a link. */
export function linkify(text: string): Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const link = match[0].replace(/[.,;:!?)\]}]+$/, '');
    if (!URL.canParse(link)) continue;
    if (match.index > from) segments.push({ text: text.slice(from, match.index), href: undefined });
    segments.push({ text: link, href: link });
    from = match.index + link.length;
  }
  if (from < text.length) segments.push({ text: text.slice(from), href: undefined });
  return segments;
}
