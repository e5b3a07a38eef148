// What one node can say of itself until the cluster view comes with the cluster.
import '../style/base.css';
import './admin.css';
import { h } from '../shared/dom';
import { applyTheme } from '../shared/theme';

/** How often the numbers are asked for, milliseconds. */
const PERIOD = 3000;
/** Longest answer shown, characters. */
const ANSWER_MAX = 20_000;

applyTheme();
const state = h('p', { role: 'status' }, 'Asking the node…');
const numbers = h('pre', { hidden: true, tabindex: 0, 'aria-label': 'Rooms on this node' });
document.querySelector('#app')?.replaceChildren(
  h(
    'main',
    { class: 'admin' },
    h('h1', {}, 'This node'),
    h('p', {}, 'The view of the whole cluster comes with the cluster. Until then, this page shows the rooms of the node that served it.'),
    h('section', { class: 'card' }, h('h2', {}, 'Rooms'), state, numbers),
    h('p', {}, h('a', { href: '/meet' }, 'Open the meeting page')),
  ),
);

async function refresh(): Promise<void> {
  try {
    const response = await fetch('/debug/rooms', { cache: 'no-store', signal: AbortSignal.timeout(PERIOD) });
    if (!response.ok) throw new Error(String(response.status));
    const text = (await response.text()).slice(0, ANSWER_MAX);
    numbers.textContent = pretty(text);
    numbers.hidden = false;
    state.textContent = `As of ${new Date().toLocaleTimeString()}.`;
  } catch (error) {
    // Old numbers would look like live ones.
    numbers.hidden = true;
    const status = error instanceof Error && /^\d+$/.test(error.message) ? error.message : undefined;
    state.textContent = status === '404' ? 'This node does not publish its rooms.' : status ? `The node answered ${status}.` : 'The node cannot be reached.';
  }
  setTimeout(() => void refresh(), PERIOD);
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

void refresh();
