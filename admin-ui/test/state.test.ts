import { describe, expect, it } from 'vitest';
import { chat, CHAT_MAX, type ChatMessage, continuesGroup, initialChat, linkify } from '../src/meet/core/chat';
import { bannerOf, connection, initialConnection, RESTORED_SHOWN } from '../src/meet/core/connection';
import { addToast, ERROR_LIFE, expireToasts, MERGE_WINDOW, TOAST_LIFE, TOASTS_MAX, type Toast, toastText } from '../src/meet/core/toasts';

const message = (id: string, change: Partial<ChatMessage> = {}): ChatMessage => ({ id, identity: 'a', name: 'A', own: false, text: id, at: 0, state: 'sent', ...change });

describe('chat', () => {
  it('counts what comes while it is closed and forgets the count when opened', () => {
    let state = chat(initialChat, { type: 'message', message: message('1') });
    state = chat(state, { type: 'message', message: message('2', { own: true }) });
    expect(state.unread).toBe(1);
    expect(chat(state, { type: 'open', open: true }).unread).toBe(0);
  });
  it('takes a message that comes twice once', () => {
    const state = chat(initialChat, { type: 'message', message: message('1') });
    expect(chat(state, { type: 'message', message: message('1') })).toBe(state);
    expect(chat(state, { type: 'message', message: message('1', { identity: 'b' }) }).messages).toHaveLength(2);
  });
  it('keeps the newest messages and no more than its limit', () => {
    let state = initialChat;
    for (let i = 0; i < CHAT_MAX + 20; i += 1) state = chat(state, { type: 'message', message: message(String(i)) });
    expect(state.messages).toHaveLength(CHAT_MAX);
    expect(state.messages.at(-1)?.id).toBe(String(CHAT_MAX + 19));
  });
  it('shows what became of a message', () => {
    const state = chat(initialChat, { type: 'message', message: message('1', { state: 'sending' }) });
    expect(chat(state, { type: 'state', id: '1', state: 'failed' }).messages[0]?.state).toBe('failed');
  });
  it('groups what one person says in a row', () => {
    expect(continuesGroup(message('1'), message('2', { at: 60_000 }))).toBe(true);
    expect(continuesGroup(message('1'), message('2', { at: 600_000 }))).toBe(false);
    expect(continuesGroup(message('1'), message('2', { identity: 'b' }))).toBe(false);
    expect(continuesGroup(undefined, message('1'))).toBe(false);
  });
  it('links http addresses only, without the punctuation after them', () => {
    expect(linkify('See https://example.org/a?b=1, please.')).toEqual([
      { text: 'See ', href: undefined },
      { text: 'https://example.org/a?b=1', href: 'https://example.org/a?b=1' },
      { text: ', please.', href: undefined },
    ]);
    expect(linkify('javascript:alert(1)')).toEqual([{ text: 'javascript:alert(1)', href: undefined }]);
    expect(linkify('https://').map((s) => s.href)).toEqual([undefined]);
  });
});

describe('the banner', () => {
  it('tells a lost server from lost media', () => {
    const up = connection(initialConnection, 'up', 0);
    expect(bannerOf(up, 0)).toBeUndefined();
    expect(bannerOf(connection(up, 'signal', 0), 0)?.text).toContain('may go on');
    expect(bannerOf(connection(up, 'full', 0), 0)?.text).toContain('interrupted');
  });
  it('says for a while that one is back, but not after the first join', () => {
    const back = connection(connection(initialConnection, 'full', 0), 'up', 100);
    expect(bannerOf(back, 101)?.tone).toBe('good');
    expect(bannerOf(back, 100 + RESTORED_SHOWN)).toBeUndefined();
    expect(connection(back, 'up', 5000)).toBe(back);
  });
  it('says nothing once the session is over', () => {
    expect(bannerOf(connection(connection(initialConnection, 'full', 0), 'down', 1), 1)).toBeUndefined();
  });
});

describe('toasts', () => {
  it('makes one note of a burst of joins', () => {
    let toasts: Toast[] = [];
    for (const name of ['Ana', 'Ben', 'Cem']) toasts = addToast(toasts, 'join', name, 0);
    expect(toasts.map(toastText)).toEqual(['Ana and 2 others joined']);
    expect(toastText(addToast(addToast([], 'leave', 'Ana', 0), 'leave', 'Ben', 1)[0] as Toast)).toBe('Ana and Ben left');
    expect(addToast(toasts, 'join', 'Dev', MERGE_WINDOW)).toHaveLength(2);
  });
  it('shows no more than its limit and drops the oldest', () => {
    let toasts: Toast[] = [];
    for (let i = 0; i < 9; i += 1) toasts = addToast(toasts, 'info', `n${i}`, i);
    expect(toasts).toHaveLength(TOASTS_MAX);
    expect(toasts.map(toastText).at(-1)).toBe('n8');
    expect(new Set(toasts.map((t) => t.id)).size).toBe(TOASTS_MAX);
  });
  it('tells the same failure once', () => {
    const toasts = addToast(addToast([], 'error', 'no camera', 0), 'error', 'no camera', 5);
    expect(toasts).toHaveLength(1);
    expect(toasts[0]?.at).toBe(5);
  });
  it('lets an error stay longer', () => {
    const toasts = addToast(addToast([], 'info', 'a', 0), 'error', 'b', 0);
    expect(expireToasts(toasts, TOAST_LIFE).map((t) => t.kind)).toEqual(['error']);
    expect(expireToasts(toasts, ERROR_LIFE)).toEqual([]);
    expect(expireToasts(toasts, 1)).toBe(toasts);
  });
});
