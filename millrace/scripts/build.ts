/**
 * Builds what is published, into `millrace/dist`: the sources bundled into few files, because a start that reads 250 modules
 * spends most of its time finding them (docs/decisions/0001-start-up.md), and the type declarations of the public entry points.
 * Dependencies stay outside the bundle: npm installs, audits and deduplicates them.
 *
 *     node millrace/scripts/build.ts            everything
 *     node millrace/scripts/build.ts --no-types what runs, in a second
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(PACKAGE, 'dist');
/** Where the compiler leaves its declarations, and what it remembers between builds. */
const TYPES = join(PACKAGE, '../node_modules/.cache/millrace-types');

/** What package.json exports, and what `bin/millrace.js` loads. */
const ENTRIES = { broker: 'src/broker.ts', cli: 'src/cli/main.ts' };
/** The entries whose types are public. */
const TYPED_ENTRIES = ['broker.d.ts'];

const written = new Set(await bundle());
if (!process.argv.includes('--no-types')) for (const file of declare()) written.add(file);
else for (const file of filesIn(DIST)) if (file.endsWith('.d.ts')) written.add(file);
// Last, so that a broker that runs from here keeps its files until there are new ones.
for (const file of filesIn(DIST)) if (!written.has(file)) rmSync(join(DIST, file));

async function bundle(): Promise<string[]> {
  const build = await rolldown({
    cwd: PACKAGE,
    input: ENTRIES,
    platform: 'node',
    external: (id) => !id.startsWith('.') && !id.startsWith('/') && !id.startsWith(PACKAGE),
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await build.write({
    dir: DIST,
    format: 'esm',
    sourcemap: true,
    chunkFileNames: 'chunks/[name].js',
  });
  await build.close();
  return output.map((file) => file.fileName);
}

/** Declarations of all sources, of which only those are copied that an entry point mentions. */
function declare(): string[] {
  const compiler = join(PACKAGE, '../node_modules/typescript/bin/tsc');
  execFileSync(
    process.execPath,
    [compiler, '-p', join(PACKAGE, 'tsconfig.build.json'), '--outDir', TYPES],
    { stdio: 'inherit' },
  );
  const needed = new Set<string>();
  const queue = [...TYPED_ENTRIES];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (needed.has(name)) continue;
    needed.add(name);
    const text = readFileSync(join(TYPES, name), 'utf8');
    for (const [, path] of text.matchAll(/(?:from |import\()'(\.[^']+)\.ts'/g)) {
      queue.push(join(dirname(name), `${path}.d.ts`));
    }
    mkdirSync(dirname(join(DIST, name)), { recursive: true });
    copyFileSync(join(TYPES, name), join(DIST, name));
  }
  return [...needed];
}

/** Paths of the files below a directory, relative to it. */
function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => resolve(entry.parentPath, entry.name).slice(resolve(directory).length + 1));
}
