import { codecStory } from '../lib/codec.mjs';

export default codecStory('h264', 'video/H264');
