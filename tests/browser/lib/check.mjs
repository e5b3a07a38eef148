// What a story may say besides node:assert: skip itself with a reason, wait for something outside the page.

/** Thrown by a story that cannot run here; the reason is printed and counted. */
export class Skip extends Error {}

/** Skips the running story. */
export function skip(reason) {
  throw new Skip(reason);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls `probe` until it answers something truthy, and returns that; fails with `what` after `ms`. */
export async function until(what, probe, ms = 15_000, every = 100) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      if (error instanceof Skip) throw error;
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`);
    await sleep(every);
  }
}
