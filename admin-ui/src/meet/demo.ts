// Invented people with drawn pictures, to look at the meeting without a server: `?demo=6[&screen=1][&link=full][&panel=chat]`.
// In development and demo builds only.
import type { Link } from './core/connection';
import type { Person, Picture, Quality } from './core/model';
import type { Session, SessionListener } from './session';

const NAMES = ['Ana López', 'Jonas Weber', 'Mei Tanaka', 'Samuel Okafor', 'Priya Raman', 'Lukas', 'Zoë van der Berg-Achternaamsma', 'Ivan Petrov', 'Fatima Zahra', 'Ole Hansen', 'Chloé Martin', 'Kofi Mensah'];
const QUALITIES: Quality[] = ['excellent', 'good', 'excellent', 'poor', 'excellent', 'lost'];

export function demoSession(search: string): Session {
  const query = new URLSearchParams(search);
  const count = Math.min(60, Math.max(1, Number(query.get('demo'))));
  const shared = query.get('screen') === '1';
  const cameras = query.get('cameras') !== '0';
  const link = (query.get('link') ?? 'up') as Link;
  const own = { mic: true, camera: true, screen: false };
  let speaking = Math.min(1, count - 1);
  let listener: SessionListener | undefined;
  const pictures = Array.from({ length: count }, (_, i) => drawnPicture(i));
  const shareScreen = drawnScreen();

  const person = (i: number): Person => {
    const cameraOn = i === 0 ? own.camera : cameras && i % 4 !== 3;
    return {
      identity: `demo-${i}`,
      name: (NAMES[i % NAMES.length] ?? '') + (i < NAMES.length ? '' : ` ${i}`),
      isLocal: i === 0,
      joinedAt: i,
      micOn: i === 0 ? own.mic : i % 3 !== 2,
      cameraOn,
      screenOn: i === 0 ? own.screen : shared && i === 1,
      speaking: i === speaking && i !== 0,
      lastSpokeAt: i === speaking ? Date.now() : 0,
      quality: QUALITIES[i % QUALITIES.length] ?? 'unknown',
      camera: cameraOn ? pictures[i] : undefined,
      screen: (i === 0 ? own.screen : shared && i === 1) ? shareScreen : undefined,
    };
  };
  const say = (i: number, text: string, ago: number): void =>
    listener?.message({ id: `m${ago}`, identity: `demo-${i}`, name: NAMES[i] ?? '', own: false, text, at: Date.now() - ago, state: 'sent' });

  return {
    roomName: 'weekly-sync',
    listen(next) {
      listener = next;
      next.link('up');
      next.link(link);
      next.soundBlocked(query.get('sound') === '1');
      if (count > 1) {
        say(1, 'Good morning! The agenda is at https://example.org/agenda.', 400_000);
        say(1, 'Three points today.', 390_000);
        say(Math.min(2, count - 1), 'Can we begin with the release? I have to leave at a quarter past.', 60_000);
        next.joined(NAMES[Math.min(2, count - 1)] ?? '');
      }
      const panel = query.get('panel');
      if (panel) setTimeout(() => document.querySelector<HTMLElement>(`[data-control="${panel}"]`)?.click(), 50);
      setInterval(() => {
        if (count > 2) speaking = 1 + ((speaking + 1) % (count - 1));
        next.changed();
      }, 3000);
      next.changed();
    },
    people: () => Array.from({ length: count }, (_, i) => person(i)),
    canShareScreen: () => true,
    canChat: () => true,
    setMic: async (on) => void (own.mic = on),
    setCamera: async (on) => void (own.camera = on),
    setScreen: async (on) => void (own.screen = on),
    sendChat: async (text) => {
      if (text.includes('fail')) throw new Error('demo');
    },
    enableSound: async () => listener?.soundBlocked(false),
    device: () => undefined,
    setDevice: async () => undefined,
    leave: async () => listener?.ended('CLIENT_INITIATED'),
  };
}

function drawnPicture(i: number): Picture {
  return drawn(`camera${i}`, 640, 360, (g) => {
    const light = g.createLinearGradient(0, 0, 640, 360);
    light.addColorStop(0, `hsl(${(i * 67 + 20) % 360} 30% 62%)`);
    light.addColorStop(1, `hsl(${(i * 67 + 60) % 360} 25% 34%)`);
    g.fillStyle = light;
    g.fillRect(0, 0, 640, 360);
    g.fillStyle = `hsl(${(i * 91) % 360} 35% 28%)`;
    g.beginPath();
    g.ellipse(320, 380, 150, 140, 0, 0, 7);
    g.fill();
    g.fillStyle = `hsl(25 ${35 + (i % 3) * 8}% ${40 + (i % 5) * 9}%)`;
    g.beginPath();
    g.ellipse(320, 175, 66, 84, 0, 0, 7);
    g.fill();
  });
}

function drawnScreen(): Picture {
  return drawn('screen', 1280, 720, (g) => {
    g.fillStyle = '#fbfbfd';
    g.fillRect(0, 0, 1280, 720);
    g.fillStyle = '#25304a';
    g.font = '600 44px sans-serif';
    g.fillText('Release plan', 80, 110);
    g.fillStyle = '#c8cede';
    for (let line = 0; line < 9; line += 1) g.fillRect(80, 170 + line * 54, 560 - ((line * 97) % 240), 18);
    [180, 320, 260, 420].forEach((height, bar) => {
      g.fillStyle = `hsl(${220 + bar * 25} 60% 60%)`;
      g.fillRect(760 + bar * 110, 640 - height, 70, height);
    });
  });
}

function drawn(key: string, width: number, height: number, draw: (g: CanvasRenderingContext2D) => void): Picture {
  let stream: MediaStream | undefined;
  return {
    key,
    attach(element) {
      if (!stream) {
        const canvas = document.createElement('canvas');
        canvas.width = width;
        canvas.height = height;
        const g = canvas.getContext('2d');
        if (!g) return;
        stream = canvas.captureStream(5);
        draw(g);
        setInterval(() => draw(g), 400);
      }
      element.srcObject = stream;
    },
    detach(element) {
      element.srcObject = null;
    },
  };
}
