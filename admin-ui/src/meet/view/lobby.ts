// Before the meeting: who, where, and whether camera and microphone do what they should.
import type { LocalAudioTrack, LocalTrack, LocalVideoTrack } from 'livekit-client';
import { h, setAttribute, setText } from '../../shared/dom';
import { icon } from '../../shared/icons';
import { recall, remember } from '../../shared/store';
import { applyTheme, isDark } from '../../shared/theme';
import { hue, initials } from '../core/format';
import { type DeviceKind, deviceProblem } from '../core/problems';
import { readToken, tokenProblem } from '../core/token';
import { canChooseSpeaker, hasMedia, listDevices, openCamera, openMicrophone, playTestTone, watchLevel } from '../devices';
import type { DeviceRole } from '../session';
import { deviceSelect } from './device-select';

export interface LobbyChoice {
  readonly room: string;
  readonly name: string;
  readonly token: string | undefined;
  readonly mic: boolean;
  readonly camera: boolean;
  /** Live tracks, handed over: the lobby does not stop them any more. */
  readonly tracks: readonly LocalTrack[];
  readonly devices: Partial<Record<DeviceRole, string>>;
}

export interface LobbyOptions {
  readonly room: string;
  readonly name: string;
  readonly token: string | undefined;
  readonly mic: boolean;
  readonly camera: boolean;
  readonly problem?: string | undefined;
  readonly join: (choice: LobbyChoice) => void;
  readonly cancel: () => void;
}

export interface Lobby {
  readonly root: HTMLElement;
  /** Opens the wanted devices; resolves when each is open or has failed. */
  start(): Promise<void>;
  submit(): void;
  needToken(): void;
  problem(text: string): void;
  joining(busy: boolean): void;
  /** Stops what is still the lobby's. */
  close(): void;
}

export function createLobby(options: LobbyOptions): Lobby {
  const devices: Partial<Record<DeviceRole, string>> = {};
  for (const role of ['audioinput', 'videoinput', 'audiooutput'] as const) {
    const stored = recall(`device.${role}`);
    if (stored) devices[role] = stored;
  }
  let camera: LocalVideoTrack | undefined;
  let microphone: LocalAudioTrack | undefined;
  let stopLevel: (() => void) | undefined;
  let wantCamera = options.camera;
  let wantMic = options.mic;
  let closed = false;

  // Preview
  const video = h('video', { playsinline: true, autoplay: true, 'aria-label': 'Your camera' });
  video.muted = true;
  video.addEventListener('playing', () => preview.classList.add('playing'));
  const avatar = h('div', { class: 'avatar', 'aria-hidden': 'true' });
  const state = h('p', { class: 'preview-state', role: 'status' });
  const levelBar = h('span', {});
  const level = h('div', { class: 'level', role: 'meter', 'aria-label': 'Microphone level', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 0 }, levelBar);
  const micButton = h('button', { type: 'button', class: 'control', 'data-control': 'mic', onclick: () => void setMic(!wantMic) });
  const cameraButton = h('button', { type: 'button', class: 'control', 'data-control': 'camera', onclick: () => void setCamera(!wantCamera) });
  const preview = h('div', { class: 'preview own' }, avatar, video, state, h('div', { class: 'preview-controls' }, micButton, cameraButton));
  const deviceNotes = h('div', { class: 'device-notes', 'aria-live': 'polite' });
  const notes = new Map<DeviceKind, HTMLElement>();

  const micSelect = deviceSelect('Microphone', (id) => void changed('audioinput', id));
  const cameraSelect = deviceSelect('Camera', (id) => void changed('videoinput', id));
  const speakerSelect = deviceSelect('Speaker', (id) => void changed('audiooutput', id));
  const test = h('button', { type: 'button', class: 'secondary', onclick: () => void playTestTone(devices.audiooutput).catch(() => note('speaker', 'NotReadableError')) }, icon('sound'), 'Test');

  // Form
  const name = h('input', { type: 'text', name: 'name', autocomplete: 'name', maxlength: 60, required: true, value: options.name, placeholder: 'How others see you' });
  const room = h('input', { type: 'text', name: 'room', autocomplete: 'off', maxlength: 128, required: true, value: options.room, placeholder: 'For example: stand-up', autocapitalize: 'none', spellcheck: 'false' });
  const token = h('textarea', { name: 'token', rows: 3, autocomplete: 'off', spellcheck: 'false', placeholder: 'eyJhbGciOi…', 'aria-describedby': 'token-fact' });
  const tokenFact = h('p', { class: 'hint', id: 'token-fact' });
  const nameField = h('label', { class: 'field' }, h('span', {}, 'Your name'), name);
  const roomField = h('label', { class: 'field' }, h('span', {}, 'Room'), room);
  const tokenField = h('div', { hidden: true }, h('label', { class: 'field' }, h('span', {}, 'Access token'), token), tokenFact);
  const error = h('p', { class: 'error', role: 'alert' });
  const joinButton = h('button', { type: 'submit', class: 'primary big', 'data-control': 'join' }, 'Join');
  const cancelButton = h('button', { type: 'button', class: 'secondary big', hidden: true, onclick: () => options.cancel() }, 'Cancel');
  const form = h('form', { class: 'card', novalidate: true }, h('h1', {}, 'Ready to join?'), nameField, roomField, tokenField, error, h('div', { class: 'join-row' }, joinButton, cancelButton));
  const themeButton = h('button', { type: 'button', class: 'round', 'data-control': 'theme', onclick: () => flipTheme() });

  const root = h(
    'main',
    { class: 'lobby' },
    h('header', { class: 'brand' }, h('span', { class: 'brand-mark', 'aria-hidden': 'true' }), h('span', {}, 'Starling'), h('span', { class: 'spacer' }), themeButton),
    h(
      'div',
      { class: 'lobby-body' },
      h(
        'section',
        { class: 'lobby-left', 'aria-label': 'Camera and microphone' },
        preview,
        h('div', { class: 'level-row' }, icon('mic'), level),
        deviceNotes,
        h('div', { class: 'device-grid' }, micSelect.root, cameraSelect.root, canChooseSpeaker() && h('div', { class: 'speaker-row' }, speakerSelect.root, test)),
      ),
      form,
    ),
  );

  function flipTheme(): void {
    applyTheme(isDark() ? 'light' : 'dark');
    drawTheme();
  }

  function drawTheme(): void {
    themeButton.replaceChildren(icon(isDark() ? 'sun' : 'moon'));
    setAttribute(themeButton, 'aria-label', isDark() ? 'Use light colours' : 'Use dark colours');
  }

  function draw(): void {
    setText(avatar, initials(name.value));
    preview.style.setProperty('--hue', String(hue(name.value)));
    setText(state, camera ? '' : wantCamera ? 'Starting the camera…' : 'Camera is off');
    preview.classList.toggle('has-camera', camera !== undefined);
    button(micButton, wantMic, 'mic', 'micOff', 'Join with microphone off', 'Join with microphone on');
    button(cameraButton, wantCamera, 'camera', 'cameraOff', 'Join with camera off', 'Join with camera on');
    level.parentElement?.classList.toggle('off', microphone === undefined);
  }

  function note(kind: DeviceKind, errorName: string | undefined): void {
    notes.get(kind)?.remove();
    notes.delete(kind);
    if (errorName === undefined) return;
    const row = h('p', { class: 'device-note', 'data-device': kind }, icon('warning'), h('span', {}, deviceProblem(kind, errorName)));
    notes.set(kind, row);
    deviceNotes.append(row);
  }

  function dropCamera(): void {
    camera?.detach(video);
    camera?.stop();
    camera = undefined;
    preview.classList.remove('playing');
  }

  function dropMic(): void {
    stopLevel?.();
    stopLevel = undefined;
    microphone?.stop();
    microphone = undefined;
    showLevel(0);
  }

  /** A remembered device that is gone must not keep the user from the one that is there. */
  async function opened<T>(role: DeviceRole, open: (id: string | undefined) => Promise<T>): Promise<T> {
    const id = devices[role];
    try {
      return await open(id);
    } catch (failure) {
      if (!id || nameOf(failure) !== 'OverconstrainedError') throw failure;
      delete devices[role];
      return open(undefined);
    }
  }

  async function setCamera(on: boolean): Promise<void> {
    wantCamera = on;
    dropCamera();
    note('camera', undefined);
    draw();
    if (!on) return;
    try {
      const track = await opened('videoinput', openCamera);
      if (closed || !wantCamera || camera) return track.stop();
      camera = track;
      track.attach(video);
    } catch (failure) {
      wantCamera = false;
      note('camera', nameOf(failure));
    }
    draw();
    await refill();
  }

  async function setMic(on: boolean): Promise<void> {
    wantMic = on;
    dropMic();
    note('microphone', undefined);
    draw();
    if (!on) return;
    try {
      const track = await opened('audioinput', openMicrophone);
      if (closed || !wantMic || microphone) return track.stop();
      microphone = track;
      stopLevel = watchLevel(track, showLevel);
    } catch (failure) {
      wantMic = false;
      note('microphone', nameOf(failure));
    }
    draw();
    await refill();
  }

  function showLevel(value: number): void {
    levelBar.style.transform = `scaleX(${value.toFixed(2)})`;
    level.setAttribute('aria-valuenow', String(Math.round(value * 100)));
  }

  async function refill(): Promise<void> {
    const found = await listDevices();
    if (closed) return;
    const used = (track: LocalTrack | undefined): string | undefined => track?.mediaStreamTrack.getSettings().deviceId;
    micSelect.fill(found.audioinput, used(microphone) ?? devices.audioinput);
    cameraSelect.fill(found.videoinput, used(camera) ?? devices.videoinput);
    speakerSelect.fill(found.audiooutput, devices.audiooutput);
    test.disabled = found.audiooutput.length === 0;
  }

  async function changed(role: DeviceRole, id: string): Promise<void> {
    devices[role] = id;
    remember(`device.${role}`, id);
    if (role === 'videoinput') await setCamera(true);
    if (role === 'audioinput') await setMic(true);
  }

  function submit(): void {
    if (joinButton.getAttribute('aria-busy')) return;
    const withToken = !tokenField.hidden;
    const pasted = token.value.trim();
    const wrong = withToken
      ? tokenProblem(pasted, Date.now())
      : !name.value.trim()
        ? 'Enter your name.'
        : !room.value.trim()
          ? 'Enter the name of the room.'
          : undefined;
    problem(wrong ?? '');
    if (wrong) return (withToken ? token : !name.value.trim() ? name : room).focus();
    const claims = withToken ? readToken(pasted) : undefined;
    remember('name', name.value.trim());
    options.join({
      room: claims?.room ?? room.value.trim(),
      name: claims ? (claims.name ?? claims.identity ?? '') : name.value.trim(),
      token: withToken ? pasted : undefined,
      mic: wantMic,
      camera: wantCamera,
      tracks: [microphone, camera].filter((track) => track !== undefined),
      devices,
    });
  }

  function problem(text: string): void {
    setText(error, text);
  }

  function describeToken(): void {
    const claims = readToken(token.value);
    const wrong = token.value.trim() ? tokenProblem(token.value, Date.now()) : undefined;
    setText(
      tokenFact,
      wrong ?? (claims?.room ? `Room “${claims.room}” as “${claims.name ?? claims.identity ?? ''}”.` : 'Made with: starling token create --room … --identity …'),
    );
    tokenFact.classList.toggle('bad', wrong !== undefined);
  }

  function needToken(): void {
    tokenField.hidden = false;
    nameField.hidden = true;
    roomField.hidden = true;
    describeToken();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  token.addEventListener('input', describeToken);
  name.addEventListener('input', draw);
  const onDevices = (): void => void refill();
  navigator.mediaDevices?.addEventListener('devicechange', onDevices);
  if (options.token) {
    token.value = options.token;
    needToken();
  }
  if (options.problem) problem(options.problem);
  drawTheme();
  draw();

  return {
    root,
    async start() {
      // On a phone the focus would open the keyboard over the preview.
      if (matchMedia('(hover: hover)').matches) (name.value ? (room.value ? joinButton : room) : name).focus();
      if (!hasMedia()) {
        note('camera', 'InsecureContext');
        note('microphone', 'InsecureContext');
        wantCamera = false;
        wantMic = false;
        draw();
      }
      await Promise.all([setMic(wantMic), setCamera(wantCamera)]);
      await refill();
    },
    submit,
    needToken() {
      needToken();
      token.focus();
    },
    problem,
    joining(busy) {
      setAttribute(joinButton, 'aria-busy', busy ? 'true' : undefined);
      setText(joinButton, busy ? 'Joining…' : 'Join');
      cancelButton.hidden = !busy;
    },
    close() {
      closed = true;
      stopLevel?.();
      camera?.detach(video);
      navigator.mediaDevices?.removeEventListener('devicechange', onDevices);
    },
  };
}

const nameOf = (failure: unknown): string => (failure instanceof Error ? failure.name : '');

function button(element: HTMLButtonElement, on: boolean, onIcon: 'mic' | 'camera', offIcon: 'micOff' | 'cameraOff', onLabel: string, offLabel: string): void {
  element.dataset['tone'] = on ? 'plain' : 'off';
  element.replaceChildren(h('span', { class: 'control-icon' }, icon(on ? onIcon : offIcon)));
  setAttribute(element, 'aria-label', on ? onLabel : offLabel);
  setAttribute(element, 'title', on ? onLabel : offLabel);
}
