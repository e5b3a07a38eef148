// A labelled list of devices that keeps its choice when devices come and go.
import { h } from '../../shared/dom';
import type { Device } from '../devices';

export interface DeviceSelect {
  readonly root: HTMLElement;
  readonly select: HTMLSelectElement;
  fill(devices: readonly Device[], chosen: string | undefined): void;
}

export function deviceSelect(label: string, changed: (id: string) => void): DeviceSelect {
  const select = h('select', { onchange: () => changed(select.value) });
  const root = h('label', { class: 'field' }, h('span', {}, label), select);
  return {
    root,
    select,
    fill(devices, chosen) {
      const entries = devices.length > 0 ? devices : [{ id: '', label: `No ${label.toLowerCase()} available` }];
      select.replaceChildren(...entries.map((d) => h('option', { value: d.id }, d.label)));
      select.disabled = devices.length === 0;
      if (chosen && devices.some((d) => d.id === chosen)) select.value = chosen;
    },
  };
}
