// A story on the meeting page: everybody joins by address, and every tile must show a moving picture before it goes on.
import assert from 'node:assert/strict';

const TILES_MS = 60_000; // six software encoders on few cores need their time

export function meetStory(name, names, then) {
  return {
    name,
    modes: [''],
    ms: 150_000,
    async run(stage) {
      const pages = [];
      for (const [index, who] of names.entries()) {
        const query = new URLSearchParams({ room: stage.room, name: who, autojoin: '1', mic: index === 0 ? '1' : '0' });
        pages.push(await stage.visit(`/meet?${query}`, { viewport: { width: 1280, height: 720 }, colorScheme: 'light' }));
      }
      for (const page of pages) {
        await page.waitForFunction((count) => {
          const videos = [...document.querySelectorAll('video')].filter((video) => video.videoWidth > 0 && !video.paused && video.currentTime > 0);
          return videos.length >= count;
        }, names.length, { timeout: TILES_MS, polling: 250 });
        const text = await page.evaluate(() => document.body.innerText);
        for (const who of names) assert.ok(text.includes(who.split(' ')[0]), `${who} is named on the page`);
      }
      await then(pages, stage);
    },
  };
}
