/** Which room of the house may import which: the arrows of ARCHITECTURE.md, checked over the sources. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** One line per room. A new arrow needs its reason in the commit that adds it. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: ['core'],
  // A segment IS a sequence of Kafka record batches: the log uses the one definition of that format.
  log: ['core', 'wire'],
  flow: ['core'],
  schema: ['core'],
  broker: ['core', 'log', 'wire'],
  // Flows are shown over HTTP: the server asks the views that the engine has of them.
  server: ['core', 'wire', 'broker', 'schema', 'log', 'client', 'engine'],
  client: ['core', 'log', 'broker', 'wire'],
  engine: ['core', 'flow', 'client'],
  connect: ['core', 'flow', 'client'],
  events: ['core', 'flow', 'client'],
  // What a program holds that has opened a Millrace: it brings the log, the language and the engines together.
  door: ['core', 'flow', 'client', 'engine', 'connect'],
  testing: [
    'core',
    'wire',
    'log',
    'flow',
    'schema',
    'broker',
    'server',
    'client',
    'engine',
    'connect',
    'events',
    'door',
  ],
  // The files at the top of src/: the package's entry points.
  entry: [
    'core',
    'wire',
    'log',
    'flow',
    'schema',
    'broker',
    'server',
    'client',
    'engine',
    'connect',
    'events',
    'door',
    'testing',
  ],
  cli: [
    'entry',
    'core',
    'wire',
    'log',
    'flow',
    'schema',
    'broker',
    'server',
    'client',
    'engine',
    'connect',
    'events',
    'testing',
  ],
};

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)import\s+['"]([^'"]+)['"]/g;

function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/\.test(?:-d)?\.ts$/.test(name))
    .map((name) => name.replaceAll('\\', '/'));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

function room(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : 'entry';
}

/** Relative imports as paths below src/. */
function localImports(file: string): string[] {
  return importsOf(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) =>
      relative(SRC, normalize(join(SRC, dirname(file), specifier))).replaceAll('\\', '/'),
    );
}

test('the scan sees the sources and their imports', () => {
  const files = sources();
  expect(files.length).toBeGreaterThan(3);
  expect(files.some((file) => localImports(file).length > 0)).toBe(true);
});

test('every room imports only the rooms below it', () => {
  const wrong: string[] = [];
  for (const file of sources()) {
    const from = room(file);
    const allowed = MAY_IMPORT[from];
    if (allowed === undefined) {
      wrong.push(`${file}: '${from}' is not in the table of rooms`);
      continue;
    }
    for (const target of localImports(file)) {
      const to = room(target);
      if (to !== from && !allowed.includes(to))
        wrong.push(`${file} imports ${target}: ${from} may not import ${to}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('imports name a file with its ending', () => {
  const wrong = sources().flatMap((file) =>
    localImports(file)
      .filter((target) => !target.endsWith('.ts'))
      .map((target) => `${file} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('no import cycles', () => {
  const graph = new Map(sources().map((file) => [file, localImports(file)]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (done.has(file)) return;
    const at = path.indexOf(file);
    if (at >= 0) {
      cycles.push([...path.slice(at), file].join(' -> '));
      return;
    }
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  expect(cycles).toEqual([]);
});
