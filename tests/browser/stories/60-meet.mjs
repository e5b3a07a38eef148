// The meeting page itself, with two and with six people, photographed for a human to look at.
import assert from 'node:assert/strict';
import { meetStory } from '../lib/meet.mjs';

export default meetStory('two people meet on the page of the node', ['Ada Lovelace', 'Bob Moran'], async (pages, stage) => {
  await stage.screenshot(pages[0], 'meet-two');
  await pages[0].emulateMedia({ colorScheme: 'dark' });
  await stage.screenshot(pages[0], 'meet-two-dark');
  await pages[1].setViewportSize({ width: 390, height: 844 });
  await stage.screenshot(pages[1], 'meet-two-phone');
  const overflow = await pages[1].evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px wider than the phone`);
});
