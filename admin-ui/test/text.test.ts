import { describe, expect, it } from 'vitest';
import { clock, duration, hue, initials } from '../src/meet/core/format';
import { inviteLink, makeIdentity, readParams, signalUrl, tokenPath } from '../src/meet/core/params';
import { deviceProblem, farewell, joinProblem } from '../src/meet/core/problems';
import { actionOf, isTyping } from '../src/meet/core/shortcuts';
import { readToken, tokenProblem } from '../src/meet/core/token';

describe('format', () => {
  it('makes initials of any name', () => {
    expect(initials('Ana López')).toBe('AL');
    expect(initials('  émile ')).toBe('É');
    expect(initials('zoë van der berg')).toBe('ZB');
    expect(initials('田中 美衣')).toBe('田美');
    expect(initials('🙂')).toBe('?');
    expect(initials('')).toBe('?');
  });
  it('writes durations with and without hours', () => {
    expect(duration(0)).toBe('0:00');
    expect(duration(65_999)).toBe('1:05');
    expect(duration(3_600_000 + 62_000)).toBe('1:01:02');
    expect(duration(-5)).toBe('0:00');
  });
  it('writes the time of day', () => {
    expect(clock(Date.UTC(2026, 0, 1, 9, 5), 'en-GB', 'UTC')).toBe('09:05');
  });
  it('gives an identity one hue', () => {
    expect(hue('ana')).toBe(hue('ana'));
    expect(hue('ana')).toBeLessThan(360);
  });
});

describe('the address', () => {
  it('is read with its defaults', () => {
    expect(readParams('')).toEqual({ room: '', name: '', identity: undefined, token: undefined, autojoin: false, singlePeerConnection: undefined, adaptiveStream: true, mic: true, camera: true });
  });
  it('is read with every switch', () => {
    const p = readParams('?room=a%20b&name=Ana&token=x&autojoin=1&single=0&adaptive=0&mic=0&cam=0&identity=i');
    expect(p).toEqual({ room: 'a b', name: 'Ana', identity: 'i', token: 'x', autojoin: true, singlePeerConnection: false, adaptiveStream: false, mic: false, camera: false });
    expect(readParams('?single=1').singlePeerConnection).toBe(true);
    expect(readParams(`?room=${'x'.repeat(999)}`).room).toHaveLength(256);
  });
  it('is made without anything of one’s own', () => {
    expect(inviteLink('https://h', 'a&b')).toBe('https://h/meet?room=a%26b');
    expect(tokenPath('r 1', 'i', 'n&m')).toBe('/meet/token?room=r+1&identity=i&name=n%26m');
    expect(signalUrl('https://h:1')).toBe('wss://h:1');
    expect(signalUrl('http://h')).toBe('ws://h');
    expect(makeIdentity('Ana López!', 'x1')).toBe('ana-lopez-x1');
    expect(makeIdentity('🙂', 'x1')).toBe('guest-x1');
  });
});

const base64url = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
const token = (claims: unknown): string => `h.${base64url(JSON.stringify(claims))}.s`;

describe('tokens', () => {
  it('are read for what the user wants to know', () => {
    expect(readToken(token({ sub: 'i', name: 'Zoë', exp: 5, video: { room: 'r' } }))).toEqual({ room: 'r', identity: 'i', name: 'Zoë', expiresAt: 5000 });
  });
  it('that cannot work are explained before the server is asked', () => {
    expect(tokenProblem('hello', 0)).toContain('not an access token');
    expect(tokenProblem('a.%%%.c', 0)).toContain('not an access token');
    expect(tokenProblem(token([1]), 0)).toContain('not an access token');
    expect(tokenProblem(token({ exp: 5, video: { room: 'r' } }), 5000)).toContain('expired');
    expect(tokenProblem(token({ exp: 5 }), 0)).toContain('no room');
    expect(tokenProblem(token({ exp: 5, video: { room: 'r' } }), 4999)).toBeUndefined();
  });
});

describe('problems', () => {
  it('of devices say what to do', () => {
    expect(deviceProblem('camera', 'NotAllowedError')).toContain('address bar');
    expect(deviceProblem('microphone', 'NotFoundError')).toContain('No microphone found');
    expect(deviceProblem('camera', 'NotReadableError')).toContain('another program');
    expect(deviceProblem('camera', 'InsecureContext')).toContain('https');
    expect(deviceProblem('camera', 'Odd')).toBe('The camera could not be started.');
  });
  it.each([
    [{ reason: 'NotAllowed', status: 401, message: 'token is expired (exp)' }, 'has expired'],
    [{ reason: 'NotAllowed', status: 401, message: 'invalid API key' }, 'does not accept this token'],
    [{ reason: 'NotAllowed', status: 403, message: 'room exceeded max participants' }, 'full'],
    [{ reason: 'NotAllowed', status: 404, message: 'requested room does not exist' }, 'does not exist'],
    [{ reason: 'InternalError', status: 503, message: '' }, 'no capacity'],
    [{ reason: 'InternalError', status: 429, message: '' }, 'full'],
    [{ reason: 'ServerUnreachable', message: 'x' }, 'cannot be reached'],
    [{ reason: 'Timeout', message: 'x' }, 'in time'],
    [{ reason: 'InternalError', message: 'could not establish pc connection' }, 'firewall'],
    [{ reason: 'Other', message: `odd\n${'x'.repeat(500)}` }, 'Joining failed: odd x'],
  ])('of joining: %o', (failure, text) => {
    expect(joinProblem(failure)).toContain(text);
    expect(joinProblem(failure).length).toBeLessThan(230);
  });
  it('offer to come back only where that can work', () => {
    expect(farewell('PARTICIPANT_REMOVED').rejoin).toBe(false);
    expect(farewell('ROOM_DELETED').title).toContain('ended');
    expect(farewell('DUPLICATE_IDENTITY').title).toContain('somewhere else');
    expect(farewell(undefined).rejoin).toBe(true);
  });
});

describe('shortcuts', () => {
  const key = (k: string, change = {}) => ({ key: k, ctrlKey: false, metaKey: false, altKey: false, repeat: false, typing: false, ...change });
  it('act on plain letters, whatever their case', () => {
    expect(['m', 'V', 's', 'c', 'p', 'g', 'x'].map((k) => actionOf(key(k)))).toEqual(['mic', 'camera', 'screen', 'chat', 'people', 'view', undefined]);
  });
  it('leave typing and the browser’s own keys alone', () => {
    expect(actionOf(key('m', { typing: true }))).toBeUndefined();
    expect(actionOf(key('c', { ctrlKey: true }))).toBeUndefined();
    expect(actionOf(key('m', { repeat: true }))).toBeUndefined();
    expect(actionOf(key('Escape', { typing: true }))).toBe('close');
  });
  it('know where letters are text', () => {
    expect(isTyping({ tagName: 'INPUT', type: 'text' })).toBe(true);
    expect(isTyping({ tagName: 'INPUT', type: 'checkbox' })).toBe(false);
    expect(isTyping({ tagName: 'TEXTAREA' })).toBe(true);
    expect(isTyping({ tagName: 'BUTTON' })).toBe(false);
    expect(isTyping(null)).toBe(false);
  });
});
