import type { Person } from '../src/meet/core/model';

export function person(identity: string, change: Partial<Person> = {}): Person {
  return {
    identity,
    name: identity,
    isLocal: identity === 'me',
    joinedAt: 0,
    micOn: true,
    cameraOn: true,
    screenOn: false,
    speaking: false,
    lastSpokeAt: 0,
    quality: 'unknown',
    camera: undefined,
    screen: undefined,
    ...change,
  };
}
