// The bar of buttons at the bottom.
import { h, setAttribute, setText } from '../../shared/dom';
import { icon, type IconName } from '../../shared/icons';

export type ControlName = 'mic' | 'camera' | 'screen' | 'chat' | 'people' | 'settings' | 'leave';

export interface ControlState {
  readonly icon: IconName;
  readonly label: string;
  readonly short: string;
  readonly tone: 'plain' | 'off' | 'active' | 'danger';
  readonly badge?: number;
  readonly pressed?: boolean;
}

export interface Control {
  readonly root: HTMLButtonElement;
  set(state: ControlState): void;
  busy(busy: boolean): void;
}

export function control(name: ControlName, shortcut: string | undefined, act: () => void): Control {
  const picture = h('span', { class: 'control-icon' });
  const text = h('span', { class: 'control-text', 'aria-hidden': 'true' });
  const badge = h('span', { class: 'badge', hidden: true, 'aria-hidden': 'true' });
  const root = h('button', { type: 'button', class: 'control', 'data-control': name, 'aria-keyshortcuts': shortcut, onclick: act }, picture, text, badge);
  let drawn: IconName | undefined;
  return {
    root,
    set(state) {
      if (drawn !== state.icon) picture.replaceChildren(icon(state.icon));
      drawn = state.icon;
      root.dataset['tone'] = state.tone;
      setText(text, state.short);
      const count = state.badge ?? 0;
      setText(badge, count > 99 ? '99+' : String(count));
      badge.hidden = count === 0;
      setAttribute(root, 'aria-label', count > 0 ? `${state.label}, ${count} unread` : state.label);
      setAttribute(root, 'title', shortcut ? `${state.label} (${shortcut})` : state.label);
      setAttribute(root, 'aria-pressed', state.pressed === undefined ? undefined : String(state.pressed));
    },
    busy(busy) {
      // Not `disabled`: that would throw the focus away.
      setAttribute(root, 'aria-busy', busy ? 'true' : undefined);
    },
  };
}
