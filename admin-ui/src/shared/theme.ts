// Light, dark, or as the system says.
import { recall, remember } from './store';

export type Theme = 'auto' | 'light' | 'dark';

export function theme(): Theme {
  const stored = recall('theme');
  return stored === 'light' || stored === 'dark' ? stored : 'auto';
}

export function applyTheme(next: Theme = theme()): void {
  remember('theme', next);
  if (next === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = next;
}

/** What is on screen now, whoever decided it. */
export function isDark(): boolean {
  const chosen = theme();
  return chosen === 'auto' ? matchMedia('(prefers-color-scheme: dark)').matches : chosen === 'dark';
}
