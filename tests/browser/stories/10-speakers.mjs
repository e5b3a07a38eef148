import assert from 'node:assert/strict';

export default {
  name: 'who speaks is told to everybody and ends with the voice; connection quality is told',
  async run(stage) {
    const [ada, bob] = await Promise.all([stage.join('ada'), stage.join('bob')]);
    await ada.do((me) => me.publishTone(440, 0.5));
    await bob.do((me) => me.publishTone(300, 0));
    for (const person of [ada, bob]) {
      await person.event('activeSpeakersChanged', (speakers) => speakers.length === 1 && speakers[0].identity === 'ada');
    }
    const level = await bob.do((me) => me.room.activeSpeakers[0]?.audioLevel ?? 0);
    assert.ok(level > 0 && level <= 1, `level ${level}`);
    await ada.do((me) => { me.volume.gain.value = 0; });
    for (const person of [ada, bob]) await person.until('nobody speaks', (me) => me.room.activeSpeakers.length === 0);
    for (const [person, other] of [[ada, 'bob'], [bob, 'ada']]) {
      await person.event('connectionQualityChanged', (quality, who) => who.identity !== undefined && ['good', 'excellent'].includes(quality), 20_000);
      await person.until(`the quality of ${other}`, (me, who) => ['good', 'excellent'].includes(me.room.remoteParticipants.get(who).connectionQuality), other, 20_000);
    }
  },
};
