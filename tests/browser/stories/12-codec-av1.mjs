import { codecStory } from '../lib/codec.mjs';

export default codecStory('av1', 'video/AV1');
