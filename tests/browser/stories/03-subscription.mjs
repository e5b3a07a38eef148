import assert from 'node:assert/strict';

export default {
  name: 'a person unsubscribes from a track and subscribes again',
  async run(stage) {
    const ada = await stage.join('ada');
    await ada.do((me) => me.publishCamera());
    const bob = await stage.join('bob');
    await bob.decodes('ada');
    await bob.do((me) => me.publication('ada', 'camera').setSubscribed(false));
    await bob.event('trackUnsubscribed');
    assert.equal(await bob.do((me) => me.publication('ada', 'camera').isSubscribed), false);
    await bob.do((me) => me.publication('ada', 'camera').setSubscribed(true));
    await bob.until('the track is back', (me) => me.count('trackSubscribed') === 2);
    await bob.decodes('ada');

    const cid = await stage.join('cid');
    await cid.decodes('ada');
    await bob.decodes('ada');
  },
};
