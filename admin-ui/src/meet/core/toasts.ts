// Short notes about joins, leaves and small failures; a burst becomes one note.

export type ToastKind = 'join' | 'leave' | 'chat' | 'info' | 'error';

export interface Toast {
  readonly id: number;
  readonly kind: ToastKind;
  /** Names for join and leave, one finished sentence otherwise. */
  readonly parts: readonly string[];
  readonly at: number;
}

/** Notes on screen at once: more hide the meeting. */
export const TOASTS_MAX = 3;
/** Life of a note, milliseconds; an error is read more slowly. */
export const TOAST_LIFE = 4000;
export const ERROR_LIFE = 8000;
/** Joins closer together than this share one note, milliseconds. */
export const MERGE_WINDOW = 2000;

export function addToast(toasts: readonly Toast[], kind: ToastKind, part: string, now: number): Toast[] {
  const last = toasts.at(-1);
  const id = (last?.id ?? 0) + 1;
  // One failure is often told by the client twice.
  if (kind === 'error' && toasts.some((t) => t.kind === kind && t.parts[0] === part)) {
    return toasts.map((t) => (t.kind === kind && t.parts[0] === part ? { ...t, at: now } : t));
  }
  if (last && (kind === 'join' || kind === 'leave') && last.kind === kind && now - last.at < MERGE_WINDOW) {
    return [...toasts.slice(0, -1), { ...last, parts: [...last.parts, part], at: now }];
  }
  return [...toasts, { id, kind, parts: [part], at: now }].slice(-TOASTS_MAX);
}

export function expireToasts(toasts: readonly Toast[], now: number): readonly Toast[] {
  const alive = toasts.filter((t) => now - t.at < (t.kind === 'error' ? ERROR_LIFE : TOAST_LIFE));
  return alive.length === toasts.length ? toasts : alive;
}

export function toastText(toast: Toast): string {
  if (toast.kind !== 'join' && toast.kind !== 'leave') return toast.parts[0] ?? '';
  const verb = toast.kind === 'join' ? 'joined' : 'left';
  const [first, second] = toast.parts;
  if (toast.parts.length === 1) return `${first} ${verb}`;
  if (toast.parts.length === 2) return `${first} and ${second} ${verb}`;
  return `${first} and ${toast.parts.length - 1} others ${verb}`;
}
