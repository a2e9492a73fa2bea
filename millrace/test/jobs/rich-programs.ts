/**
 * Programs that have every operator whose output could show how a job was run, and generated input for them: floats of very
 * different sizes, a key that has half of the records, duplicates, empty values.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const IMPORT =
  "import { avg, col, count, countDistinct, desc, files, flow, max, min, sum, words } from 'millrace';\n";
const EVENTS =
  "files.csv('in/events-*.csv', { columns: { user: 'string', page: 'string', amount: 'number', n: 'number' } })";

/** Aggregates, in columns and in functions, keyed and of everything. */
const SUMS = `${IMPORT}export default flow('sums', (f) => {
  const rows = f.read(${EVENTS});
  const seen = f.counter('seen');
  rows.where(col('n').gt(3)).groupBy('page')
    .agg({ hits: count(), total: sum('amount'), mean: avg('amount'), low: min('amount'), high: max('n'), users: countDistinct('user') })
    .write(files.csv('out/columns.csv'));
  rows.tap(() => seen.add()).keyBy((row) => row.user)
    .aggregate('floats', { init: () => ({ sum: 0, last: '' }), add: (a, row) => ({ sum: a.sum + row.amount, last: row.page }) })
    .write(files.ndjson('out/floats'));
  rows.keyBy((row) => row.page)
    .aggregate('merged', { init: () => [0, ''], add: ([n, first], row) => [n + row.n, first === '' ? row.user : first], merge: ([n, first], [m, second]) => [n + m, first === '' ? second : first] })
    .write(files.ndjson('out/merged'));
  rows.map((row) => row.n).reduce('all', (a, b) => Math.max(a, b)).write(files.ndjson('out/all.ndjson'));
  rows.keyBy((row) => [row.user, row.page]).count('pairs').top(50).write(files.ndjson('out/top.ndjson'));
  f.read(files.lines('in/events-*.csv')).rows().explode('word', words('line')).groupBy('word').agg({ n: count() }).sortBy(desc('n'), 'word').write(files.tsv('out/words.tsv'));
});`;

/** Orders: secondary sort, total sort, distinct, top, sample, union, branch. */
const ORDERS = `${IMPORT}export default flow('orders', (f) => {
  const rows = f.read(${EVENTS});
  rows.groupBy((row) => row.user).sortValuesBy((row) => [desc(row.n), row.page])
    .reduce('visits', (user, values, emit) => {
      let taken = 0;
      for (const { page, amount } of values) if (taken++ < 40) emit({ user, page, amount });
    })
    .write(files.ndjson('out/visits'));
  rows.sort('by-amount', (row) => desc(row.amount)).map(({ user, amount }) => ({ user, amount })).write(files.csv('out/sorted'));
  rows.sortBy('page', desc('n')).write(files.csv('out/sorted-columns'));
  rows.distinct('pages', (row) => [row.page, row.n]).write(files.ndjson('out/pages'));
  rows.sample(0.1, { seed: 7 }).write(files.ndjson('out/sample.ndjson'));
  const { big, odd, rest } = rows.branch({ big: (row) => row.n > 50, odd: (row) => row.n % 2 === 1 });
  odd.union(big, rest.filter((row) => row.n > 10)).top('best', 500, (row) => [row.n, row.page]).write(files.ndjson('out/best.ndjson'));
  rest.union(odd, big).map((row) => row.user + row.page + row.n).write(files.lines('out/all.txt'));
});`;

/** Every type of join by every strategy, with a key that has half of the rows. */
const JOINS = `${IMPORT}export default flow('joins', (f) => {
  const events = f.read(${EVENTS}).map(({ user, page, n }) => ({ user, page, n })).keyBy((row) => row.user);
  const users = f.read(files.ndjson('in/users.ndjson')).keyBy((row: any) => row.user);
  const pair = (left: any, right: any, key: any) => [key, left?.page ?? null, left?.n ?? null, right?.id ?? null];
  for (const strategy of ['sort-merge', 'broadcast-hash', 'partitioned-hash'] as const) {
    events.join('inner-' + strategy, users, pair, { strategy }).write(files.ndjson('out/inner-' + strategy));
    events.leftJoin('left-' + strategy, users, pair, { strategy, splitHotKeys: false }).write(files.ndjson('out/left-' + strategy));
    events.filter((row) => row.n > 60).semiJoin('semi-' + strategy, users, { strategy }).write(files.ndjson('out/semi-' + strategy));
    events.antiJoin('anti-' + strategy, users, { strategy }).write(files.ndjson('out/anti-' + strategy));
    if (strategy === 'broadcast-hash') continue;
    events.filter((row) => row.n > 80).rightJoin('right-' + strategy, users, pair, { strategy }).write(files.ndjson('out/right-' + strategy));
    events.filter((row) => row.n > 80).outerJoin('outer-' + strategy, users, pair, { strategy }).write(files.ndjson('out/outer-' + strategy));
  }
});`;

/** Rounds that are chained, side data, and what comes of both in a shuffle. */
const ROUNDS = `${IMPORT}export default flow('rounds', (f) => {
  const rows = f.read(${EVENTS});
  const links = rows.map(({ user, page }) => [user, page] as const).distinct('links').keyBy(([user]) => user)
    .mapValues(([, page]) => [page]).reduce('targets', (a, b) => [...a, ...b]);
  const ranks = f.iterate('ranks', links.mapValues(() => 1), { rounds: 4 }, (current) =>
    current.join('given', links, (rank, targets) => ({ rank, targets }))
      .flatMap(({ rank, targets }) => targets.map((to: string) => ({ to, share: rank / targets.length })))
      .keyBy(({ to }) => 'u' + (to.length * 7 + to.charCodeAt(to.length - 1)) % 40)
      .aggregate('received', { init: () => 0.15, add: (sum, { share }) => sum + 0.85 * share }));
  ranks.write(files.ndjson('out/ranks.ndjson'));
  const names = f.broadcast('names', f.read(files.ndjson('in/users.ndjson')).keyBy((row: any) => row.user).mapValues((row: any) => row.id).reduce('first', (a) => a));
  rows.with(names, (row, side) => ({ id: side.get(row.user) ?? -1, n: row.n, amount: row.amount }))
    .keyBy((row) => row.id).aggregate('by-id', { init: () => 0, add: (sum, row) => sum + row.amount }).write(files.table('out/table', { partitions: 2 }));
});`;

/** Records of every kind that are skipped: by the source, by functions before and behind shuffles, by sinks. */
const LETTERS = `${IMPORT}import { skipTo } from 'millrace';
export default flow('letters', { onError: skipTo(files.ndjson('out/letters.ndjson'), { recordsMax: 100_000 }) }, (f) => {
  const rows = f.read(files.csv('in/broken-*.csv', { columns: { user: 'string', page: 'string', amount: 'number', n: 'number' } }));
  const fail = (isBad: boolean, what: string) => { if (isBad) throw new Error(what); };
  rows.map((row) => { fail(row.n % 10 === 3, 'three'); return row; }).write(files.csv('out/rows.csv'));
  rows.keyBy((row) => row.user).count('n').filter((n, user) => { fail(user.endsWith('7'), 'seven'); return n > 0; }).write(files.ndjson('out/counts'));
  rows.groupBy((row) => row.page).reduce('pages', (page, values, emit) => { fail(page.endsWith('9'), 'nine'); let n = 0; for (const value of values) n += value.n; emit({ page, n }); }).write(files.csv('out/pages.csv'));
  rows.sort('by-n', (row) => { fail(row.n === 50, 'fifty'); return [row.n, row.user === 'u8' ? {} as never : row.user]; }).map((row) => row.user).write(files.lines('out/sorted.txt'));
  rows.groupBy('user').agg({ n: sum('n'), amount: sum('amount') }).write(files.csv('out/sums.csv'));
  rows.map((row) => (row.n === 99 ? undefined : row.n)).write(files.ndjson('out/numbers.ndjson'));
});`;

export const RICH_PROGRAMS: Readonly<Record<string, string>> = {
  sums: SUMS,
  orders: ORDERS,
  joins: JOINS,
  rounds: ROUNDS,
  letters: LETTERS,
};

/** Writes programs and input. @param rows of events, in three files */
export async function writeRich(directory: string, rows: number): Promise<void> {
  await mkdir(join(directory, 'in'), { recursive: true });
  for (const [name, text] of Object.entries(RICH_PROGRAMS))
    await writeFile(join(directory, `${name}.ts`), text);
  let seed = 42;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const event = (): string => {
    const user = random() < 0.5 ? 'hot' : random() < 0.02 ? '' : `u${Math.floor(random() * 2_000)}`;
    const page = `/${Math.floor(random() ** 2 * 500)}${random() < 0.05 ? ', "quoted"' : ''}`;
    const amount = random() * 10 ** Math.floor(random() * 24 - 12) * (random() < 0.3 ? -1 : 1);
    return `${user},${/[",]/.test(page) ? `"${page.replaceAll('"', '""')}"` : page},${amount},${Math.floor(random() * 100)}`;
  };
  for (let file = 0; file < 3; file++) {
    const lines = Array.from({ length: Math.floor(rows / 3) }, event);
    await writeFile(
      join(directory, 'in', `events-${file}.csv`),
      `user,page,amount,n\n${lines.join('\n')}\n`,
    );
    const broken = lines.map((line, at) =>
      at % 97 === 5 ? `${line},more` : at % 89 === 7 ? 'short' : line,
    );
    await writeFile(
      join(directory, 'in', `broken-${file}.csv`),
      `user,page,amount,n\n${broken.join('\n')}\n`,
    );
  }
  const users = Array.from({ length: 1_500 }, (_, id) =>
    JSON.stringify({ user: id < 2 ? 'hot' : `u${id * 2}`, id }),
  );
  await writeFile(join(directory, 'in/users.ndjson'), `${users.join('\n')}\n`);
}
