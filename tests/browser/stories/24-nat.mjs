// A UDP proxy plays the NAT: it gives every client a new public port in the middle of the call.
import assert from 'node:assert/strict';

const OUTAGE_S = 6; // Chromium checks a quiet path about once per second, a working one every 2.5 s

export default {
  name: 'a NAT that rebinds is followed without a reconnect',
  async run(stage) {
    const { proxy, policy } = await stage.udpProxy();
    const ada = await stage.join('ada', { policy });
    const bob = await stage.join('bob', { policy });
    await ada.do((me) => me.publishCamera());
    await bob.do((me) => me.publishTone(440, 0.3));
    await bob.decodes('ada', 'camera', 20);
    await ada.hears('bob');
    const seen = await bob.inbound('ada', 'camera');
    proxy.rebind();
    assert.ok(proxy.rebinds >= 2, 'everybody went through the NAT');
    await bob.decodes('ada', 'camera', 45, 25_000);
    await ada.hears('bob');
    const after = await bob.inbound('ada', 'camera');
    assert.ok(after.totalFreezesDuration - seen.totalFreezesDuration < OUTAGE_S, `frozen for ${after.totalFreezesDuration} s`);
    for (const person of [ada, bob]) {
      for (const name of ['signalReconnecting', 'reconnecting', 'disconnected', 'trackUnsubscribed']) assert.equal(await person.do((me, event) => me.count(event), name), 0, name);
    }
  },
};
