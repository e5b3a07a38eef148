// What the page knows of a meeting, free of the LiveKit client and of the DOM.

export type Quality = 'excellent' | 'good' | 'poor' | 'lost' | 'unknown';

/** A picture that can be put on a <video> element; `key` changes when the track behind it does. */
export interface Picture {
  readonly key: string;
  attach(element: HTMLVideoElement): void;
  detach(element: HTMLVideoElement): void;
}

export interface Person {
  readonly identity: string;
  readonly name: string;
  readonly isLocal: boolean;
  /** Milliseconds since the epoch. */
  readonly joinedAt: number;
  readonly micOn: boolean;
  readonly cameraOn: boolean;
  readonly screenOn: boolean;
  readonly speaking: boolean;
  /** Milliseconds since the epoch, 0 when not heard yet. */
  readonly lastSpokeAt: number;
  readonly quality: Quality;
  readonly camera: Picture | undefined;
  readonly screen: Picture | undefined;
}

export type TileKind = 'camera' | 'screen';

export interface Tile {
  /** `camera:IDENTITY` or `screen:IDENTITY`, stable as long as the person stays. */
  readonly id: string;
  readonly kind: TileKind;
  readonly person: Person;
}

export const tileId = (kind: TileKind, identity: string): string => `${kind}:${identity}`;

/** Every camera tile in the order of `people`, after the screens that are shared. */
export function tilesOf(people: readonly Person[]): Tile[] {
  const screens = people.filter((p) => p.screenOn);
  return [
    ...screens.map((person): Tile => ({ id: tileId('screen', person.identity), kind: 'screen', person })),
    ...people.map((person): Tile => ({ id: tileId('camera', person.identity), kind: 'camera', person })),
  ];
}
