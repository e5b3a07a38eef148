import assert from 'node:assert/strict';

export default {
  name: 'a meeting over ICE-TCP alone',
  async run(stage) {
    const policy = { only: 'tcp' };
    const [ada, bob] = await Promise.all([stage.join('ada', { policy }), stage.join('bob', { policy })]);
    await ada.do(async (me) => {
      await me.publishTone(440, 0.3);
      await me.publishCamera();
    });
    await bob.decodes('ada', 'camera', 20);
    await bob.hears('ada');
    for (const person of [ada, bob]) {
      const { paths } = await person.do((me) => me.stats());
      assert.ok(paths.length && paths.every((path) => path.protocol === 'tcp'), JSON.stringify(paths));
    }
  },
};
