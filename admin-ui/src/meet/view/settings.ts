// Devices, colours and shortcuts while in the meeting.
import { h } from '../../shared/dom';
import { icon } from '../../shared/icons';
import { applyTheme, theme, type Theme } from '../../shared/theme';
import { canChooseSpeaker, listDevices } from '../devices';
import type { DeviceRole, Session } from '../session';
import { deviceSelect } from './device-select';

export interface Settings {
  readonly root: HTMLDialogElement;
  open(): void;
  refresh(): void;
}

const SHORTCUTS: readonly (readonly [string, string])[] = [
  ['M', 'Microphone'],
  ['V', 'Camera'],
  ['S', 'Share screen'],
  ['C', 'Chat'],
  ['P', 'People'],
  ['G', 'Grid or speaker view'],
];

export function settingsDialog(session: Session, chosen: (role: DeviceRole, id: string) => void, themed: () => void): Settings {
  const choose = (role: DeviceRole) => (id: string) => {
    chosen(role, id);
    void session.setDevice(role, id).then(refresh);
  };
  const selects: Record<DeviceRole, ReturnType<typeof deviceSelect>> = {
    audioinput: deviceSelect('Microphone', choose('audioinput')),
    videoinput: deviceSelect('Camera', choose('videoinput')),
    audiooutput: deviceSelect('Speaker', choose('audiooutput')),
  };
  const colours = h(
    'select',
    {
      onchange: () => {
        applyTheme(colours.value as Theme);
        themed();
      },
    },
    h('option', { value: 'auto' }, 'As the system'),
    h('option', { value: 'light' }, 'Light'),
    h('option', { value: 'dark' }, 'Dark'),
  );
  const root = h(
    'dialog',
    { class: 'dialog', 'aria-labelledby': 'settings-title' },
    h(
      'header',
      { class: 'panel-head' },
      h('h2', { id: 'settings-title' }, 'Settings'),
      h('button', { type: 'button', class: 'round', 'aria-label': 'Close settings', onclick: () => root.close() }, icon('close')),
    ),
    selects.audioinput.root,
    selects.videoinput.root,
    canChooseSpeaker() && selects.audiooutput.root,
    h('label', { class: 'field' }, h('span', {}, 'Colours'), colours),
    h('h3', {}, 'Keyboard'),
    h('dl', { class: 'keys' }, ...SHORTCUTS.map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))),
  );
  root.addEventListener('click', (event) => {
    if (event.target === root) root.close();
  });
  const refresh = (): void => {
    if (!root.open) return;
    colours.value = theme();
    void listDevices().then((devices) => {
      for (const role of ['audioinput', 'videoinput', 'audiooutput'] as const) selects[role].fill(devices[role], session.device(role));
    });
  };
  return {
    root,
    open() {
      if (root.open) return;
      root.showModal();
      refresh();
    },
    refresh,
  };
}
