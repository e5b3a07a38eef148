import { describe, expect, it } from 'vitest';
import { DESKTOP_PAGE, GAP, grid, gridPageSize, PHONE_PAGE, type Rect, speaker, stripPageSize } from '../src/meet/core/layout';

const DESKTOP = { width: 1256, height: 650 };
const PHONE = { width: 344, height: 630 };

const inside = (r: Rect, s: { width: number; height: number }): boolean =>
  r.x >= -0.01 && r.y >= -0.01 && r.x + r.width <= s.width + 0.01 && r.y + r.height <= s.height + 0.01;
const apart = (a: Rect, b: Rect): boolean =>
  a.x + a.width <= b.x + 0.01 || b.x + b.width <= a.x + 0.01 || a.y + a.height <= b.y + 0.01 || b.y + b.height <= a.y + 0.01;

describe('grid', () => {
  it('keeps every tile on the stage and apart from the others', () => {
    for (const stage of [DESKTOP, PHONE, { width: 700, height: 250 }, { width: 320, height: 320 }]) {
      for (let count = 1; count <= 25; count += 1) {
        const rects = grid(count, stage);
        expect(rects).toHaveLength(count);
        expect(rects.every((r) => inside(r, stage))).toBe(true);
        rects.forEach((a, i) => rects.slice(i + 1).forEach((b) => expect(apart(a, b)).toBe(true)));
      }
    }
  });
  it('puts two people side by side on a desktop and above each other on a phone', () => {
    const [a, b] = grid(2, DESKTOP);
    expect(a?.y).toBe(b?.y);
    const [c, d] = grid(2, PHONE);
    expect(c?.x).toBe(d?.x);
  });
  it('makes six people three columns wide on a desktop and two on a phone', () => {
    expect(new Set(grid(6, DESKTOP).map((r) => r.x)).size).toBe(3);
    expect(new Set(grid(6, PHONE).map((r) => r.x)).size).toBe(2);
  });
  it('centres a last row that is not full', () => {
    const last = grid(5, DESKTOP).slice(3);
    const left = last[0]?.x ?? 0;
    const right = DESKTOP.width - (last[1]?.x ?? 0) - (last[1]?.width ?? 0);
    expect(left).toBeCloseTo(right);
    expect(left).toBeGreaterThan(GAP);
  });
  it('is empty without people or without room', () => {
    expect(grid(0, DESKTOP)).toEqual([]);
    expect(grid(3, { width: 0, height: 100 })).toEqual([]);
  });
  it('has smaller pages on a phone', () => {
    expect(gridPageSize(DESKTOP)).toBe(DESKTOP_PAGE);
    expect(gridPageSize(PHONE)).toBe(PHONE_PAGE);
  });
});

describe('speaker', () => {
  it('puts the small tiles beside the large one on a desktop and below it on a phone', () => {
    for (const stage of [DESKTOP, PHONE]) {
      const { main, strip } = speaker(3, stage);
      expect(inside(main, stage)).toBe(true);
      expect(strip.every((r) => inside(r, stage) && apart(r, main))).toBe(true);
    }
    expect(speaker(3, DESKTOP).strip[0]?.x).toBeGreaterThan(speaker(3, DESKTOP).main.width);
    expect(speaker(3, PHONE).strip[0]?.y).toBeGreaterThan(speaker(3, PHONE).main.height);
  });
  it('shows no more small tiles than fit', () => {
    expect(speaker(30, DESKTOP).strip).toHaveLength(stripPageSize(DESKTOP));
    expect(speaker(30, PHONE).strip.every((r) => inside(r, PHONE))).toBe(true);
  });
  it('gives the whole stage to one tile alone', () => {
    expect(speaker(0, DESKTOP).main).toMatchObject(DESKTOP);
  });
});
