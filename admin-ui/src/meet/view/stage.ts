// The stage: puts the tiles of the current page where the layout says and leaves all others without a video element.
import { h, setText } from '../../shared/dom';
import { icon } from '../../shared/icons';
import { grid, gridPageSize, type Rect, speaker, stripPageSize } from '../core/layout';
import { type Person, type Tile, tilesOf } from '../core/model';
import { arrange, type Page, paginate } from '../core/order';
import { initialStage, largeTile, stage as reduce, type StageEvent, viewOf, type View } from '../core/stage';
import { type TileView, tileView } from './tile';

/** Height of the page switch below the tiles, CSS pixels. */
const PAGER_HEIGHT = 44;

export interface Stage {
  readonly root: HTMLElement;
  render(people: readonly Person[]): void;
  toggleView(): void;
  view(): View;
  close(): void;
}

export interface StageOptions {
  /** Shown next to oneself as long as nobody else is there. */
  readonly alone: HTMLElement;
  readonly now: () => number;
  readonly viewChanged: (view: View) => void;
}

export function createStage({ alone, now, viewChanged }: StageOptions): Stage {
  const floor = h('div', { class: 'floor' }, alone);
  const where = h('span', { class: 'pager-where', 'aria-live': 'polite' });
  const back = h('button', { type: 'button', class: 'round', 'aria-label': 'Previous page', onclick: () => turn(-1) }, icon('left'));
  const next = h('button', { type: 'button', class: 'round', 'aria-label': 'Next page', onclick: () => turn(1) }, icon('right'));
  const pager = h('div', { class: 'pager' }, back, where, next);
  const root = h('section', { class: 'stage', 'aria-label': 'People in the meeting' }, floor, pager);
  const views = new Map<string, TileView>();
  let state = initialStage;
  let order: string[] = [];
  let people: readonly Person[] = [];

  const send = (event: StageEvent): void => {
    const before = viewOf(state);
    state = reduce(state, event);
    if (viewOf(state) !== before) viewChanged(viewOf(state));
  };
  const turn = (by: number): void => {
    send({ type: 'page', page: state.page + by });
    draw();
  };

  const draw = (): void => {
    const full = { width: root.clientWidth, height: root.clientHeight };
    if (full.width === 0 || full.height === 0) return;
    const screens = people.filter((p) => p.screenOn).length;
    const lonely = people.length === 1 && screens === 0;
    const speakerView = viewOf(state) === 'speaker' && !lonely;
    const seats = speakerView ? stripPageSize(full) + 1 : Math.max(1, gridPageSize(full) - screens);
    order = arrange(order, people, seats);
    const byIdentity = new Map(people.map((p) => [p.identity, p]));
    const tiles = tilesOf(order.flatMap((identity) => byIdentity.get(identity) ?? []));
    const large = speakerView ? (tiles.find((t) => t.id === largeTile(state)) ?? tiles[0]) : undefined;
    const rest = tiles.filter((t) => t !== large);
    const pageSize = speakerView ? stripPageSize : gridPageSize;
    const area = rest.length > pageSize(full) ? { width: full.width, height: Math.max(0, full.height - PAGER_HEIGHT) } : full;
    const page = paginate(rest, pageSize(area), state.page);
    if (page.index !== state.page) send({ type: 'page', page: page.index });
    showPager(page);
    if (large) {
      const layout = speaker(page.items.length, area);
      show([large, ...page.items], [layout.main, ...layout.strip], true);
    } else {
      const rects = grid(page.items.length + (lonely ? 1 : 0), area);
      show(page.items, rects, false);
      placeAlone(lonely ? rects[1] : undefined);
      return;
    }
    placeAlone(undefined);
  };

  const placeAlone = (rect: Rect | undefined): void => {
    alone.hidden = rect === undefined;
    if (!rect) return;
    alone.style.transform = `translate(${Math.round(rect.x)}px, ${Math.round(rect.y)}px)`;
    alone.style.width = `${Math.floor(rect.width)}px`;
    alone.style.height = `${Math.floor(rect.height)}px`;
  };

  const showPager = (page: Page<Tile>): void => {
    pager.hidden = page.pages < 2;
    setText(where, `${page.index + 1} of ${page.pages}`);
    back.disabled = page.index === 0;
    next.disabled = page.index === page.pages - 1;
  };

  const show = (tiles: readonly Tile[], rects: readonly Rect[], firstIsLarge: boolean): void => {
    const wanted = new Set(tiles.map((t) => t.id));
    for (const [id, view] of views) {
      if (wanted.has(id)) continue;
      view.close();
      views.delete(id);
    }
    tiles.forEach((tile, index) => {
      const rect = rects[index];
      if (!rect) return;
      let view = views.get(tile.id);
      if (!view) {
        view = tileView(tile.id, () => {
          send({ type: 'pin', tile: tile.id });
          draw();
        });
        views.set(tile.id, view);
        floor.append(view.root);
      }
      view.place(rect, firstIsLarge && index > 0);
      view.update(tile, state.pinned === tile.id);
    });
  };

  const observer = new ResizeObserver(() => {
    // Tiles follow a resize at once; only a change of people or view is animated.
    floor.classList.add('still');
    draw();
    requestAnimationFrame(() => floor.classList.remove('still'));
  });
  observer.observe(root);

  return {
    root,
    render(current) {
      people = current;
      send({ type: 'people', people, now: now() });
      draw();
    },
    toggleView() {
      send({ type: 'toggle-view' });
      draw();
    },
    view: () => viewOf(state),
    close() {
      observer.disconnect();
      for (const view of views.values()) view.close();
      views.clear();
    },
  };
}
