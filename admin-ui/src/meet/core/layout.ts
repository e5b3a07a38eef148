// Where each tile goes: pure geometry in CSS pixels, so that a tile never moves because another one loads late.

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Rect extends Size {
  readonly x: number;
  readonly y: number;
}

/** Space between tiles, CSS pixels. */
export const GAP = 8;
/** Below this stage width the page is laid out for a phone, CSS pixels. */
export const PHONE_WIDTH = 600;
/** Tiles on one page: decoding more is beyond most laptops, and six is what stays readable on a phone. */
export const DESKTOP_PAGE = 16;
export const PHONE_PAGE = 6;

/** A wider tile than a camera's 16:9 shows nothing more; a narrower one cuts faces, phones in the hand excepted. */
const WIDEST = 16 / 9;
const NARROWEST_LANDSCAPE = 4 / 3;
const NARROWEST_PORTRAIT = 3 / 4;
/** A lone tile in a portrait window may be as narrow as a phone camera. */
const MAX_STRIP = 8;

export const isPhone = (stage: Size): boolean => stage.width < PHONE_WIDTH;

export function gridPageSize(stage: Size): number {
  return isPhone(stage) ? PHONE_PAGE : DESKTOP_PAGE;
}

function fit(cell: Size, narrowest: number, widest: number): Size {
  const aspect = Math.min(widest, Math.max(narrowest, cell.width / cell.height));
  const width = Math.min(cell.width, cell.height * aspect);
  return { width, height: width / aspect };
}

/** The grid with the largest tiles; the last row is centred. Empty when there is no room at all. */
export function grid(count: number, stage: Size): Rect[] {
  if (count <= 0 || stage.width <= 0 || stage.height <= 0) return [];
  const narrowest = stage.width < stage.height ? NARROWEST_PORTRAIT : NARROWEST_LANDSCAPE;
  let best = { columns: 1, rows: count, tile: { width: 0, height: 0 } };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cell = {
      width: (stage.width - GAP * (columns - 1)) / columns,
      height: (stage.height - GAP * (rows - 1)) / rows,
    };
    if (cell.width <= 0 || cell.height <= 0) continue;
    const tile = fit(cell, narrowest, WIDEST);
    if (tile.width * tile.height > best.tile.width * best.tile.height) best = { columns, rows, tile };
  }
  const { columns, rows, tile } = best;
  const top = (stage.height - rows * tile.height - GAP * (rows - 1)) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = (stage.width - inRow * tile.width - GAP * (inRow - 1)) / 2;
    return {
      x: left + (index % columns) * (tile.width + GAP),
      y: top + row * (tile.height + GAP),
      width: tile.width,
      height: tile.height,
    };
  });
}

interface Strip {
  readonly beside: boolean;
  readonly tile: Size;
  readonly capacity: number;
}

function stripOf(stage: Size): Strip {
  const beside = stage.width > stage.height && !isPhone(stage);
  if (beside) {
    const width = Math.min(240, Math.max(140, stage.width * 0.19));
    const height = width / WIDEST;
    return { beside, tile: { width, height }, capacity: clampStrip((stage.height + GAP) / (height + GAP)) };
  }
  const width = isPhone(stage) ? Math.min(stage.width, 360) / 3 - GAP : 180;
  const height = width / (isPhone(stage) ? NARROWEST_LANDSCAPE : WIDEST);
  return { beside, tile: { width, height }, capacity: clampStrip((stage.width + GAP) / (width + GAP)) };
}

const clampStrip = (fits: number): number => Math.min(MAX_STRIP, Math.max(1, Math.floor(fits)));

/** How many small tiles fit next to the large one. */
export function stripPageSize(stage: Size): number {
  return stripOf(stage).capacity;
}

export interface Speaker {
  readonly main: Rect;
  readonly strip: Rect[];
}

/** One large tile and `count` small ones beside it (landscape) or below it (portrait, phone). */
export function speaker(count: number, stage: Size): Speaker {
  if (count <= 0) return { main: { x: 0, y: 0, width: stage.width, height: stage.height }, strip: [] };
  const { beside, tile, capacity } = stripOf(stage);
  const shown = Math.min(count, capacity);
  const length = shown * (beside ? tile.height : tile.width) + GAP * (shown - 1);
  const start = ((beside ? stage.height : stage.width) - length) / 2;
  const main = beside
    ? { x: 0, y: 0, width: Math.max(0, stage.width - tile.width - GAP), height: stage.height }
    : { x: 0, y: 0, width: stage.width, height: Math.max(0, stage.height - tile.height - GAP) };
  const strip = Array.from({ length: shown }, (_, index) =>
    beside
      ? { x: main.width + GAP, y: start + index * (tile.height + GAP), ...tile }
      : { x: start + index * (tile.width + GAP), y: main.height + GAP, ...tile },
  );
  return { main, strip };
}
