/**
 * What pages and docstrings show as TypeScript compiles, against the package as programs see it: the blocks of the README pages and of
 * `docs/`, and the examples in the docstrings of what the package exports.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blocksOf } from './blocks.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Below the package, so that the packages that pages import are found. */
const CACHE = join(ROOT, 'millrace/node_modules/.cache');

/** What the examples in docstrings take for granted. */
const DOCSTRING_CONTEXT = `
interface Order { readonly id: string; readonly customerId: string; readonly tier: string; readonly total: number;
  readonly currency: string; readonly placedAt: number }
interface Payment { readonly id: string; readonly amount: number }
interface Customer { readonly tier: string }
interface Hit { readonly path: string; readonly day: string; readonly status: number; readonly code: string; readonly bytes: number }
interface Visit { readonly user: string; readonly time: Date; readonly ms: number }
interface Row { readonly path: string; readonly method: string; readonly day: string; readonly user: string; readonly status: number;
  readonly bytes: number; readonly ms: number; readonly hours: number }
interface Email { readonly to: string; readonly text: string }
interface Flight { readonly origin: string; readonly delay: number }
declare const f: FlowBuilder;
declare const lines: Lines;
declare const terms: Stream<string>;
declare const totals: Stream<number>;
declare const hits: Stream<Hit>;
declare const latencies: Table<string, { readonly latencyMs: number }>;
declare const orders: Stream<Order>;
declare const customers: Table<string, Customer>;
declare const latestOrders: Table<string, Order>;
declare const rates: Topic<number, string>;
declare const type: ProtobufType;
declare const payments: KeyedStream<string, Payment>;
declare const bids: Stream<{ readonly item: string }>;
declare const logins: Stream<{ readonly user: string }>;
declare const profiles: Table<string, { readonly region: string; readonly age: number }>;
declare function fetchRate(currency: string, signal: AbortSignal): Promise<number>;
declare const visits: Stream<Visit>;
declare const grouped: Grouped<string, Visit>;
declare const rows: Rows<Row>;
declare const countries: Table<string, string>;
declare const table: TableReader<string, string>;
declare const millrace: Millrace;
declare const running: FlowHandle;
declare const emails: Queue<Email>;
declare function deliver(to: string, text: string): Promise<void>;
declare function confirmationOf(order: Order): Email;
declare const Event: { readonly '~standard': { readonly version: 1; readonly vendor: string;
  readonly validate: (value: unknown) => { readonly value: { readonly id: string } } } };
declare const start: Table<string, number>;
declare const links: Table<string, readonly string[]>;
interface Chunk { readonly buffer: Uint8Array; readonly start: number; readonly end: number }
declare const reader: { next(): Chunk | undefined };
declare function scan(buffer: Uint8Array, start: number, end: number): void;
declare function parseAccessLog(line: string): Hit;
declare function parse(line: string): Order;
declare function postings(line: string): readonly { readonly word: string }[];
declare function total(counts: Iterable<number>): number;
declare const driver: TestDriver;
declare const order: Order;
declare function toSessions(user: string, visits: Iterable<Visit>, emit: Emit<Visit>): void;
`;

interface Snippet {
  /** File and line, for people. */
  readonly where: string;
  readonly code: string;
  /** Under which others of its page import it: what its first line says. */
  readonly file?: string | undefined;
}

/** A compiler on a machine that has other things to do. */
const COMPILE_MS = 180_000;

let directory = '';

beforeAll(async () => {
  await mkdir(CACHE, { recursive: true });
  directory = await mkdtemp(join(CACHE, 'examples-'));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  return [
    'README.md',
    'millrace/README.md',
    'examples/README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name)),
  ];
}

/** Names that an entry point exports, and the files of the package that they come from. */
function exportsOf(entry: string): {
  readonly names: ReadonlyMap<string, boolean>;
  readonly files: string[];
} {
  const names = new Map<string, boolean>();
  const files: string[] = [];
  for (const [, isType, list = '', from = ''] of read(entry).matchAll(
    /^export (type )?\{([^}]*)\} from '([^']+)';/gms,
  )) {
    files.push(relative(ROOT, resolve(ROOT, dirname(entry), from)));
    for (const item of list.split(',').map((text) => text.trim())) {
      if (item === '') continue;
      const name = item.replace(/^type /, '');
      names.set(name, isType !== undefined || name !== item);
    }
  }
  for (const [, name = ''] of read(entry).matchAll(/^export (?:async )?function (\w+)/gm))
    names.set(name, false);
  return { names, files };
}

const MILLRACE = exportsOf('millrace/src/index.ts');
const BROKER = exportsOf('millrace/src/broker.ts');
const TESTING = exportsOf('millrace/src/testing.ts');
// The two entries share the class of errors.
const BROKER_ONLY = new Map([...BROKER.names].filter(([name]) => !MILLRACE.names.has(name)));

/** A module of its own: with its context, and imports for what it uses, when it is a piece of a program. */
function moduleOf(code: string, context: string): string {
  if (/^import /m.test(code)) return code;
  const used = (names: ReadonlyMap<string, boolean>, from: string): string => {
    const text = `${code}\n${context}`;
    const items = [...names]
      .filter(([name]) => new RegExp(String.raw`\b${name}\b`).test(text))
      .filter(
        ([name]) =>
          !new RegExp(String.raw`^declare (?:const|function) ${name}\b`, 'm').test(context),
      )
      .map(([name, isType]) => (isType ? `type ${name}` : name));
    return items.length === 0 ? '' : `import { ${items.join(', ')} } from '${from}';\n`;
  };
  const imports =
    used(MILLRACE.names, 'millrace') +
    used(BROKER_ONLY, 'millrace/broker') +
    used(TESTING.names, 'millrace/testing');
  if (/^export /m.test(code)) return `${imports}${context}\n${code}\n`;
  return `${imports}${context}\nexport async function example(): Promise<void> {\n${code}\n}\n`;
}

function pageSnippets(): Snippet[] {
  return pages().flatMap((page) => {
    let context = '';
    return blocksOf(existsSync(join(ROOT, page)) ? read(page) : '')
      .filter(({ language }) => language === 'ts')
      .flatMap(({ code, line }) => {
        // What the pieces behind it on its page begin with.
        if (code.includes('declare const ')) {
          context = code;
          return [];
        }
        const name = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1];
        const file = name === undefined ? undefined : join(page.replaceAll(/\W/g, '-'), name);
        return [{ where: `${page}:${line}`, code: moduleOf(code, context), file }];
      });
  });
}

/** The text of the `@example` tags of all docstrings of a file. */
function docstringSnippets(file: string): Snippet[] {
  const text = read(file);
  return [...text.matchAll(/^[ \t]*\/\*\*.*?\*\//gms)].flatMap((match) => {
    const lines = match[0]
      .replace(/^[ \t]*\/\*\*/, '')
      .replace(/\*\/$/, '')
      .split('\n')
      .map((line) => line.replace(/^\s*\* ?/, ''));
    const first = text.slice(0, match.index).split('\n').length;
    const snippets: Snippet[] = [];
    for (let at = 0; at < lines.length; at++) {
      if (!/^\s*@example\b/.test(lines[at] ?? '')) continue;
      const code = [(lines[at] ?? '').replace(/^\s*@example\s*/, '')];
      const where = `${file}:${first + at}`;
      while (at + 1 < lines.length && !/^\s*@\w/.test(lines[at + 1] ?? ''))
        code.push(lines[++at] ?? '');
      snippets.push({ where, code: moduleOf(code.join('\n').trim(), DOCSTRING_CONTEXT) });
    }
    return snippets;
  });
}

/** What the compiler says of each group of snippets, with their places: one run of it, which reads the sources once. */
async function check(
  groups: Readonly<Record<string, readonly Snippet[]>>,
): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>();
  for (const [group, snippets] of Object.entries(groups))
    for (const [index, { where, code, file = `snippet-${index}.ts` }] of snippets.entries()) {
      const path = join(group, file);
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), code);
      places.set(path, where);
    }
  const config = {
    extends: join(ROOT, 'tsconfig.base.json'),
    compilerOptions: {
      noEmit: true,
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
      // A piece of a program need not use what it makes, nor read what Node gives by a name in brackets.
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: {
        millrace: [join(ROOT, 'millrace/src/index.ts')],
        'millrace/broker': [join(ROOT, 'millrace/src/broker.ts')],
        'millrace/testing': [join(ROOT, 'millrace/src/testing.ts')],
      },
      typeRoots: [join(ROOT, 'node_modules/@types')],
    },
    include: ['**/*.ts', join(ROOT, 'millrace/src/core/native-text.ts')],
  };
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [compiler, '-p', directory, '--pretty', 'false'];
  const output = await promisify(execFile)(process.execPath, args, { cwd: directory }).then(
    () => '',
    (error: unknown) => (error as { readonly stdout: string }).stdout,
  );
  return byGroup(output, Object.keys(groups), places);
}

/** What is about no group stands with each. */
function byGroup(
  output: string,
  groups: readonly string[],
  places: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const said = new Map(groups.map((group) => [group, '']));
  let about = groups;
  for (const line of output.split('\n').filter((text) => text !== '')) {
    // What is indented goes on with the line before it.
    const file = /^([^\s(]+)\(/.exec(line)?.[1];
    if (!line.startsWith(' '))
      about = groups.filter(
        (group) => file === undefined || !places.has(file) || file.startsWith(`${group}/`),
      );
    const text = file === undefined ? line : line.replace(file, places.get(file) ?? file);
    for (const group of about) said.set(group, `${said.get(group) ?? ''}${text}\n`);
  }
  return said;
}

function docstrings(): Snippet[] {
  const files = new Set([
    ...MILLRACE.files,
    ...BROKER.files,
    ...TESTING.files,
    'millrace/src/broker.ts',
  ]);
  return [...files].flatMap(docstringSnippets);
}

const PAGES = pageSnippets();
const DOCSTRINGS = docstrings();
const WRONG = "rows.where(col('stauts').eq(200));";
let said: ReadonlyMap<string, string>;

beforeAll(async () => {
  said = await check({
    pages: PAGES,
    docstrings: DOCSTRINGS,
    wrong: [{ where: 'here:1', code: moduleOf(WRONG, DOCSTRING_CONTEXT) }],
  });
}, COMPILE_MS);

test('the TypeScript of the pages compiles', () => {
  expect(PAGES.length).toBeGreaterThan(25);
  expect(said.get('pages')).toBe('');
});

test('the examples in docstrings of what is exported compile', () => {
  expect(DOCSTRINGS.length).toBeGreaterThan(40);
  expect(said.get('docstrings')).toBe('');
});

test('a wrong example is found', () => {
  expect(said.get('wrong')).toMatch(/^here:1\(.*There is no column 'stauts'/);
});
