// One tile: a person's camera or screen, and everything that is known of them at a glance.
import { h, setAttribute, setText } from '../../shared/dom';
import { bars, icon } from '../../shared/icons';
import { hue, initials } from '../core/format';
import type { Rect } from '../core/layout';
import type { Picture, Quality, Tile } from '../core/model';

export const QUALITY_TEXT: Record<Quality, string> = {
  excellent: 'Connection: excellent',
  good: 'Connection: good',
  poor: 'Connection: poor',
  lost: 'Connection lost',
  unknown: 'Connection: not measured yet',
};

export interface TileView {
  readonly root: HTMLElement;
  update(tile: Tile, pinned: boolean): void;
  place(rect: Rect, small: boolean): void;
  close(): void;
}

export function tileView(id: string, pin: () => void): TileView {
  const avatar = h('div', { class: 'avatar', 'aria-hidden': 'true' });
  const video = h('video', { playsinline: true, autoplay: true, 'aria-hidden': 'true', tabindex: -1 });
  video.muted = true;
  video.disablePictureInPicture = true;
  const name = h('span', { class: 'tile-name' });
  const micOff = h('span', { class: 'tile-mic' }, icon('micOff'));
  const quality = h('span', { class: 'quality', role: 'img' }, bars());
  const pinButton = h('button', { class: 'tile-pin', type: 'button', onclick: pin }, icon('pin'));
  const root = h(
    'article',
    { class: 'tile', 'data-tile': id },
    avatar,
    video,
    h('div', { class: 'tile-foot' }, micOff, name, quality),
    pinButton,
  );
  let shown: Picture | undefined;

  const show = (picture: Picture | undefined): void => {
    if (picture?.key === shown?.key) return;
    shown?.detach(video);
    shown = picture;
    root.classList.remove('playing');
    picture?.attach(video);
  };
  // The picture replaces the initials only when there is one, so nothing flashes black.
  video.addEventListener('loadeddata', () => root.classList.toggle('playing', shown !== undefined));
  video.addEventListener('playing', () => root.classList.toggle('playing', shown !== undefined));

  return {
    root,
    update(tile, pinned) {
      const { person, kind } = tile;
      const screen = kind === 'screen';
      show(screen ? person.screen : person.camera);
      const label = screen ? (person.isLocal ? 'Your screen' : `${person.name} · screen`) : person.isLocal ? `${person.name} (you)` : person.name;
      setText(name, label);
      setText(avatar, initials(person.name));
      root.style.setProperty('--hue', String(hue(person.identity)));
      root.dataset['kind'] = kind;
      root.classList.toggle('own', person.isLocal && !screen);
      root.classList.toggle('speaking', person.speaking && !screen);
      micOff.hidden = screen || person.micOn;
      quality.hidden = screen;
      quality.dataset['quality'] = person.quality;
      setAttribute(quality, 'aria-label', QUALITY_TEXT[person.quality]);
      setAttribute(quality, 'title', QUALITY_TEXT[person.quality]);
      setAttribute(root, 'aria-label', describe(tile, label));
      setAttribute(pinButton, 'aria-pressed', String(pinned));
      setAttribute(pinButton, 'aria-label', pinned ? `Stop keeping ${label} large` : `Keep ${label} large`);
      setAttribute(pinButton, 'title', pinned ? 'Unpin' : 'Keep large');
    },
    place(rect, small) {
      root.classList.toggle('small', small);
      root.style.transform = `translate(${Math.round(rect.x)}px, ${Math.round(rect.y)}px)`;
      root.style.width = `${Math.floor(rect.width)}px`;
      root.style.height = `${Math.floor(rect.height)}px`;
      root.style.setProperty('--tile', `${Math.floor(Math.min(rect.width, rect.height))}px`);
    },
    close() {
      show(undefined);
      root.remove();
    },
  };
}

function describe({ person, kind }: Tile, label: string): string {
  if (kind === 'screen') return label;
  const parts = [label, person.micOn ? 'microphone on' : 'microphone off', person.cameraOn ? 'camera on' : 'camera off'];
  if (person.speaking) parts.push('speaking');
  return parts.join(', ');
}
