// What the banner says about the connection.

export type Link = 'connecting' | 'up' | 'signal' | 'full' | 'down';

export interface Banner {
  readonly tone: 'warning' | 'good';
  readonly text: string;
}

export interface ConnectionState {
  readonly link: Link;
  /** Milliseconds, when the link came back after an interruption; `undefined` without one. */
  readonly restoredAt: number | undefined;
}

export const initialConnection: ConnectionState = { link: 'connecting', restoredAt: undefined };

/** How long "back" is shown, milliseconds. */
export const RESTORED_SHOWN = 2500;

export function connection(state: ConnectionState, link: Link, now: number): ConnectionState {
  if (link === state.link) return state;
  const interrupted = state.link === 'signal' || state.link === 'full';
  return { link, restoredAt: link === 'up' && interrupted ? now : undefined };
}

export function bannerOf(state: ConnectionState, now: number): Banner | undefined {
  switch (state.link) {
    case 'signal':
      return { tone: 'warning', text: 'Server connection lost, reconnecting. Sound and video may go on.' };
    case 'full':
      return { tone: 'warning', text: 'Connection interrupted. Reconnecting sound and video…' };
    case 'up':
      return state.restoredAt !== undefined && now - state.restoredAt < RESTORED_SHOWN
        ? { tone: 'good', text: 'You are back.' }
        : undefined;
    default:
      return undefined;
  }
}
