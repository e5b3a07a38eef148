// Gets the token for a room from a node in development mode; any other node answers 404 and the user brings one.
import { tokenPath } from './core/params';

export interface Access {
  readonly token: string;
  readonly url: string | undefined;
}

/** Patience with the token request, milliseconds. */
const TOKEN_TIMEOUT = 8000;

export type AccessAnswer = Access | 'needs-token' | { readonly problem: string };

export async function askForToken(room: string, identity: string, name: string): Promise<AccessAnswer> {
  let response: Response;
  try {
    response = await fetch(tokenPath(room, identity, name), { cache: 'no-store', signal: AbortSignal.timeout(TOKEN_TIMEOUT) });
  } catch {
    return { problem: 'The server cannot be reached. Check your connection and try again.' };
  }
  if (response.status === 404) return 'needs-token';
  if (!response.ok) {
    const text = (await response.text().catch(() => '')).slice(0, 200);
    return { problem: `The server gave no token (${response.status}${text ? `: ${text}` : ''}).` };
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (typeof body !== 'object' || body === null || !('token' in body) || typeof body.token !== 'string') {
    return 'needs-token';
  }
  return { token: body.token, url: 'url' in body && typeof body.url === 'string' && body.url ? body.url : undefined };
}
