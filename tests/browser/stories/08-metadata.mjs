import assert from 'node:assert/strict';

export default {
  name: 'name, metadata and attributes reach the others, and need the permission',
  async run(stage) {
    const ada = await stage.join('ada', { name: 'Ada', video: { canUpdateOwnMetadata: true }, claims: { metadata: 'first', attributes: { colour: 'red' } } });
    const bob = await stage.join('bob');
    const seen = () => bob.do((me) => {
      const ada = me.room.remoteParticipants.get('ada');
      return { name: ada.name, metadata: ada.metadata, attributes: ada.attributes };
    });
    await bob.until('ada is there', (me) => me.room.remoteParticipants.has('ada'));
    assert.deepEqual(await seen(), { name: 'Ada', metadata: 'first', attributes: { colour: 'red' } });
    await ada.do(async (me) => {
      await me.room.localParticipant.setName('Ada L.');
      await me.room.localParticipant.setMetadata('second');
      await me.room.localParticipant.setAttributes({ colour: '', hand: 'raised' });
    });
    await bob.event('participantNameChanged', (name, who) => name === 'Ada L.' && who.identity === 'ada');
    await bob.event('participantMetadataChanged', (_, who) => who.identity === 'ada');
    await bob.until('the attributes', (me) => me.room.remoteParticipants.get('ada').attributes.hand === 'raised');
    assert.deepEqual(await seen(), { name: 'Ada L.', metadata: 'second', attributes: { hand: 'raised' } });
    const refused = await bob.do((me) => me.room.localParticipant.setMetadata('mine').then(() => 'accepted', (error) => String(error)));
    assert.notEqual(refused, 'accepted');
    assert.ok(!(await ada.do((me) => me.room.remoteParticipants.get('bob').metadata)));
  },
};
