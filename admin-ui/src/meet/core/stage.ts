// Grid or speaker view, and who is large: what the user chose wins over what happens.
import type { Person } from './model';
import { tileId } from './model';

export type View = 'grid' | 'speaker';

/** How long a speaker stays large before another may take the place, milliseconds: shorter flickers in a dialogue. */
export const SPOTLIGHT_HOLD = 2000;

export interface StageState {
  /** The user's own choice. */
  readonly chosen: View;
  /** A screen share forces the speaker view until it ends or the user leaves it. */
  readonly forced: boolean;
  readonly pinned: string | undefined;
  readonly spotlight: string | undefined;
  /** Milliseconds, when `spotlight` last changed. */
  readonly since: number;
  readonly screens: readonly string[];
  readonly page: number;
}

export const initialStage: StageState = {
  chosen: 'grid',
  forced: false,
  pinned: undefined,
  spotlight: undefined,
  since: -SPOTLIGHT_HOLD,
  screens: [],
  page: 0,
};

export type StageEvent =
  | { readonly type: 'people'; readonly people: readonly Person[]; readonly now: number }
  | { readonly type: 'toggle-view' }
  | { readonly type: 'pin'; readonly tile: string }
  | { readonly type: 'page'; readonly page: number };

export const viewOf = (state: StageState): View => (state.forced || state.pinned ? 'speaker' : state.chosen);

export function stage(state: StageState, event: StageEvent): StageState {
  switch (event.type) {
    case 'people':
      return follow(state, event.people, event.now);
    case 'toggle-view':
      return viewOf(state) === 'grid'
        ? { ...state, chosen: 'speaker', page: 0 }
        : { ...state, chosen: 'grid', forced: false, pinned: undefined, page: 0 };
    case 'pin':
      return state.pinned === event.tile
        ? { ...state, pinned: undefined, page: 0 }
        : { ...state, pinned: event.tile, page: 0 };
    case 'page':
      return { ...state, page: Math.max(0, event.page) };
  }
}

function follow(state: StageState, people: readonly Person[], now: number): StageState {
  const sharing = people.filter((p) => p.screenOn).map((p) => tileId('screen', p.identity));
  // The oldest share first, whatever the order of people.
  const screens = [...state.screens.filter((id) => sharing.includes(id)), ...sharing.filter((id) => !state.screens.includes(id))];
  const started = screens.some((id) => !state.screens.includes(id));
  const tiles = new Set([...screens, ...people.map((p) => tileId('camera', p.identity))]);
  const pinned = state.pinned && tiles.has(state.pinned) ? state.pinned : undefined;
  const forced = screens.length > 0 && (state.forced || started);
  const next = pickSpeaker(state, people, now);
  const moved = next !== state.spotlight;
  return { ...state, screens, pinned, forced, spotlight: next, since: moved ? now : state.since };
}

/** The latest screen share, else the remote person who speaks, held for a while; alone, oneself. */
function pickSpeaker(state: StageState, people: readonly Person[], now: number): string | undefined {
  const others = people.filter((p) => !p.isLocal);
  const current = people.find((p) => tileId('camera', p.identity) === state.spotlight);
  const usable = current && !(current.isLocal && others.length > 0) ? current : undefined;
  if (usable?.speaking) return state.spotlight;
  if (usable && now - state.since < SPOTLIGHT_HOLD) return state.spotlight;
  const speaking = others.filter((p) => p.speaking).sort((a, b) => b.lastSpokeAt - a.lastSpokeAt)[0];
  const next = speaking ?? usable ?? [...others].sort((a, b) => b.lastSpokeAt - a.lastSpokeAt)[0] ?? people[0];
  return next && tileId('camera', next.identity);
}

/** The tile that is large in the speaker view. */
export function largeTile(state: StageState): string | undefined {
  return state.pinned ?? state.screens.at(-1) ?? state.spotlight;
}
