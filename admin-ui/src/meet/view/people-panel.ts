// The list of participants with what each one sends.
import { h } from '../../shared/dom';
import { bars, icon } from '../../shared/icons';
import { hue, initials } from '../core/format';
import type { Person } from '../core/model';
import { forList } from '../core/order';
import { QUALITY_TEXT } from './tile';

export interface PeoplePanel {
  readonly root: HTMLElement;
  render(people: readonly Person[]): void;
  focus(): void;
}

export function peoplePanel(close: () => void, invite: () => void): PeoplePanel {
  const title = h('h2', {}, 'People');
  const list = h('ul', { class: 'people' });
  const closeButton = h('button', { type: 'button', class: 'round', 'aria-label': 'Close the list of people', onclick: close }, icon('close'));
  const root = h(
    'aside',
    { class: 'panel', 'aria-label': 'People', 'data-panel': 'people' },
    h('header', { class: 'panel-head' }, title, closeButton),
    h('div', { class: 'panel-body' }, list),
    h('footer', { class: 'panel-foot' }, h('button', { type: 'button', class: 'secondary', onclick: invite }, icon('link'), 'Copy invite link')),
  );
  let drawn = '';
  return {
    root,
    render(people) {
      const sorted = forList(people);
      const shape = JSON.stringify(sorted.map((p) => [p.identity, p.name, p.micOn, p.cameraOn, p.screenOn, p.speaking, p.quality]));
      if (shape === drawn) return;
      drawn = shape;
      title.textContent = `People (${people.length})`;
      list.replaceChildren(...sorted.map(row));
    },
    focus: () => closeButton.focus(),
  };
}

function row(person: Person): HTMLElement {
  const state = [
    person.micOn ? 'microphone on' : 'microphone off',
    person.cameraOn ? 'camera on' : 'camera off',
    ...(person.screenOn ? ['shares the screen'] : []),
    QUALITY_TEXT[person.quality].toLowerCase(),
  ].join(', ');
  return h(
    'li',
    { class: person.speaking ? 'person speaking' : 'person', 'data-person': person.identity },
    h('span', { class: 'person-mark', '--hue': hue(person.identity), 'aria-hidden': 'true' }, initials(person.name)),
    h('span', { class: 'person-name' }, person.name, person.isLocal && h('small', {}, ' (you)')),
    h('span', { class: 'visually-hidden' }, state),
    person.screenOn && h('span', { class: 'on', title: 'Shares the screen' }, icon('screen')),
    h('span', { class: person.micOn ? 'on' : 'off', title: person.micOn ? 'Microphone on' : 'Microphone off' }, icon(person.micOn ? 'mic' : 'micOff')),
    h('span', { class: person.cameraOn ? 'on' : 'off', title: person.cameraOn ? 'Camera on' : 'Camera off' }, icon(person.cameraOn ? 'camera' : 'cameraOff')),
    h('span', { class: 'quality', 'data-quality': person.quality, title: QUALITY_TEXT[person.quality], 'aria-hidden': 'true' }, bars()),
  );
}
