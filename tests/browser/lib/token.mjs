// Makes LiveKit access tokens (JWS HS256) for the stories. Not a verifier.
import { createHmac } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token of `devkey`/`secret`; `video` adds to or overrides the room grant, `claims` the top level. */
export function accessToken({ room, identity, name, video = {}, claims = {}, key = 'devkey', secret = 'secret' }) {
  const now = Math.floor(Date.now() / 1000);
  const body = { iss: key, sub: identity, name, nbf: now - 5, exp: now + 3600, video: { roomJoin: true, room, ...video }, ...claims };
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(body)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
