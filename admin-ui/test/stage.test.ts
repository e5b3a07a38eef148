import { describe, expect, it } from 'vitest';
import type { Person } from '../src/meet/core/model';
import { initialStage, largeTile, SPOTLIGHT_HOLD, stage, type StageState, viewOf } from '../src/meet/core/stage';
import { person } from './people';

const see = (state: StageState, people: Person[], now = 0): StageState => stage(state, { type: 'people', people, now });
const me = person('me');
const [a, b] = [person('a'), person('b')];
const speaks = (p: Person, lastSpokeAt = 1): Person => ({ ...p, speaking: true, lastSpokeAt });

describe('the spotlight', () => {
  it('is on oneself when alone and on another as soon as one is there', () => {
    const alone = see(initialStage, [me]);
    expect(largeTile(alone)).toBe('camera:me');
    expect(largeTile(see(alone, [me, a]))).toBe('camera:a');
  });
  it('follows the speaker', () => {
    const first = see(initialStage, [me, a, b]);
    expect(largeTile(see(first, [me, a, speaks(b)], SPOTLIGHT_HOLD))).toBe('camera:b');
  });
  it('stays on who still speaks, and for a while on who just stopped', () => {
    const onA = see(initialStage, [me, speaks(a), b], 10_000);
    expect(largeTile(see(onA, [me, speaks(a), speaks(b, 99)], 20_000))).toBe('camera:a');
    expect(largeTile(see(onA, [me, a, speaks(b)], 10_000 + SPOTLIGHT_HOLD - 1))).toBe('camera:a');
    expect(largeTile(see(onA, [me, a, speaks(b)], 10_000 + SPOTLIGHT_HOLD))).toBe('camera:b');
  });
  it('stays where it was in silence', () => {
    const onB = see(initialStage, [me, a, speaks(b)]);
    expect(largeTile(see(onB, [me, a, b], 60_000))).toBe('camera:b');
  });
  it('never turns to oneself while others are there', () => {
    const onA = see(initialStage, [me, a]);
    expect(largeTile(see(onA, [speaks(me), a], 60_000))).toBe('camera:a');
  });
});

describe('the view', () => {
  const shared = { ...a, screenOn: true };
  it('turns to a screen share and back when it ends', () => {
    const during = see(see(initialStage, [me, a]), [me, shared]);
    expect(viewOf(during)).toBe('speaker');
    expect(largeTile(during)).toBe('screen:a');
    expect(viewOf(see(during, [me, a]))).toBe('grid');
  });
  it('respects the user who goes back to the grid during a share, until the next one starts', () => {
    const during = stage(see(initialStage, [me, shared]), { type: 'toggle-view' });
    expect(viewOf(see(during, [me, shared]))).toBe('grid');
    expect(viewOf(see(during, [me, shared, { ...b, screenOn: true }]))).toBe('speaker');
  });
  it('shows the share that started last', () => {
    const one = see(initialStage, [me, { ...b, screenOn: true }, a]);
    expect(largeTile(see(one, [me, shared, { ...b, screenOn: true }]))).toBe('screen:a');
  });
  it('keeps a pinned tile large until it is unpinned or gone', () => {
    const pinned = stage(see(initialStage, [me, a, b]), { type: 'pin', tile: 'camera:b' });
    expect(viewOf(pinned)).toBe('speaker');
    expect(largeTile(see(pinned, [me, shared, b]))).toBe('camera:b');
    expect(viewOf(stage(pinned, { type: 'pin', tile: 'camera:b' }))).toBe('grid');
    expect(viewOf(see(pinned, [me, a]))).toBe('grid');
  });
  it('begins a changed view on its first page', () => {
    const paged = stage(initialStage, { type: 'page', page: 2 });
    expect(paged.page).toBe(2);
    expect(stage(paged, { type: 'toggle-view' }).page).toBe(0);
  });
});
