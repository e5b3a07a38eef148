// After the meeting.
import { h } from '../../shared/dom';
import type { Farewell } from '../core/problems';

export function farewellPage(farewell: Farewell, rejoin: () => void, lobby: () => void): HTMLElement {
  const first = farewell.rejoin
    ? h('button', { type: 'button', class: 'primary big', onclick: rejoin }, 'Join again')
    : h('button', { type: 'button', class: 'primary big', onclick: lobby }, 'To the lobby');
  queueMicrotask(() => first.focus());
  return h(
    'main',
    { class: 'farewell' },
    h('div', { class: 'card', role: 'status' }, h('h1', {}, farewell.title), h('p', {}, farewell.text), h('div', { class: 'join-row' }, first, farewell.rejoin && h('button', { type: 'button', class: 'secondary big', onclick: lobby }, 'Back to the lobby'))),
  );
}
