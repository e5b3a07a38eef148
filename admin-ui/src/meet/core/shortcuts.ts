// Which key does what.

export type Action = 'mic' | 'camera' | 'screen' | 'chat' | 'people' | 'view' | 'close';

export interface Key {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly repeat: boolean;
  /** The focus is in a field where letters are text. */
  readonly typing: boolean;
}

const KEYS: Record<string, Action> = { m: 'mic', v: 'camera', s: 'screen', c: 'chat', p: 'people', g: 'view' };

export function actionOf(key: Key): Action | undefined {
  if (key.ctrlKey || key.metaKey || key.altKey || key.repeat) return undefined;
  if (key.key === 'Escape') return 'close';
  return key.typing ? undefined : KEYS[key.key.toLowerCase()];
}

const TEXT_INPUTS = new Set(['text', 'search', 'url', 'email', 'password', 'tel', 'number']);

export function isTyping(element: { tagName: string; type?: string; isContentEditable?: boolean } | null): boolean {
  if (!element) return false;
  const tag = element.tagName.toLowerCase();
  if (element.isContentEditable || tag === 'textarea' || tag === 'select') return true;
  return tag === 'input' && TEXT_INPUTS.has(element.type ?? 'text');
}
