import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { skip } from '../lib/check.mjs';

export default {
  name: 'a meeting over IPv6 alone',
  async run(stage) {
    if (!existsSync('/proc/net/if_inet6') || !readFileSync('/proc/net/if_inet6', 'utf8').trim()) skip('this machine has no IPv6');
    const http = stage.node.http(6);
    if (stage.node.external && !http) skip('needs a node of its own');
    assert.ok(http, `the node listens on IPv6: ${JSON.stringify(stage.node.ports)}`);
    const url = `ws://${http}`;
    const policy = { only: 'udp6' };
    const [ada, bob] = await Promise.all([stage.join('ada', { url, policy }), stage.join('bob', { url, policy })]);
    await ada.do(async (me) => {
      await me.publishTone(440, 0.3);
      await me.publishCamera();
    });
    await bob.decodes('ada');
    await bob.hears('ada');
    const { paths } = await bob.do((me) => me.stats());
    assert.ok(paths.length && paths.every((path) => path.address.includes(':')), JSON.stringify(paths));
  },
};
