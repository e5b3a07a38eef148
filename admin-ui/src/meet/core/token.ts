// Reads (does not verify) an access token, to tell the user what it is for before the server does.

export interface TokenClaims {
  readonly room: string | undefined;
  readonly identity: string | undefined;
  readonly name: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
}

/** `undefined` when the text is not a JSON Web Token. */
export function readToken(token: string): TokenClaims | undefined {
  const parts = token.trim().split('.');
  if (parts.length !== 3 || !parts[1]) return undefined;
  try {
    const binary = atob(parts[1].replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (!isRecord(claims)) return undefined;
    const video = isRecord(claims['video']) ? claims['video'] : {};
    return {
      room: text(video['room']),
      identity: text(claims['sub']),
      name: text(claims['name']),
      expiresAt: typeof claims['exp'] === 'number' ? claims['exp'] * 1000 : undefined,
    };
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** Why this token cannot work, or `undefined`. */
export function tokenProblem(token: string, now: number): string | undefined {
  const claims = readToken(token);
  if (!claims) return 'This is not an access token. Paste the whole line that starts with “ey”.';
  if (claims.expiresAt !== undefined && claims.expiresAt <= now) return 'This token has expired. Ask for a new one.';
  if (!claims.room) return 'This token names no room.';
  return undefined;
}
