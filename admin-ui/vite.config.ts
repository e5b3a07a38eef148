// Two pages, one set of hashed assets; `npm run dev` forwards the node's own paths to a node on port 7880.
import { defineConfig } from 'vitest/config';

const NODE_ORIGIN = 'http://127.0.0.1:7880';
const proxy = {
  '/rtc': { target: NODE_ORIGIN, ws: true },
  '/meet/token': { target: NODE_ORIGIN },
  '/debug': { target: NODE_ORIGIN },
};

export default defineConfig({
  base: '/',
  appType: 'mpa',
  build: {
    outDir: 'dist',
    assetsDir: 'assets',
    // A data: URL would need a wider content security policy than 'self'.
    assetsInlineLimit: 0,
    // The LiveKit client is most of it and is one cacheable file.
    chunkSizeWarningLimit: 900,
    rollupOptions: { input: { meet: 'meet/index.html', admin: 'admin/index.html' } },
  },
  server: { proxy },
  preview: { proxy },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
});
