import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'millrace/{src,test}/**/*.test.ts',
      'bench/src/**/*.test.ts',
      'examples/**/*.test.ts',
    ],
    reporters: ['default', './millrace/test/plain-line-reporter.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
