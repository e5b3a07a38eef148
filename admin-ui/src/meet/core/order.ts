// Who stands where, and on which page: people keep their place; only somebody who speaks unseen is brought forward.
import type { Person } from './model';

export interface Page<T> {
  readonly items: readonly T[];
  readonly index: number;
  readonly pages: number;
}

/** The page at `wanted`, or the nearest one that exists. */
export function paginate<T>(items: readonly T[], size: number, wanted: number): Page<T> {
  const pages = Math.max(1, Math.ceil(items.length / Math.max(1, size)));
  const index = Math.min(pages - 1, Math.max(0, wanted));
  return { items: items.slice(index * size, (index + 1) * size), index, pages };
}

const byArrival = (a: Person, b: Person): number =>
  Number(b.isLocal) - Number(a.isLocal) || a.joinedAt - b.joinedAt || (a.identity < b.identity ? -1 : 1);

/**
 * The order of identities for the next rendering. Those of `previous` stay where they are, newcomers come last, and a
 * speaker behind the first page changes places with the one on it who has been silent longest (never oneself).
 */
export function arrange(previous: readonly string[], people: readonly Person[], firstPage: number): string[] {
  const present = new Map(people.map((p) => [p.identity, p]));
  const kept = previous.filter((identity) => present.has(identity));
  const known = new Set(kept);
  const added = people.filter((p) => !known.has(p.identity)).sort(byArrival);
  const order = [...kept, ...added.map((p) => p.identity)];
  const person = (at: number): Person | undefined => present.get(order[at] ?? '');
  for (let at = Math.max(0, firstPage); at < order.length; at += 1) {
    if (!person(at)?.speaking) continue;
    const seat = quietestSeat(order, present, firstPage);
    if (seat === undefined) break;
    [order[seat], order[at]] = [order[at] as string, order[seat] as string];
  }
  return order;
}

function quietestSeat(order: readonly string[], present: ReadonlyMap<string, Person>, seats: number): number | undefined {
  let best: number | undefined;
  let silentSince = Infinity;
  for (let at = 0; at < Math.min(seats, order.length); at += 1) {
    const person = present.get(order[at] ?? '');
    if (!person || person.isLocal || person.speaking) continue;
    // The last of equals gives way, so that the front of the grid is the calmest part.
    if (person.lastSpokeAt <= silentSince) {
      best = at;
      silentSince = person.lastSpokeAt;
    }
  }
  return best;
}

/** For the list of participants: oneself first, then by name. */
export function forList(people: readonly Person[]): Person[] {
  return [...people].sort(
    (a, b) => Number(b.isLocal) - Number(a.isLocal) || a.name.localeCompare(b.name) || (a.identity < b.identity ? -1 : 1),
  );
}
