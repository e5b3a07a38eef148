import { codecStory } from '../lib/codec.mjs';

export default codecStory('vp8', 'video/VP8');
