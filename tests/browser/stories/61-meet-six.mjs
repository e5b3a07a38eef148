import { meetStory } from '../lib/meet.mjs';

const NAMES = ['Ada Lovelace', 'Bob Moran', 'Chen Wei', 'Dunja Rihtman', 'Emeka Obi', 'Freya Lund'];

export default meetStory('six people meet on the page of the node', NAMES, async (pages, stage) => {
  await stage.screenshot(pages[0], 'meet-six');
  await pages[1].setViewportSize({ width: 390, height: 844 });
  await stage.screenshot(pages[1], 'meet-six-phone');
});
