import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

const source = (entry: string): string =>
  fileURLToPath(new URL(`millrace/src/${entry}.ts`, import.meta.url));

// Tests start hundreds of processes that load the same sources: their types are taken out, and they are compiled, once.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(
  new URL('node_modules/.cache/compiled', import.meta.url),
);

// Brokers that tests start do not look for the port of a RabbitMQ, which one of this machine may have.
process.env['MILLRACE_AMQP'] ??= '127.0.0.1:0';

/** Files of tests, by how their names end. */
const inFolders = (pattern: string): string[] =>
  ['millrace/{src,test}', 'bench/src', 'examples'].map((folder) => `${folder}/**/*.${pattern}`);
/** Tests with files, sockets and processes. */
const OUTSIDE = ['int.test.ts', 'spec.test.ts'].flatMap(inFolders);

export default defineConfig({
  // Programs that tests import are those of now, not of the last build.
  resolve: {
    alias: [
      { find: /^millrace$/, replacement: source('index') },
      { find: /^millrace\/testing$/, replacement: source('testing') },
    ],
  },
  test: {
    projects: [
      {
        // They share nothing but modules, which are loaded once for all of them: that is a third of their time.
        extends: true,
        test: {
          name: 'unit',
          include: inFolders('test.ts'),
          exclude: [...configDefaults.exclude, ...OUTSIDE],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'whole', include: OUTSIDE } },
    ],
    reporters: ['default', './millrace/test/plain-line-reporter.ts'],
    pool: 'forks',
    // Vitest leaves one processor to itself: half of the machine where there are two, while many files only wait.
    maxWorkers: Math.max(2, availableParallelism()),
    // Simulations and properties make much that is soon garbage.
    execArgv: ['--max-semi-space-size=64'],
    // On a machine that has other things to do, too.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
