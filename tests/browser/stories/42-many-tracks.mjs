// More tracks than the three sections per kind that a single-connection client offers at first.
import assert from 'node:assert/strict';

const TONES = 5;

export default {
  name: 'more tracks than the client first made room for are all received',
  async run(stage) {
    const bob = await stage.join('bob');
    const people = await Promise.all(Array.from({ length: TONES }, (_, index) => stage.join(`p${index}`)));
    for (const [index, person] of people.entries()) {
      await person.do(async (me, frequency) => {
        await me.publishTone(frequency, 0.2);
        await me.publishCamera({ width: 160, height: 90, frameRate: 5, simulcast: false });
      }, 300 + 40 * index);
    }
    for (const person of people) {
      await bob.hears(person.label);
      await bob.decodes(person.label, 'camera', 5, 20_000);
    }
    for (const person of people) {
      await person.do(async (me) => {
        for (const publication of me.publications()) await me.room.localParticipant.unpublishTrack(publication.track);
      });
    }
    await bob.until('all are gone', (me) => [...me.room.remoteParticipants.values()].every((each) => each.trackPublications.size === 0));
    await people[0].do((me) => me.publishTone(500, 0.3));
    await bob.hears('p0');
    assert.equal(await bob.do((me) => me.count('trackSubscriptionFailed')), 0);
  },
};
