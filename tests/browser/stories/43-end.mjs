// The node is asked to end in the middle of a call.
import assert from 'node:assert/strict';

const SERVER_SHUTDOWN = 3; // DisconnectReason of the LiveKit protocol

export default {
  name: 'SIGTERM ends the node cleanly and its people are told',
  node: [],
  ends: true,
  modes: ['v1'],
  async run(stage) {
    const ada = await stage.join('ada');
    await ada.do((me) => me.publishTone(440, 0.3));
    const end = await stage.node.stop();
    assert.deepEqual(end, { code: 0, signal: null });
    const told = await ada.until('ada is told', (me) => me.events.find((event) => ['disconnected', 'reconnecting', 'signalReconnecting'].includes(event.name)));
    if (told.name === 'disconnected') assert.equal(told.args[0], SERVER_SHUTDOWN);
  },
};
