/** Sources on real files: what there is to read, and what can be wrong with it. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { realEnv } from '../../core/real-env.ts';
import { errorOf, planContext, readContext, readValues } from '../../../test/files/read-harness.ts';
import { files } from './files.ts';
import { linesSource } from './read-lines.ts';
import { spoolStandardInput } from './spool.ts';

const env = realEnv();

async function directoryOf(contents: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-files-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(contents)) {
    await mkdir(join(directory, name, '..'), { recursive: true });
    await writeFile(join(directory, name), content);
  }
  return directory;
}

test('reads files, patterns, directories and arrays of them in their order', async () => {
  const directory = await directoryOf({
    'b.txt': 'b\n',
    'a.txt': 'a\n',
    'in/2.txt': '2\n',
    'in/1.txt': '1',
    'in/.hidden': 'no\n',
    'in/_SUCCESS': 'no\n',
    'in/deeper/3.txt': '3\n',
    'odd[1].txt': 'odd\n',
  });
  const read = (path: string | string[]): Promise<string[]> =>
    readValues(files.lines(path).source(), { env, directory });
  expect(await read('b.txt')).toEqual(['b']);
  expect(await read('?.txt')).toEqual(['a', 'b']);
  expect(await read('in')).toEqual(['1', '2']);
  expect(await read('in/')).toEqual(['1', '2']);
  expect(await read('**/[0-9].txt')).toEqual(['1', '2', '3']);
  expect(await read(['b.txt', 'in', 'b.txt', join(directory, 'a.txt')])).toEqual([
    'b',
    '1',
    '2',
    'b',
    'a',
  ]);
  expect(await read('odd[1].txt')).toEqual(['odd']);
});

test('of a directory that a job wrote, the parts are read that it names', async () => {
  const manifest = { format: 1, files: [{ name: 'part-00000.txt' }, { name: 'part-00001.txt' }] };
  const directory = await directoryOf({
    'out/part-00000.txt': '0\n',
    'out/part-00001.txt': '1\n',
    'out/notes.txt': 'not of the job\n',
    'out/_manifest.json': JSON.stringify(manifest),
    'broken/a.txt': 'a\n',
    'broken/_manifest.json': '{"files":',
  });
  const options = { env, directory };
  expect(await readValues(linesSource('out'), options)).toEqual(['0', '1']);
  const error = await errorOf(readValues(linesSource('broken'), options));
  expect(error.code).toBe('ML_INPUT_MALFORMED');
});

test('says what is missing, and where it was looked for', async () => {
  const directory = await directoryOf({ 'empty/.hidden': 'x' });
  for (const [path, message] of [
    ['no.log', 'no.log does not exist'],
    ['logs/*.log', 'no file matches logs/*.log'],
    ['empty', 'the directory empty holds no files to read'],
  ] as const) {
    const error = await errorOf(readValues(linesSource(path), { env, directory }));
    expect(error.code).toBe('ML_INPUT_MISSING');
    expect(error.message).toBe(message);
    expect(error.hint.length).toBeGreaterThan(20);
  }
});

test('a link that leads nowhere is not left out in silence', async () => {
  const directory = await directoryOf({ 'in/a.txt': 'a\n' });
  await symlink('nowhere', join(directory, 'in/b.txt'));
  for (const path of ['in', 'in/*.txt', '**/*.txt', 'in/**']) {
    const error = await errorOf(readValues(linesSource(path), { env, directory }));
    expect(error.code).toBe('ML_INPUT_MISSING');
    expect(error.message).toBe('in/b.txt is a link that leads nowhere');
  }
});

test('a directory that may not be looked into is named', async () => {
  const directory = await directoryOf({ 'closed/a.log': 'x' });
  const closed: Env = {
    ...env,
    fs: Object.assign(Object.create(env.fs) as Env['fs'], {
      list: (path: string) => {
        throw new MillraceError('ML_PERMISSION', `cannot list ${path}`);
      },
    }),
  };
  for (const path of ['closed', 'clos*/*.log', '**/a.log']) {
    const error = await errorOf(readValues(linesSource(path), { env: closed, directory }));
    expect(error.code).toBe('ML_PERMISSION');
    expect(error.message).toContain(directory);
  }
});

const text = Array.from({ length: 20_000 }, (_, index) => `line ${index} of the file\n`).join('');
const compressors = { gzip: gzipSync, zstd: zstdCompressSync } as const;

test.for(['gzip', 'zstd'] as const)('%s is known by its first bytes or its name', async (kind) => {
  const compress = compressors[kind];
  const extension = kind === 'gzip' ? '.gz' : '.zst';
  const members = Buffer.concat([compress(text), compress(''), compress('the end\n')]);
  const directory = await directoryOf({ plain: members, [`a.txt${extension}`]: members });
  const expected = `${text}the end\n`.split('\n').slice(0, -1);
  for (const path of ['plain', `a.txt${extension}`])
    expect(await readValues(linesSource(path), { env, directory, splitBytes: 1000 })).toEqual(
      expected,
    );
});

test.for(['gzip', 'zstd'] as const)('%s that is cut or damaged is malformed', async (kind) => {
  const whole = compressors[kind](text);
  const damaged = Buffer.from(whole);
  damaged.fill(0x55, whole.length >> 1, (whole.length >> 1) + 50);
  const extension = kind === 'gzip' ? '.gz' : '.zst';
  const cases: Record<string, Buffer> = {
    cut: whole.subarray(0, whole.length - 5),
    header: whole.subarray(0, 5),
    empty: Buffer.alloc(0),
    text: Buffer.from('not compressed at all\n'),
    damaged,
    behind: Buffer.concat([whole, Buffer.from('garbage')]),
    member: Buffer.concat([whole, whole.subarray(0, 40)]),
  };
  for (const [name, content] of Object.entries(cases)) {
    const file = `${name}${extension}`;
    const directory = await directoryOf({ [file]: content });
    const error = await errorOf(readValues(linesSource(file), { env, directory }));
    expect([name, error.code]).toEqual([name, 'ML_INPUT_MALFORMED']);
    expect(error.message).toContain(file);
  }
});

test('zeros behind a gzip member are padding', async () => {
  const directory = await directoryOf({
    'a.gz': Buffer.concat([gzipSync('x\n'), Buffer.alloc(200_000)]),
  });
  expect(await readValues(linesSource('a.gz'), { env, directory })).toEqual(['x']);
});

test('other compressions are refused by name', async () => {
  const directory = await directoryOf({
    xz: Buffer.from('fd377a585a000004e6d6b446', 'hex'),
    bzip2: Buffer.from('425a68393141592653594e', 'hex'),
    'BZh.txt': 'BZh9 is how it begins\n',
  });
  for (const path of ['xz', 'bzip2']) {
    const error = await errorOf(readValues(linesSource(path), { env, directory }));
    expect(error.message).toBe(`${path} is compressed with ${path}`);
  }
  expect(await readValues(linesSource('BZh.txt'), { env, directory })).toEqual([
    'BZh9 is how it begins',
  ]);
});

test('what changes after the plan: more is left alone, less and nothing are errors', async () => {
  const directory = await directoryOf({ 'a.txt': text });
  const options = { env, directory, splitBytes: 100_000 };
  const source = linesSource('a.txt');
  const { splits } = await source.plan(planContext(options));
  const readAll = async (): Promise<string[]> => {
    const lines: string[] = [];
    for (const split of splits) {
      const reader = source.open(split, readContext(options));
      while (!(await reader.read((line) => lines.push(line) > 0)));
      await reader.close();
    }
    return lines;
  };
  const path = join(directory, 'a.txt');
  await writeFile(path, `${text}more\n`);
  expect(await readAll()).toEqual(text.split('\n').slice(0, -1));
  await truncate(path, 150_000);
  const shorter = await errorOf(readAll());
  expect(shorter.code).toBe('ML_INPUT_MALFORMED');
  expect(shorter.message).toMatch(/^a\.txt became shorter while it was read/);
  await rm(path);
  const gone = await errorOf(readAll());
  expect(gone.code).toBe('ML_INPUT_MISSING');
});

test('pipes and devices are refused: they cannot be read twice', async () => {
  const directory = await directoryOf({});
  const error = await errorOf(readValues(linesSource('/dev/zero'), { env, directory }));
  expect(error.message).toBe('/dev/zero is not a regular file');
  expect(error.hint).toContain("'-'");
});

test('stdin is copied once into the spool directory, and read from there like a file', async () => {
  const directory = await directoryOf({});
  const pieces = [gzipSync(text).subarray(0, 100), gzipSync(text).subarray(100)];
  const input = {
    read: async (buffer: Buffer) => pieces.shift()?.copy(buffer) ?? 0,
  };
  const context = { ...planContext({ env, directory }), spoolDirectory: directory };
  const [spooled] = await Promise.all([
    spoolStandardInput(context, input),
    spoolStandardInput(context, input),
  ]);
  expect(await readFile(spooled.path)).toEqual(gzipSync(text));
  const source = linesSource('-');
  const { splits } = await source.plan(context);
  const lines: string[] = [];
  for (const split of splits) {
    const reader = source.open(split, readContext({ env, directory }));
    while (!(await reader.read((line) => lines.push(line) > 0)));
    expect(reader.position()).toBe('stdin:20000');
    await reader.close();
  }
  expect(lines.length).toBe(20_000);
  const refused = await errorOf(linesSource('-').plan(planContext({ env, directory })));
  expect(refused.code).toBe('ML_FLOW_INVALID');
});

test('stdin of a process is read to its end, however it comes', () => {
  const module = new URL('../../core/standard-streams.ts', import.meta.url).href;
  const script = `
    import { standardInput } from '${module}';
    const buffer = Buffer.alloc(100);
    let bytes = 0;
    for (let count; (count = await standardInput.read(buffer)) > 0; ) bytes += count;
    process.stdout.write(String(bytes));`;
  const args = ['--input-type=module', '--no-warnings', '-e', script];
  expect(execFileSync(process.execPath, args, { input: text }).toString()).toBe(
    String(text.length),
  );
  const slow = `(printf abc; sleep 0.05; printf de) | "$0" "$@"`;
  expect(execFileSync('sh', ['-c', slow, process.execPath, ...args]).toString()).toBe('5');
});

test('an output has one path', () => {
  expect(() => files.lines(['a', 'b']).sink()).toThrow(/2 paths cannot be written/);
});
