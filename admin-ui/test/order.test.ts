import { describe, expect, it } from 'vitest';
import { tilesOf } from '../src/meet/core/model';
import { arrange, forList, paginate } from '../src/meet/core/order';
import { person } from './people';

describe('arrange', () => {
  it('begins with oneself and goes on by arrival', () => {
    const people = [person('b', { joinedAt: 2 }), person('a', { joinedAt: 3 }), person('me', { joinedAt: 9 })];
    expect(arrange([], people, 16)).toEqual(['me', 'b', 'a']);
  });
  it('keeps everybody in place when one leaves and another comes', () => {
    const people = [person('me'), person('b'), person('d', { joinedAt: 5 })];
    expect(arrange(['me', 'a', 'b'], people, 16)).toEqual(['me', 'b', 'd']);
  });
  it('does not move a speaker who is already on the first page', () => {
    const people = [person('me'), person('a'), person('b', { speaking: true })];
    expect(arrange(['me', 'a', 'b'], people, 3)).toEqual(['me', 'a', 'b']);
  });
  it('brings an unseen speaker forward in exchange for the one silent longest', () => {
    const people = [person('me'), person('a', { lastSpokeAt: 50 }), person('b', { lastSpokeAt: 10 }), person('c'), person('d', { speaking: true })];
    expect(arrange(['me', 'a', 'b', 'c', 'd'], people, 3)).toEqual(['me', 'a', 'd', 'c', 'b']);
  });
  it('never gives up the place of oneself or of another speaker', () => {
    const people = [person('me'), person('a', { speaking: true }), person('b', { speaking: true })];
    expect(arrange(['me', 'a', 'b'], people, 2)).toEqual(['me', 'a', 'b']);
  });
  it('holds each identity once', () => {
    const people = [person('me'), ...Array.from({ length: 40 }, (_, i) => person(`p${i}`, { speaking: i % 3 === 0, lastSpokeAt: i }))];
    const order = arrange(arrange([], people, 6), people, 6);
    expect([...order].sort()).toEqual(people.map((p) => p.identity).sort());
  });
});

describe('paginate', () => {
  it('cuts into pages and goes to the nearest page that exists', () => {
    const items = Array.from({ length: 25 }, (_, i) => i);
    expect(paginate(items, 16, 1)).toMatchObject({ index: 1, pages: 2, items: items.slice(16) });
    expect(paginate(items, 16, 7).index).toBe(1);
    expect(paginate(items, 16, -1).index).toBe(0);
    expect(paginate([], 16, 3)).toMatchObject({ index: 0, pages: 1 });
  });
});

describe('lists', () => {
  it('shows screens before cameras', () => {
    expect(tilesOf([person('me'), person('a', { screenOn: true })]).map((t) => t.id)).toEqual(['screen:a', 'camera:me', 'camera:a']);
  });
  it('names oneself first and the others by name', () => {
    expect(forList([person('z'), person('me'), person('b')]).map((p) => p.identity)).toEqual(['me', 'b', 'z']);
  });
});
