import { codecStory } from '../lib/codec.mjs';

export default codecStory('vp9', 'video/VP9');
