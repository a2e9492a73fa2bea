/** What the batch engine is measured on: a task, our programs for it, and what people would use instead. */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import { provideData } from './data.ts';

export interface ScenarioContext {
  /** Of the input, made once. */
  readonly dataDirectory: string;
  /** For outputs: empty at the beginning of each run. */
  readonly outputDirectory: string;
  /** Millrace's own: stays from run to run, as a user's does. */
  readonly stateDirectory: string;
  readonly scale: number;
  readonly memory: string;
}

export interface Side {
  readonly name: string;
  /** For bash. */
  readonly command: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** What came out, in a form that is equal for all sides. */
  readonly result: (stdout: string) => Promise<string> | string;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Ours first. */
  readonly sides: (context: ScenarioContext) => readonly Side[];
  /** Ratios to print: our side against theirs, and what we aim at (undefined: it is only stated). */
  readonly ratios: readonly {
    readonly ours: string;
    readonly theirs: string;
    readonly aim?: number;
  }[];
}

const MILLRACE = fileURLToPath(new URL('../../../millrace/bin/millrace.js', import.meta.url));
const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url));
const DUCKDB = fileURLToPath(new URL('duckdb-query.ts', import.meta.url));

function millrace(
  context: ScenarioContext,
  program: string,
  settings: Readonly<Record<string, string>>,
  options = '',
): string {
  const set = Object.entries(settings).map(([name, value]) => `--set ${name}=${value}`);
  return `${process.execPath} ${MILLRACE} run ${join(PROGRAMS, program)} ${set.join(' ')} --data ${context.stateDirectory} ${options}`;
}

function duckdb(sql: string): string {
  return `${process.execPath} ${DUCKDB} "${sql.replaceAll('"', '\\"')}"`;
}

const topUrls: Scenario = {
  name: 'top-urls',
  title: 'The five most requested paths of a 700 MB access log',
  sides: (context) => {
    const log = provideData(context.dataDirectory, 'accessLog', context.scale);
    const ours = (name: string, program: string): Side => ({
      name,
      command: millrace(context, program, { input: log, output: '-' }),
      result: (stdout) =>
        countedLines(stdout, (line) => {
          const row = JSON.parse(line) as Record<string, string | number>;
          return `${row['hits'] ?? row['value']} ${row['path'] ?? row['key']}`;
        }),
    });
    const shell = (name: string, command: string): Side => ({
      name,
      command,
      environment: { LC_ALL: 'C' },
      result: (stdout) => countedLines(stdout, (line) => line.trim()),
    });
    return [
      ours('columns', 'top-urls-columns.ts'),
      ours('lambda on rows', 'top-urls-rows.ts'),
      ours('lambda on lines', 'top-urls-lambda.ts'),
      shell('awk|sort|uniq', `awk '{print $7}' ${log} | sort | uniq -c | sort -rn | head -5`),
      shell(
        'mawk',
        `mawk '{c[$7]++} END {for (k in c) print c[k], k}' ${log} | sort -rn | head -5`,
      ),
      {
        name: 'duckdb',
        command: duckdb(
          `SELECT count(*) AS hits, column06 AS path FROM read_csv('${log}', delim=' ', quote='', escape='', header=false, all_varchar=true, null_padding=true, strict_mode=false, auto_detect=false, columns={${DUCKDB_LOG_COLUMNS}}) GROUP BY column06 ORDER BY hits DESC LIMIT 5`,
        ),
        result: (stdout) =>
          countedLines(stdout, (line) => {
            const row = JSON.parse(line) as Record<string, string | number>;
            return `${row['hits']} ${row['path']}`;
          }),
      },
    ];
  },
  ratios: [
    { ours: 'lambda on lines', theirs: 'awk|sort|uniq', aim: 2 },
    { ours: 'lambda on rows', theirs: 'awk|sort|uniq', aim: 2 },
    { ours: 'columns', theirs: 'duckdb', aim: 1 },
    { ours: 'columns', theirs: 'mawk', aim: 2 },
  ],
};

/** Lines of an access log have 12 to 22 fields between blanks. */
const DUCKDB_LOG_COLUMNS = Array.from(
  { length: 24 },
  (_, index) => `'column${String(index).padStart(2, '0')}': 'VARCHAR'`,
).join(', ');

const wordCount: Scenario = {
  name: 'word-count',
  title: 'How often each of 350,000 words occurs in 270 MB of text',
  sides: (context) => {
    const text = provideData(context.dataDirectory, 'text', context.scale);
    const output = join(context.outputDirectory, 'words');
    const ours = (name: string, program: string): Side => ({
      name,
      command: millrace(context, program, { input: text, output }),
      result: () =>
        sortedLines(output, (line) => (line.startsWith('word\t') ? '' : line.replace('\t', ' '))),
    });
    return [
      ours('columns', 'word-count-columns.ts'),
      ours('lambda', 'word-count-lambda.ts'),
      {
        name: 'tr|sort|uniq',
        command: `tr -cs A-Za-z '\\n' < ${text} | sort | uniq -c > ${output}.txt`,
        environment: { LC_ALL: 'C' },
        result: () =>
          sortedLines(`${output}.txt`, (line) => line.trim().split(' ').toReversed().join(' ')),
      },
    ];
  },
  ratios: [
    { ours: 'columns', theirs: 'tr|sort|uniq', aim: 4 },
    { ours: 'lambda', theirs: 'tr|sort|uniq' },
  ],
};

const sort: Scenario = {
  name: 'sort',
  title: 'Sorting 1 GiB of 100-byte lines in 256 MB',
  sides: (context) => {
    const records = provideData(context.dataDirectory, 'sortRecords', context.scale);
    const output = join(context.outputDirectory, 'sorted');
    return [
      {
        name: 'columns',
        command: millrace(
          context,
          'sort-lines.ts',
          { input: records, output },
          `--memory ${context.memory}`,
        ),
        result: () => contentHash(output),
      },
      {
        name: 'lambda',
        command: millrace(
          context,
          'sort-lines-lambda.ts',
          { input: records, output },
          `--memory ${context.memory}`,
        ),
        result: () => contentHash(output),
      },
      {
        name: 'GNU sort',
        command: `sort -S ${context.memory} --parallel=2 ${records} -o ${output}.txt`,
        environment: { LC_ALL: 'C', TMPDIR: context.outputDirectory },
        result: () => contentHash(`${output}.txt`),
      },
    ];
  },
  ratios: [
    { ours: 'columns', theirs: 'GNU sort', aim: 1 },
    { ours: 'lambda', theirs: 'GNU sort' },
  ],
};

const tableJoin: Scenario = {
  name: 'join',
  title: 'Inner join of 10 M events with 1 M users, CSV to CSV',
  sides: (context) => {
    const events = provideData(context.dataDirectory, 'events', context.scale);
    const users = provideData(context.dataDirectory, 'users', context.scale);
    const output = join(context.outputDirectory, 'joined');
    return [
      {
        name: 'lambda',
        command: millrace(context, 'join.ts', { events, users, output }),
        result: () => unorderedHash(output),
      },
      {
        name: 'duckdb',
        command: duckdb(
          `COPY (SELECT e.user AS user, amount, country FROM read_csv('${events}') e JOIN read_csv('${users}') u ON e.user = u.user) TO '${output}.csv'`,
        ),
        result: () => unorderedHash(`${output}.csv`),
      },
    ];
  },
  ratios: [{ ours: 'lambda', theirs: 'duckdb' }],
};

const shuffle: Scenario = {
  name: 'shuffle',
  title: 'A shuffle of 4 GiB in 256 MB: every record goes to another task, sorted by key',
  sides: (context) => {
    const output = join(context.outputDirectory, 'groups');
    const megabytes = String(Math.max(4, Math.round(4096 * context.scale)));
    return [
      {
        name: 'millrace',
        command: millrace(
          context,
          'shuffle.ts',
          { megabytes, output },
          `--memory ${context.memory} --workers 2`,
        ),
        result: async () => (await sortedLines(output, (line) => line)).slice(0, 64),
      },
    ];
  },
  ratios: [],
};

export const SCENARIOS: readonly Scenario[] = [topUrls, wordCount, sort, tableJoin, shuffle];

function countedLines(text: string, each: (line: string) => string): string {
  return text.trimEnd().split('\n').map(each).join('\n');
}

/** The files of an output, in order. */
function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => name.startsWith('part-'))
    .sort()
    .map((name) => join(path, name));
}

async function sortedLines(path: string, each: (line: string) => string): Promise<string> {
  const lines = filesOf(path).flatMap((file) => readFileSync(file, 'latin1').split('\n').map(each));
  const hash = createHash('sha256');
  for (const line of lines.filter((text) => text !== '').sort()) hash.update(`${line}\n`);
  return hash.digest('hex');
}

async function contentHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of filesOf(path))
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Equal for the same lines in any order: the sums of two hashes over all lines, and their number. */
async function unorderedHash(path: string): Promise<string> {
  let [count, low, high] = [0, 0, 0];
  for (const file of filesOf(path)) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (line.startsWith('user,')) continue;
      count++;
      low = (low + hashOf(line, 0x811c9dc5)) >>> 0;
      high = (high + hashOf(line, 0x01000193)) >>> 0;
    }
  }
  return `${count} lines, ${low.toString(16)}-${high.toString(16)}`;
}

/** FNV-1a. */
function hashOf(text: string, seed: number): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
