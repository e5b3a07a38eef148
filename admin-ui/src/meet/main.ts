// The way through the page: lobby, meeting, farewell.
import type { LocalTrack, Room } from 'livekit-client';
import '../style/base.css';
import '../style/lobby.css';
import '../style/meeting.css';
import { recall, remember } from '../shared/store';
import { applyTheme } from '../shared/theme';
import { askForToken } from './access';
import { makeIdentity, readParams, signalUrl } from './core/params';
import { farewell, joinProblem } from './core/problems';
import { joinFailure, LiveSession } from './live';
import { createLobby, type Lobby, type LobbyChoice } from './view/lobby';
import { createMeeting } from './view/meeting';
import { farewellPage } from './view/farewell';

declare global {
  interface Window {
    /** For end-to-end tests and the curious: the LiveKit room behind the page. */
    starling: { room: Room | undefined };
  }
}

window.starling = { room: undefined };
applyTheme();
const app = document.querySelector<HTMLElement>('#app') as HTMLElement;
const params = readParams(location.search);
let last = { room: params.room, name: params.name || (recall('name') ?? (params.autojoin ? 'Guest' : '')), mic: params.mic, camera: params.camera };

/** One identity per tab, so that a reload takes the place of the page it replaces. */
function identityFor(name: string): string {
  if (params.identity) return params.identity;
  const fresh = (): string => makeIdentity(name, Math.random().toString(36).slice(2, 6));
  try {
    const stored = sessionStorage.getItem('starling.identity');
    const [owner, identity] = stored ? (JSON.parse(stored) as [string, string]) : [];
    if (owner === name && identity) return identity;
    const made = fresh();
    sessionStorage.setItem('starling.identity', JSON.stringify([name, made]));
    return made;
  } catch {
    return fresh();
  }
}

function showLobby(problem?: string): Lobby {
  let session: LiveSession | undefined;
  let cancelled = false;

  const join = async (choice: LobbyChoice): Promise<void> => {
    cancelled = false;
    lobby.problem('');
    lobby.joining(true);
    last = { room: choice.room, name: choice.name || last.name, mic: choice.mic, camera: choice.camera };
    try {
      const access = choice.token ? { token: choice.token, url: undefined } : await askForToken(choice.room, identityFor(choice.name), choice.name);
      if (cancelled) return;
      if (access === 'needs-token') {
        lobby.needToken();
        lobby.problem('This server hands out no tokens. Paste the access token you were given.');
        return;
      }
      if ('problem' in access) return lobby.problem(access.problem);
      session = new LiveSession({ singlePeerConnection: params.singlePeerConnection, adaptiveStream: params.adaptiveStream, devices: choice.devices });
      window.starling.room = session.room;
      await session.join(access.url ?? signalUrl(location.origin), access.token);
      if (cancelled) return await session.leave();
      lobby.close();
      showMeeting(session, choice.tracks);
    } catch (error) {
      if (!cancelled) lobby.problem(joinProblem(joinFailure(error)));
    } finally {
      lobby.joining(false);
    }
  };

  const lobby = createLobby({
    ...last,
    token: params.token,
    problem,
    join: (choice) => void join(choice),
    cancel: () => {
      cancelled = true;
      void session?.leave();
      lobby.joining(false);
    },
  });
  app.replaceChildren(lobby.root);
  return lobby;
}

function showMeeting(session: LiveSession, tracks: readonly LocalTrack[]): void {
  const meeting = createMeeting(session, {
    ended: (reason) => {
      const again = (): void => void showLobby().start();
      app.replaceChildren(farewellPage(farewell(reason), () => void rejoin(), again));
    },
    deviceChosen: (role, id) => remember(`device.${role}`, id),
  });
  app.replaceChildren(meeting);
  session.publish(tracks);
}

async function rejoin(): Promise<void> {
  const lobby = showLobby();
  await lobby.start();
  lobby.submit();
}

async function begin(): Promise<void> {
  if (import.meta.env.DEV || import.meta.env.MODE === 'demo') {
    const demo = new URLSearchParams(location.search).get('demo');
    if (demo) {
      const { demoSession } = await import('./demo');
      app.replaceChildren(createMeeting(demoSession(location.search), { ended: () => void showLobby(), deviceChosen: () => undefined }));
      return;
    }
  }
  const lobby = showLobby();
  if (params.autojoin) {
    await lobby.start();
    lobby.submit();
    return;
  }
  void lobby.start();
  // Asked early so that a server without tokens says so before the form is filled in.
  if (!params.token && (await askForToken(params.room || 'lobby', 'probe', 'probe')) === 'needs-token') lobby.needToken();
}

void begin();
