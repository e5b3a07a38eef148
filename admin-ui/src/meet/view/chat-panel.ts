// The chat panel: a log of messages and a field to write in.
import { h } from '../../shared/dom';
import { icon } from '../../shared/icons';
import { chat, CHAT_TEXT_MAX, type ChatEvent, type ChatMessage, continuesGroup, initialChat, linkify } from '../core/chat';
import { clock, hue } from '../core/format';

export interface ChatPanel {
  readonly root: HTMLElement;
  send(event: ChatEvent): void;
  unread(): number;
  allow(allowed: boolean): void;
  focus(): void;
}

export interface ChatOptions {
  readonly submit: (text: string) => void;
  readonly retry: (message: ChatMessage) => void;
  readonly close: () => void;
}

/** Closer to the end than this counts as reading the newest, CSS pixels. */
const NEAR_END = 60;

export function chatPanel({ submit, retry, close }: ChatOptions): ChatPanel {
  let state = initialChat;
  const empty = h('p', { class: 'empty' }, 'No messages yet. What you write is seen by everyone who is here now.');
  const log = h('ol', { class: 'chat-log', role: 'log', 'aria-label': 'Messages', tabindex: 0 });
  const input = h('textarea', { rows: 1, maxlength: CHAT_TEXT_MAX, placeholder: 'Write a message', 'aria-label': 'Message to everyone', enterkeyhint: 'send' });
  const sendButton = h('button', { type: 'submit', class: 'send', 'aria-label': 'Send message' }, icon('send'));
  const form = h('form', { class: 'chat-form' }, input, sendButton);
  const root = h(
    'aside',
    { class: 'panel', 'aria-label': 'Chat', 'data-panel': 'chat' },
    h('header', { class: 'panel-head' }, h('h2', {}, 'Chat'), h('button', { type: 'button', class: 'round', 'aria-label': 'Close chat', onclick: close }, icon('close'))),
    h('div', { class: 'panel-body' }, empty, log),
    form,
  );

  const fitInput = (): void => {
    input.style.height = 'auto';
    input.style.height = `${Math.min(120, input.scrollHeight)}px`;
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = '';
    fitInput();
    submit(text);
  });
  input.addEventListener('input', fitInput);
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  const rows = new Map<string, HTMLElement>();
  const draw = (): void => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
    const keep = new Set(state.messages.map((m) => m.id));
    for (const [id, row] of rows) {
      if (keep.has(id)) continue;
      row.remove();
      rows.delete(id);
    }
    state.messages.forEach((message, index) => {
      let row = rows.get(message.id);
      if (!row) {
        row = messageRow(message, continuesGroup(state.messages[index - 1], message), retry);
        rows.set(message.id, row);
        log.append(row);
      }
      row.dataset['state'] = message.state;
    });
    empty.hidden = state.messages.length > 0;
    log.hidden = state.messages.length === 0;
    if (atEnd || state.messages.at(-1)?.own) log.scrollTop = log.scrollHeight;
  };
  draw();

  return {
    root,
    send(event) {
      state = chat(state, event);
      draw();
    },
    unread: () => state.unread,
    allow(allowed) {
      input.disabled = !allowed;
      sendButton.disabled = !allowed;
      input.placeholder = allowed ? 'Write a message' : 'You may not write in this room';
    },
    focus() {
      log.scrollTop = log.scrollHeight;
      input.focus();
    },
  };
}

function messageRow(message: ChatMessage, grouped: boolean, retry: (message: ChatMessage) => void): HTMLElement {
  const text = h('p', { class: 'chat-text', dir: 'auto' });
  for (const { text: piece, href } of linkify(message.text)) {
    text.append(href ? h('a', { href, target: '_blank', rel: 'noopener noreferrer' }, piece) : piece);
  }
  const head = h('div', { class: 'chat-head' }, h('b', { '--hue': hue(message.identity) }, message.own ? 'You' : message.name), h('time', {}, clock(message.at)));
  const again = h('button', { type: 'button', onclick: () => retry(message) }, 'Send again');
  const failed = h('div', { class: 'chat-failed' }, 'Not sent. ', again);
  const row = h('li', { class: message.own ? 'chat-row own' : 'chat-row' }, !grouped && head, text, message.own && failed);
  return row;
}
