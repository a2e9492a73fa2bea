/**
 * Builds what is published, into `millrace/dist`: the sources bundled into few files, because a start that reads 250 modules
 * spends most of its time finding them (docs/decisions/start-up.md), and the type declarations of the public entry points.
 * Dependencies stay outside the bundle: npm installs, audits and deduplicates them.
 *
 *     node millrace/scripts/build.ts            everything
 *     node millrace/scripts/build.ts --no-types what runs, in a second
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const ROOT = join(PACKAGE, '..');
/** Where the compiler leaves its declarations, as tsconfig.build.json says. */
const TYPES = join(ROOT, 'node_modules/.cache/millrace-types');

/** What package.json exports, what `bin/millrace.js` loads, and what worker processes run. */
const ENTRIES = {
  index: 'src/index.ts',
  broker: 'src/broker.ts',
  testing: 'src/testing.ts',
  cli: 'src/cli/main.ts',
  worker: 'src/engine/batch/workers/worker-main.ts',
  'stream-worker': 'src/engine/stream/runner/worker-thread.ts',
};
/** The entries whose types are public. */
const TYPED_ENTRIES = ['index.d.ts', 'broker.d.ts', 'testing.d.ts'];

/**
 * Bundles the sources into a directory and names the files, relative to it.
 * @param more entries of tests, by name
 */
export async function bundle(
  directory: string,
  more: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const build = await rolldown({
    cwd: PACKAGE,
    input: { ...ENTRIES, ...more },
    platform: 'node',
    external: (id) => !id.startsWith('.') && !isAbsolute(id),
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await build.write({
    dir: directory,
    format: 'esm',
    sourcemap: true,
    chunkFileNames: 'chunks/[name].js',
    // V8 keeps the text of a program; one drawing in a comment, and each of its characters takes two bytes.
    comments: { annotation: true, jsdoc: false, legal: false },
  });
  await build.close();
  return output.map((file) => file.fileName);
}

/** Copies those declarations that an entry point mentions into a directory and names them, relative to it. */
function declareTypes(directory: string): string[] {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const project = join(PACKAGE, 'tsconfig.build.json');
  // Without it the compiler would believe that what it wrote is still there.
  if (!existsSync(TYPES)) rmSync(`${TYPES}.tsbuildinfo`, { force: true });
  execFileSync(process.execPath, [compiler, '-p', project], { stdio: 'inherit' });
  const needed = new Set<string>();
  const queue = [...TYPED_ENTRIES];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (needed.has(name)) continue;
    needed.add(name);
    const text = readFileSync(join(TYPES, name), 'utf8');
    for (const [, path] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.ts['"]/g)) {
      queue.push(join(dirname(name), `${path}.d.ts`));
    }
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    copyFileSync(join(TYPES, name), join(directory, name));
  }
  return [...needed];
}

async function build(directory: string, options: { readonly types: boolean }): Promise<void> {
  const written = new Set(await bundle(directory));
  if (options.types) for (const name of declareTypes(directory)) written.add(name);
  // Last, so that a broker that runs from here keeps its files until there are new ones.
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isOld = entry.isFile() && !written.has(relative(directory, path).replaceAll('\\', '/'));
    if (isOld && (options.types || !path.endsWith('.d.ts'))) rmSync(path);
  }
}

if (import.meta.main) {
  await build(join(PACKAGE, 'dist'), { types: !process.argv.includes('--no-types') });
}
