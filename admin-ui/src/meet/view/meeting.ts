// The meeting: one stage, a bar of controls, panels, and what has to be said in between.
import { h, setAttribute, setText } from '../../shared/dom';
import { icon } from '../../shared/icons';
import { applyTheme, isDark } from '../../shared/theme';
import type { ChatMessage } from '../core/chat';
import { bannerOf, connection, initialConnection } from '../core/connection';
import { duration, peopleCount } from '../core/format';
import { inviteLink } from '../core/params';
import { actionOf, isTyping } from '../core/shortcuts';
import { addToast, expireToasts, type Toast, type ToastKind, toastText } from '../core/toasts';
import type { DeviceRole, Session } from '../session';
import { chatPanel } from './chat-panel';
import { control } from './controls';
import { peoplePanel } from './people-panel';
import { settingsDialog } from './settings';
import { createStage } from './stage';

type Panel = 'chat' | 'people';

export interface MeetingOptions {
  readonly ended: (reason: string | undefined) => void;
  readonly deviceChosen: (role: DeviceRole, id: string) => void;
}

/** How often time-dependent text is brought up to date, milliseconds. */
const TICK = 500;

/** Builds the meeting on `session`; the returned element lives until the session ends. */
export function createMeeting(session: Session, { ended, deviceChosen }: MeetingOptions): HTMLElement {
  const startedAt = Date.now();
  let link = initialConnection;
  let toasts: readonly Toast[] = [];
  let open: Panel | undefined;
  let scheduled = false;
  let over = false;
  const noteRows = new Map<number, HTMLElement>();

  // Header
  const clock = h('span', { class: 'clock', 'aria-label': 'Time in the meeting' }, '0:00');
  const count = h('span', { class: 'count' });
  const viewButton = h('button', { type: 'button', class: 'round', 'data-control': 'view', 'aria-keyshortcuts': 'G', onclick: () => stage.toggleView() });
  const themeButton = h('button', { type: 'button', class: 'round', 'data-control': 'theme', onclick: () => flipTheme() });
  const inviteButton = h('button', { type: 'button', class: 'secondary compact', 'data-control': 'invite', 'aria-label': 'Copy invite link', onclick: () => void copyInvite() }, icon('link'), h('span', {}, 'Invite'));
  const header = h(
    'header',
    { class: 'top' },
    h('h1', { class: 'room-name', title: session.roomName }, session.roomName),
    h('span', { class: 'top-facts' }, clock, count),
    h('span', { class: 'spacer' }),
    inviteButton,
    viewButton,
    themeButton,
  );

  // What is said
  const banner = h('div', { class: 'banner', role: 'status', 'data-banner': '' });
  const soundButton = h('button', { type: 'button', class: 'sound', hidden: true, onclick: () => void session.enableSound() }, icon('sound'), 'Click to enable sound');
  const notes = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });

  // Stage and panels
  const alone = h(
    'div',
    { class: 'alone' },
    h('div', { class: 'alone-inner' }, h('h2', {}, 'You are the first one here'), h('p', {}, 'Send the link to those you want to talk to.'), h('button', { type: 'button', class: 'primary', onclick: () => void copyInvite() }, icon('link'), 'Copy invite link')),
  );
  const stage = createStage({ alone, now: () => Date.now(), viewChanged: drawView });
  const chat = chatPanel({ submit: (text) => void sendChat(text), retry: (message) => void deliver(message), close: () => show(undefined) });
  const people = peoplePanel(() => show(undefined), () => void copyInvite());
  const settings = settingsDialog(session, deviceChosen, drawTheme);

  // Controls
  const own = () => session.people().find((p) => p.isLocal);
  const mic = control('mic', 'M', () => void toggle('mic'));
  const camera = control('camera', 'V', () => void toggle('camera'));
  const screen = control('screen', 'S', () => void toggle('screen'));
  const chatButton = control('chat', 'C', () => show(open === 'chat' ? undefined : 'chat'));
  const peopleButton = control('people', 'P', () => show(open === 'people' ? undefined : 'people'));
  const settingsButton = control('settings', undefined, () => settings.open());
  const leave = control('leave', undefined, () => void session.leave());
  const bar = h('nav', { class: 'bar', 'aria-label': 'Meeting controls' }, mic.root, camera.root, screen.root, chatButton.root, peopleButton.root, settingsButton.root, leave.root);
  screen.root.hidden = !session.canShareScreen();
  settingsButton.set({ icon: 'settings', label: 'Settings and devices', short: 'Settings', tone: 'plain' });
  leave.set({ icon: 'leave', label: 'Leave the meeting', short: 'Leave', tone: 'danger' });

  const middle = h('main', { class: 'middle' }, h('div', { class: 'stage-wrap' }, stage.root, banner, soundButton, notes), chat.root, people.root);
  const root = h('div', { class: 'meeting' }, header, middle, bar, settings.root);

  async function toggle(what: 'mic' | 'camera' | 'screen'): Promise<void> {
    const me = own();
    const button = { mic, camera, screen }[what];
    if (!me || button.root.hidden || button.root.getAttribute('aria-busy')) return;
    button.busy(true);
    try {
      if (what === 'mic') await session.setMic(!me.micOn);
      else if (what === 'camera') await session.setCamera(!me.cameraOn);
      else await session.setScreen(!me.screenOn);
    } finally {
      button.busy(false);
      changed();
    }
  }

  function show(panel: Panel | undefined): void {
    const before = open;
    open = panel;
    root.dataset['panel'] = panel ?? '';
    chat.root.hidden = panel !== 'chat';
    people.root.hidden = panel !== 'people';
    chat.send({ type: 'open', open: panel === 'chat' });
    if (panel === 'chat') {
      toasts = toasts.filter((t) => t.kind !== 'chat');
      drawToasts();
      chat.focus();
    } else if (panel === 'people') people.focus();
    else if (before) (before === 'chat' ? chatButton : peopleButton).root.focus();
    draw();
  }

  function drawView(): void {
    const toGrid = stage.view() === 'speaker';
    viewButton.replaceChildren(icon(toGrid ? 'grid' : 'speaker'));
    const label = toGrid ? 'Show everyone in a grid' : 'Show the speaker large';
    setAttribute(viewButton, 'aria-label', label);
    setAttribute(viewButton, 'title', `${label} (G)`);
  }

  function drawTheme(): void {
    const dark = isDark();
    themeButton.replaceChildren(icon(dark ? 'sun' : 'moon'));
    setAttribute(themeButton, 'aria-label', dark ? 'Use light colours' : 'Use dark colours');
    setAttribute(themeButton, 'title', dark ? 'Light colours' : 'Dark colours');
  }

  function flipTheme(): void {
    applyTheme(isDark() ? 'light' : 'dark');
    drawTheme();
  }

  async function copyInvite(): Promise<void> {
    const address = inviteLink(location.origin, session.roomName);
    try {
      await navigator.clipboard.writeText(address);
      toast('info', 'Invite link copied.');
    } catch {
      toast('info', `Invite link: ${address}`);
    }
  }

  async function sendChat(text: string): Promise<void> {
    const me = own();
    const message: ChatMessage = { id: crypto.randomUUID?.() ?? String(Math.random()), identity: me?.identity ?? '', name: me?.name ?? 'You', own: true, text, at: Date.now(), state: 'sending' };
    chat.send({ type: 'message', message });
    await deliver(message);
  }

  async function deliver(message: ChatMessage): Promise<void> {
    chat.send({ type: 'state', id: message.id, state: 'sending' });
    try {
      await session.sendChat(message.text);
      chat.send({ type: 'state', id: message.id, state: 'sent' });
    } catch {
      chat.send({ type: 'state', id: message.id, state: 'failed' });
    }
  }

  function toast(kind: ToastKind, part: string): void {
    toasts = addToast(toasts, kind, part, Date.now());
    drawToasts();
  }

  function drawToasts(): void {
    const ids = new Set(toasts.map((t) => t.id));
    for (const [id, row] of noteRows) {
      if (ids.has(id)) continue;
      row.remove();
      noteRows.delete(id);
    }
    for (const note of toasts) {
      let row = noteRows.get(note.id);
      if (!row) {
        row = h('div', { class: 'toast', 'data-kind': note.kind });
        noteRows.set(note.id, row);
        notes.append(row);
      }
      setText(row, toastText(note));
    }
  }

  function drawBanner(): void {
    const text = bannerOf(link, Date.now());
    root.dataset['link'] = link.link;
    banner.dataset['tone'] = text?.tone ?? '';
    setText(banner, text?.text ?? '');
  }

  function draw(): void {
    if (over) return;
    const everyone = session.people();
    const me = everyone.find((p) => p.isLocal);
    setText(count, peopleCount(everyone.length));
    stage.render(everyone);
    if (open === 'people') people.render(everyone);
    mic.set(me?.micOn ? { icon: 'mic', label: 'Mute microphone', short: 'Mute', tone: 'plain' } : { icon: 'micOff', label: 'Unmute microphone', short: 'Unmute', tone: 'off' });
    camera.set(me?.cameraOn ? { icon: 'camera', label: 'Turn camera off', short: 'Camera', tone: 'plain' } : { icon: 'cameraOff', label: 'Turn camera on', short: 'Camera', tone: 'off' });
    screen.set(me?.screenOn ? { icon: 'screen', label: 'Stop sharing', short: 'Stop', tone: 'active' } : { icon: 'screen', label: 'Share screen', short: 'Share', tone: 'plain' });
    const unread = chat.unread();
    chatButton.set({ icon: 'chat', label: 'Chat', short: 'Chat', tone: open === 'chat' ? 'active' : 'plain', badge: unread, pressed: open === 'chat' });
    peopleButton.set({ icon: 'people', label: 'People', short: 'People', tone: open === 'people' ? 'active' : 'plain', pressed: open === 'people' });
    chat.allow(session.canChat());
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${session.roomName} · Starling`;
  }

  /** Many events come together; they are drawn once, also while the page is hidden and gets no frames. */
  function changed(): void {
    if (scheduled) return;
    scheduled = true;
    const run = (): void => {
      scheduled = false;
      draw();
    };
    if (document.hidden) setTimeout(run, 0);
    else requestAnimationFrame(run);
  }

  const onKey = (event: KeyboardEvent): void => {
    if (settings.root.open) return;
    const action = actionOf({
      key: event.key,
      ctrlKey: event.ctrlKey,
      metaKey: event.metaKey,
      altKey: event.altKey,
      repeat: event.repeat,
      typing: isTyping(document.activeElement as HTMLInputElement | null),
    });
    if (!action) return;
    if (action === 'close') {
      if (open) show(undefined);
      return;
    }
    event.preventDefault();
    if (action === 'mic' || action === 'camera' || action === 'screen') void toggle(action);
    else if (action === 'view') stage.toggleView();
    else show(open === action ? undefined : action);
  };
  const onDevices = (): void => settings.refresh();
  document.addEventListener('keydown', onKey);
  navigator.mediaDevices?.addEventListener('devicechange', onDevices);

  const timer = setInterval(() => {
    setText(clock, duration(Date.now() - startedAt));
    toasts = expireToasts(toasts, Date.now());
    drawToasts();
    drawBanner();
    // The spotlight may move on without a new event.
    changed();
  }, TICK);

  session.listen({
    changed,
    link(next) {
      link = connection(link, next, Date.now());
      drawBanner();
    },
    joined: (name) => toast('join', name),
    left: (name) => link.link === 'up' && toast('leave', name),
    message(message) {
      chat.send({ type: 'message', message });
      if (open !== 'chat' && !message.own) toast('chat', `${message.name}: ${message.text.slice(0, 80)}`);
      changed();
    },
    problem: (text) => toast('error', text),
    soundBlocked: (blocked) => {
      soundButton.hidden = !blocked;
    },
    ended(reason) {
      over = true;
      clearInterval(timer);
      document.removeEventListener('keydown', onKey);
      navigator.mediaDevices?.removeEventListener('devicechange', onDevices);
      stage.close();
      document.title = 'Starling';
      ended(reason);
    },
  });

  drawView();
  drawTheme();
  show(undefined);
  return root;
}
