/** The repository as a whole: what its pages and scripts name is there, and a clean install works on every platform. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Manifest {
  readonly scripts?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function manifest(path: string): Manifest {
  return JSON.parse(read(path)) as Manifest;
}

function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  return [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'millrace/README.md',
    'examples/README.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name)),
  ];
}

test('the scan sees the pages', () => {
  expect(pages().length).toBeGreaterThan(8);
});

test('links between the pages lead somewhere', () => {
  const broken = pages().flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
  return text.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
}

test('links into pages lead to headings', () => {
  const broken = pages().flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)]
      .filter(([, target = '', anchor = '']) => {
        const text = read(target === '' ? page : join(dirname(page), target));
        const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
        return !headings.some((heading) => anchorOf(heading) === anchor);
      })
      .map(([link]) => `${page}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test('the scripts that pages and the build name exist', () => {
  const { scripts = {} } = manifest('package.json');
  const missing = [...pages(), '.ci/run', 'package.json'].flatMap((page) =>
    [...read(page).matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g)]
      .map(([, name = '']) => name)
      .filter((name) => !(name in scripts))
      .map((name) => `${page}: npm run ${name}`),
  );
  expect(missing).toEqual([]);
});

test('the files that scripts run exist', () => {
  const missing = Object.entries(manifest('package.json').scripts ?? {}).flatMap(
    ([name, command]) =>
      [...command.matchAll(/\bnode (\S+)/g)]
        .map(([, path = '']) => path)
        .filter((path) => path !== 'millrace/bin/millrace.js' && !existsSync(join(ROOT, path)))
        .map((path) => `${name}: ${path}`),
  );
  expect(missing).toEqual([]);
});

test('the lock file knows the builds of tools for every platform, without which npm ci refuses it', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    readonly packages: Readonly<Record<string, Manifest>>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !(`node_modules/${name}` in packages))
      .filter((name) => !(`${path}/node_modules/${name}` in packages))
      .map((name) => `${path}: ${name}`),
  );
  expect(missing).toEqual([]);
});
