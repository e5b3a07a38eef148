// What the address of the page asks for, and the addresses the page makes.

export interface Params {
  readonly room: string;
  readonly name: string;
  readonly identity: string | undefined;
  readonly token: string | undefined;
  readonly autojoin: boolean;
  /** `undefined` leaves the choice to the LiveKit client. */
  readonly singlePeerConnection: boolean | undefined;
  readonly adaptiveStream: boolean;
  readonly mic: boolean;
  readonly camera: boolean;
}

/** Longest room or identity the page sends, characters; LiveKit's own limit is 256. */
const NAME_MAX = 256;

const flag = (value: string | null): boolean | undefined =>
  value === null || value === '' ? undefined : value !== '0' && value !== 'false';

export function readParams(search: string): Params {
  const query = new URLSearchParams(search);
  const text = (key: string): string => (query.get(key) ?? '').trim().slice(0, NAME_MAX);
  return {
    room: text('room'),
    name: text('name'),
    identity: text('identity') || undefined,
    token: query.get('token')?.trim() || undefined,
    autojoin: flag(query.get('autojoin')) ?? false,
    singlePeerConnection: flag(query.get('single')),
    adaptiveStream: flag(query.get('adaptive')) ?? true,
    mic: flag(query.get('mic')) ?? true,
    camera: flag(query.get('cam')) ?? true,
  };
}

/** A link that others can open: the room and nothing of one's own. */
export function inviteLink(origin: string, room: string): string {
  return `${origin}/meet?room=${encodeURIComponent(room)}`;
}

export function tokenPath(room: string, identity: string, name: string): string {
  return `/meet/token?${new URLSearchParams({ room, identity, name })}`;
}

/** The signalling address of the node that served the page. */
export function signalUrl(origin: string): string {
  return origin.replace(/^http/, 'ws');
}

/** An identity that says who it is and does not meet another one's: `ana-lopez-x7k2`. */
export function makeIdentity(name: string, random: string): string {
  const slug = name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40);
  return `${slug || 'guest'}-${random}`;
}
