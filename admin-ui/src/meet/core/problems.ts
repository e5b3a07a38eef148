// Failures in words that tell the user what to do.

export type DeviceKind = 'camera' | 'microphone' | 'screen' | 'speaker';

const NOUN: Record<DeviceKind, string> = {
  camera: 'camera',
  microphone: 'microphone',
  screen: 'screen',
  speaker: 'speaker',
};

/** `errorName` is the name of the DOMException that getUserMedia and its kin throw. */
export function deviceProblem(kind: DeviceKind, errorName: string): string {
  const noun = NOUN[kind];
  switch (errorName) {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
      return kind === 'screen'
        ? 'Sharing was not allowed.'
        : `Access to the ${noun} is blocked. Allow it in the address bar of the browser, then try again.`;
    case 'NotFoundError':
    case 'DevicesNotFoundError':
      return `No ${noun} found. Plug one in, or go on without.`;
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError':
      return `The ${noun} is in use by another program. Close it there, then try again.`;
    case 'OverconstrainedError':
      return `The chosen ${noun} is gone. Choose another one.`;
    case 'InsecureContext':
      return `The browser gives no access to the ${noun} on an unencrypted page. Open this page over https.`;
    default:
      return `The ${noun} could not be started.`;
  }
}

export interface JoinFailure {
  /** LiveKit's ConnectionErrorReason by name, or one of the page's own. */
  readonly reason: string;
  readonly status?: number | undefined;
  readonly message: string;
}

export function joinProblem(failure: JoinFailure): string {
  const said = failure.message.toLowerCase();
  if (said.includes('requested room does not exist')) return 'This room does not exist. Check its name, or ask the host to open it.';
  if (said.includes('expired') || said.includes('token is expired')) return 'Your token has expired. Ask for a new one.';
  if (failure.status === 429 || said.includes('max participants') || said.includes('room is full') || said.includes('participants exceeded')) {
    return 'This room is full. Try again when somebody has left.';
  }
  if (failure.status === 401) return 'The server does not accept this token. It may have expired or be meant for another server.';
  if (failure.status === 403) return 'You are not allowed to join this room.';
  if (failure.status === 400) return `The server refused the request: ${clean(failure.message)}`;
  if (failure.status === 503) return 'The server has no capacity left. Try again in a moment.';
  switch (failure.reason) {
    case 'NotAllowed':
      return 'The server refused this token. It may have expired or be meant for another server.';
    case 'ServerUnreachable':
    case 'WebSocket':
    case 'ServiceNotFound':
      return 'The server cannot be reached. Check your connection and try again.';
    case 'Timeout':
      return 'The server did not answer in time. Try again.';
    case 'LeaveRequest':
      return 'The server ended the session while you were joining.';
    case 'Cancelled':
      return 'Joining was cancelled.';
    default:
      return said.includes('could not establish pc connection') || said.includes('peer connection')
        ? 'No way for sound and video to the server was found. A firewall may block it.'
        : `Joining failed: ${clean(failure.message) || 'no reason was given'}`;
  }
}

/** One line of at most 200 characters: the text comes from outside. */
const clean = (message: string): string => message.replace(/\s+/g, ' ').trim().slice(0, 200);

export interface Farewell {
  readonly title: string;
  readonly text: string;
  readonly rejoin: boolean;
}

/** `reason` is LiveKit's DisconnectReason by name. */
export function farewell(reason: string | undefined): Farewell {
  switch (reason) {
    case 'CLIENT_INITIATED':
      return { title: 'You left the meeting', text: 'Come back any time.', rejoin: true };
    case 'DUPLICATE_IDENTITY':
      return { title: 'You joined from somewhere else', text: 'The same identity is now in this room in another window or on another device.', rejoin: true };
    case 'SERVER_SHUTDOWN':
      return { title: 'The server is going down', text: 'You can try to join again; another node may take the room.', rejoin: true };
    case 'PARTICIPANT_REMOVED':
      return { title: 'You were removed', text: 'A host removed you from this meeting.', rejoin: false };
    case 'ROOM_DELETED':
    case 'ROOM_CLOSED':
      return { title: 'The meeting has ended', text: 'The room was closed for everybody.', rejoin: false };
    case 'JOIN_FAILURE':
      return { title: 'Joining failed', text: 'The server could not complete the join.', rejoin: true };
    case 'CONNECTION_TIMEOUT':
    case 'MEDIA_FAILURE':
      return { title: 'The connection was lost', text: 'Sound and video could not reach the server. Check your network.', rejoin: true };
    default:
      return { title: 'The connection was lost', text: 'The server could not be reached any more. Check your network.', rejoin: true };
  }
}
