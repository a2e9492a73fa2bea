import { expect, test } from 'vitest';
import type { Env } from '../../../core/env.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readWholeFile, writeFully } from '../../../core/files.ts';
import { SimMachine, SimPowerCut } from '../../../core/sim/sim-machine.ts';
import type { Part, Sink, SinkTarget } from '../../../flow/sink.ts';
import type { CommitOptions } from './commit.ts';
import { OutputCommit, recoverOutput } from './commit.ts';

const DIRECTORY = '/data/work';

function sinkTo(target: SinkTarget, complete?: Sink['complete']): Sink {
  return {
    kind: 'sink',
    format: 'lines',
    label: 'path' in target ? `lines ${target.path}` : '-',
    target,
    arrangement: 'any',
    partBytes: undefined,
    open: () => {
      throw new Error('the parts of these tests are written by hand');
    },
    ...(complete === undefined ? {} : { complete }),
  };
}

const file = (path: string): Sink => sinkTo({ kind: 'file', path });
const directory = (path: string): Sink => sinkTo({ kind: 'directory', path, extension: '.ndjson' });

function optionsFor(sinks: readonly Sink[], more: Partial<CommitOptions> = {}): CommitOptions {
  return {
    jobId: 'job-1',
    directory: DIRECTORY,
    outputs: sinks.map((sink, node) => ({ node, sink })),
    inputs: [],
    overwrite: false,
    describe: { pid: 17, startedMs: 1_700_000_000_000 },
    scratch: '/data/scratch',
    ...more,
  };
}

async function writePart(
  env: Env,
  directoryPath: string,
  name: string,
  text: string,
): Promise<Part> {
  const path = `${directoryPath}/${name}`;
  const bytes = Buffer.from(text);
  const opened = env.fs.open(path, 'create');
  try {
    writeFully(opened, bytes, 0, bytes.length, 0);
    await opened.sync();
  } finally {
    opened.close();
  }
  return { path, bytes: bytes.length, records: text.split('\n').length - 1 };
}

/** Runs a whole job: each output gets the texts as parts of tasks 0, 1, … */
async function runJob(
  env: Env,
  options: CommitOptions,
  texts: readonly (readonly string[])[],
  stdout: string[] = [],
): ReturnType<OutputCommit['commit']> {
  const commit = await OutputCommit.begin(env, options);
  try {
    const parts = new Map<number, Part[]>();
    for (const [node, list] of texts.entries()) {
      const written: Part[] = [];
      for (const [task, text] of list.entries())
        written.push(await writePart(env, commit.attemptDirectory(node, 0, task, 0), 'p', text));
      parts.set(node, written);
    }
    return await commit.commit(parts, async (bytes) => {
      stdout.push(Buffer.from(bytes).toString());
    });
  } catch (error) {
    await commit.abort();
    throw error;
  }
}

function read(env: Env, path: string): string {
  return readWholeFile(env.fs, `${DIRECTORY}/${path}`).toString();
}

function onMachine(body: (env: Env) => Promise<void>): Promise<void> {
  const machine = new SimMachine(1, { directories: [DIRECTORY] });
  return machine.run(body(machine.boot()));
}

async function errorOf(work: () => unknown): Promise<MillraceError | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  return undefined;
}

async function codeOf(work: () => unknown): Promise<ErrorCode | undefined> {
  return (await errorOf(work))?.code;
}

test('parts of a file are put together in order, and nothing else is left', () =>
  onMachine(async (env) => {
    const result = await runJob(env, optionsFor([file('sub/deep/out.txt')]), [
      ['a\nb\n', '', 'c\n'],
    ]);
    expect(read(env, 'sub/deep/out.txt')).toBe('a\nb\nc\n');
    const path = `${DIRECTORY}/sub/deep/out.txt`;
    expect(result).toEqual([{ node: 0, path, bytes: 6, records: 3, files: 1, isDirectory: false }]);
    expect(env.fs.list(`${DIRECTORY}/sub/deep`)).toEqual(['out.txt']);
  }));

test('a file output of which no task has written anything is an empty file', () =>
  onMachine(async (env) => {
    await runJob(env, optionsFor([file('a'), file('b')]), [[], ['', '']]);
    expect([read(env, 'a'), read(env, 'b')]).toEqual(['', '']);
    expect(env.fs.list(DIRECTORY)).toEqual(['a', 'b']);
  }));

test('a directory has parts with their names, a manifest, and is a link to its version', () =>
  onMachine(async (env) => {
    const described: string[] = [];
    const sink = sinkTo(
      { kind: 'directory', path: 'out', extension: '.ndjson' },
      async ({ directory: at, parts }) => {
        described.push(...parts.map((part) => part.path.slice(at.length + 1)));
      },
    );
    await runJob(env, optionsFor([sink]), [['1\n', '2\n3\n']]);
    expect(described).toEqual(['part-00000.ndjson', 'part-00001.ndjson']);
    expect(env.fs.list(`${DIRECTORY}/out`)).toEqual(['_manifest.json', ...described]);
    expect(read(env, 'out/part-00001.ndjson')).toBe('2\n3\n');
    expect(JSON.parse(read(env, 'out/_manifest.json'))).toEqual({
      format: 1,
      job: 'job-1',
      bytes: 6,
      records: 3,
      files: [
        { name: 'part-00000.ndjson', bytes: 2, records: 1 },
        { name: 'part-00001.ndjson', bytes: 4, records: 2 },
      ],
    });
    expect(env.fs.readLink(`${DIRECTORY}/out`)).toMatch(/^\.out\.millrace\/v-job-1-/);
    expect(
      env.fs.list(`${DIRECTORY}/.out.millrace`).filter((name) => !name.startsWith('lock')),
    ).toHaveLength(1);
    // With no part at all it still says that it is an output.
    await runJob(env, optionsFor([directory('none')]), [[]]);
    expect(env.fs.list(`${DIRECTORY}/none`)).toEqual(['_manifest.json']);
  }));

test('only the first part that has a head keeps it, and heads must agree', () =>
  onMachine(async (env) => {
    const commitWith = async (
      keys: readonly (string | undefined)[],
      path: string,
    ): Promise<void> => {
      const commit = await OutputCommit.begin(env, optionsFor([file(path)]));
      const parts: Part[] = [];
      for (const [task, key] of keys.entries()) {
        const at = commit.attemptDirectory(0, 0, task, 0);
        const part = await writePart(env, at, 'p', key === undefined ? '' : `${key}\n${task}\n`);
        parts.push(key === undefined ? part : { ...part, head: { bytes: key.length + 1, key } });
      }
      try {
        await commit.commit(new Map([[0, parts]]), async () => {});
      } finally {
        await commit.abort();
      }
    };
    await commitWith([undefined, 'a,b', 'a,b', undefined, 'a,b'], 'same.csv');
    expect(read(env, 'same.csv')).toBe('a,b\n1\n2\n4\n');
    const error = await errorOf(() => commitWith(['a,b', undefined, 'b,a'], 'other.csv'));
    expect(error?.code).toBe('ML_SINK_VALUE_INVALID');
    expect(error?.message).toContain('different columns: a,b; b,a');
    expect(env.fs.list(DIRECTORY)).toEqual(['same.csv']);
  }));

test('stdout gets its parts in order when everything else is in its place', () =>
  onMachine(async (env) => {
    const stdout: string[] = [];
    const sinks = [sinkTo({ kind: 'stdout' }), file('out')];
    const commit = await OutputCommit.begin(env, optionsFor(sinks));
    const parts = new Map<number, Part[]>();
    for (const node of [0, 1])
      parts.set(node, [
        await writePart(env, commit.attemptDirectory(node, 0, 0, 0), 'p', 'one\n'),
        await writePart(env, commit.attemptDirectory(node, 0, 1, 0), 'p', 'two\n'),
      ]);
    const result = await commit.commit(parts, async (bytes) => {
      expect(read(env, 'out')).toBe('one\ntwo\n');
      stdout.push(Buffer.from(bytes).toString());
    });
    expect(stdout.join('')).toBe('one\ntwo\n');
    expect(result.map(({ path, bytes }) => [path, bytes])).toEqual([
      ['-', 8],
      [`${DIRECTORY}/out`, 8],
    ]);
  }));

test('an existing output is refused, and nothing is touched', () =>
  onMachine(async (env) => {
    await runJob(env, optionsFor([file('f'), directory('d')]), [['old\n'], ['old\n']]);
    const before = env.fs.readLink(`${DIRECTORY}/d`);
    const atFile = await errorOf(() => runJob(env, optionsFor([file('f')]), [['new\n']]));
    expect(atFile?.code).toBe('ML_OUTPUT_EXISTS');
    expect(atFile?.message).toMatch(/the output f exists already: a file of 4 bytes, written at 2/);
    const atDirectory = await errorOf(() => runJob(env, optionsFor([directory('d')]), [[]]));
    expect(atDirectory?.message).toContain('the output of an earlier job with 1 file');
    env.fs.makeDirectory(`${DIRECTORY}/e`);
    expect(
      (await errorOf(() => runJob(env, optionsFor([directory('e')]), [[]])))?.message,
    ).toContain('a directory, empty');
    env.fs.symlink('nowhere', `${DIRECTORY}/l`);
    expect(await codeOf(() => runJob(env, optionsFor([file('l')]), [[]]))).toBe('ML_OUTPUT_EXISTS');
    expect(read(env, 'f')).toBe('old\n');
    expect(env.fs.readLink(`${DIRECTORY}/d`)).toBe(before);
    expect(env.fs.list(DIRECTORY)).toEqual(['.d.millrace', 'd', 'e', 'f', 'l']);
  }));

test('overwriting replaces files by directories and directories by files', () =>
  onMachine(async (env) => {
    const overwrite = { overwrite: true };
    env.fs.makeDirectory(`${DIRECTORY}/foreign`);
    await writePart(env, `${DIRECTORY}/foreign`, 'x', 'x\n');
    // A copy of an output: nobody's work is lost with it.
    await writePart(env, `${DIRECTORY}/foreign`, '_manifest.json', '{}\n');
    await writePart(env, DIRECTORY, 'plain', 'x\n');
    const names = ['foreign', 'plain'];
    await runJob(env, optionsFor(names.map(directory), overwrite), [['1\n'], ['1\n']]);
    for (const name of names) expect(read(env, `${name}/part-00000.ndjson`)).toBe('1\n');
    await runJob(env, optionsFor(names.map(directory), overwrite), [['2\n'], ['2\n']]);
    for (const name of names) {
      expect(read(env, `${name}/part-00000.ndjson`)).toBe('2\n');
      const versions = env.fs.list(`${DIRECTORY}/.${name}.millrace`);
      expect(versions.filter((version) => version.startsWith('v-'))).toHaveLength(1);
    }
    await runJob(env, optionsFor(names.map(file), overwrite), [['3\n'], ['3\n']]);
    for (const name of names) expect(read(env, name)).toBe('3\n');
    expect(env.fs.list(DIRECTORY)).toEqual(names);
  }));

test('a directory that is more than an output is never replaced', () =>
  onMachine(async (env) => {
    env.fs.makeDirectory(`${DIRECTORY}/project/src`);
    env.fs.makeDirectory(`${DIRECTORY}/work`);
    await writePart(env, `${DIRECTORY}/work`, 'notes.txt', 'x\n');
    for (const [path, reason] of [
      ['project', 'it holds directories (src)'],
      ['work', 'it holds notes.txt'],
      ['.', 'holds the working directory'],
      ['..', 'holds the working directory'],
    ] as const) {
      const work = runJob(env, optionsFor([directory(path)], { overwrite: true }), [[]]);
      const error = await errorOf(() => work);
      expect(error?.code).toBe('ML_OUTPUT_EXISTS');
      expect(error?.message).toContain(reason);
    }
    expect(env.fs.list(DIRECTORY)).toEqual(['project', 'work']);
    expect(read(env, 'work/notes.txt')).toBe('x\n');
  }));

test('an output that is an input, or holds one, is refused, through links too', () =>
  onMachine(async (env) => {
    await writePart(env, DIRECTORY, 'a.txt', 'x\n');
    env.fs.symlink('a.txt', `${DIRECTORY}/link.txt`);
    env.fs.symlink(DIRECTORY, '/data/elsewhere');
    await runJob(env, optionsFor([directory('made')]), [['1\n']]);
    const made = `${DIRECTORY}/made/part-00000.ndjson`;
    const cases: [string, string][] = [
      ['a.txt', `${DIRECTORY}/a.txt`],
      ['a.txt', '/data/elsewhere/a.txt'],
      ['a.txt', `${DIRECTORY}/link.txt`],
      ['link.txt', `${DIRECTORY}/a.txt`],
      ['/data/elsewhere/a.txt', `${DIRECTORY}/a.txt`],
      ['made', made],
      ['made', env.fs.realPath(made)],
      ['made/more', env.fs.realPath(`${DIRECTORY}/made`)],
      ['.', `${DIRECTORY}/a.txt`],
      ['/data', `${DIRECTORY}/a.txt`],
    ];
    for (const [output, input] of cases) {
      const options = optionsFor([directory(output)], { overwrite: true, inputs: [input] });
      expect([output, await codeOf(() => runJob(env, options, [[]]))]).toEqual([
        output,
        'ML_OUTPUT_IS_INPUT',
      ]);
    }
    await runJob(env, optionsFor([file('b')], { inputs: [`${DIRECTORY}/a.txt`] }), [['y\n']]);
  }));

test('an output that is the program, or holds it, is refused', () =>
  onMachine(async (env) => {
    env.fs.makeDirectory(`${DIRECTORY}/jobs`);
    await writePart(env, `${DIRECTORY}/jobs`, 'job.ts', 'x\n');
    for (const [output, words] of [
      ['jobs/job.ts', 'the output jobs/job.ts is also a file of the program'],
      ['jobs', `the output jobs holds the file of the program ${DIRECTORY}/jobs/job.ts`],
    ] as const) {
      const options = optionsFor([file(output)], {
        overwrite: true,
        modules: [`${DIRECTORY}/jobs/job.ts`],
      });
      const error = await errorOf(() => runJob(env, options, [[]]));
      expect(error?.code).toBe('ML_OUTPUT_IS_INPUT');
      expect(error?.message).toBe(words);
    }
  }));

test('a job that fails leaves no directories that it made for its outputs', () =>
  onMachine(async (env) => {
    env.fs.makeDirectory(`${DIRECTORY}/here`);
    const outputs = [file('a/b/c'), directory('a/d'), file('here/e')];
    const commit = await OutputCommit.begin(env, optionsFor(outputs));
    expect(env.fs.list(DIRECTORY)).toEqual(['a', 'here']);
    await commit.abort();
    expect(env.fs.list(DIRECTORY)).toEqual(['here']);
    expect(env.fs.list(`${DIRECTORY}/here`)).toEqual([]);
    const other = await OutputCommit.begin(env, optionsFor(outputs));
    await writePart(env, `${DIRECTORY}/a`, 'of-others', 'x');
    await other.abort();
    expect(env.fs.list(`${DIRECTORY}/a`)).toEqual(['of-others']);
    // Two outputs, of which one is refused when places have been made already.
    env.fs.makeDirectory(`${DIRECTORY}/.z.millrace`);
    await writePart(env, DIRECTORY, 'z', 'x');
    const refused = optionsFor([file('n/m'), file('z')]);
    expect(await codeOf(() => OutputCommit.begin(env, refused))).toBe('ML_OUTPUT_EXISTS');
    expect(env.fs.list(DIRECTORY)).not.toContain('n');
  }));

test('two outputs at one place, or inside one another, are refused', () =>
  onMachine(async (env) => {
    env.fs.symlink(DIRECTORY, '/data/elsewhere');
    for (const [one, other] of [
      ['a', 'a'],
      ['a', './b/../a'],
      ['a', '/data/elsewhere/a'],
      ['a', 'a/b'],
      ['a/b', 'a'],
    ] as const)
      expect(await codeOf(() => runJob(env, optionsFor([file(one), file(other)]), []))).toBe(
        'ML_FLOW_INVALID',
      );
    expect(env.fs.list(DIRECTORY)).toEqual([]);
  }));

test('a second job at one of the outputs is refused and told who has it', () =>
  onMachine(async (env) => {
    const first = await OutputCommit.begin(env, optionsFor([file('a'), directory('b')]));
    const second = optionsFor([file('0'), directory('b')], { jobId: 'job-2' });
    const error = await errorOf(() => OutputCommit.begin(env, second));
    expect(error?.code).toBe('ML_COMMIT_BUSY');
    expect(error?.message).toBe(
      `job job-1 (process 17) is writing to ${DIRECTORY}/b since 2023-11-14T22:13:20.000Z`,
    );
    expect(env.fs.list(DIRECTORY)).toEqual(['.a.millrace', '.b.millrace']);
    await recoverOutput(env, `${DIRECTORY}/b`);
    const at = first.attemptDirectory(1, 0, 0, 0);
    await first.commit(new Map([[1, [await writePart(env, at, 'p', '1\n')]]]), async () => {});
    await runJob(env, { ...second, overwrite: true }, [['2\n'], ['2\n']]);
    expect(read(env, 'b/part-00000.ndjson')).toBe('2\n');
  }));

test('abort gives everything back and leaves nothing', () =>
  onMachine(async (env) => {
    await runJob(env, optionsFor([directory('b')]), [['old\n']]);
    const before = env.fs.list(`${DIRECTORY}/.b.millrace`);
    const options = optionsFor([file('a'), directory('b')], { overwrite: true });
    const commit = await OutputCommit.begin(env, options);
    await writePart(env, commit.attemptDirectory(1, 3, 0, 1), 'p', 'new\n');
    await commit.abort();
    await commit.abort();
    expect(env.fs.list(DIRECTORY)).toEqual(['.b.millrace', 'b']);
    expect(env.fs.list(`${DIRECTORY}/.b.millrace`)).toEqual(
      before.filter((name) => name !== 'lock.json'),
    );
    expect(read(env, 'b/part-00000.ndjson')).toBe('old\n');
  }));

test('a part that is not as its task has left it stops the commit', () =>
  onMachine(async (env) => {
    const commit = await OutputCommit.begin(env, optionsFor([file('a')]));
    const part = await writePart(env, commit.attemptDirectory(0, 0, 0, 0), 'p', '1\n');
    const parts = new Map([[0, [{ ...part, bytes: 3 }]]]);
    const error = await errorOf(() => commit.commit(parts, async () => {}));
    await commit.abort();
    expect(error?.message).toContain('has 2 bytes; 3 were written');
    expect(env.fs.list(DIRECTORY)).toEqual([]);
  }));

test('a disk that is full at any moment leaves the old outputs, and nothing else', async () => {
  let failures = 0;
  for (let pages = 0; ; pages++) {
    const machine = new SimMachine(pages, { directories: [DIRECTORY] });
    const env = machine.boot();
    const sinks = [file('a'), directory('b')];
    const texts = (text: string): string[][] => [
      [text.repeat(2_000), text],
      [text, text.repeat(2_000)],
    ];
    await machine.run(runJob(env, optionsFor(sinks), texts('old\n')));
    const before = machine.disk.usedBytes;
    machine.setCapacity(before + pages * 4096);
    const error = await machine.run(
      errorOf(() => runJob(env, optionsFor(sinks, { overwrite: true }), texts('new\n'))),
    );
    const content = read(env, 'a').slice(0, 3) + read(env, 'b/part-00000.ndjson').slice(0, 3);
    expect(env.fs.list(DIRECTORY)).toEqual(['.b.millrace', 'a', 'b']);
    expect(content).toBe(error === undefined ? 'newnew' : 'oldold');
    if (error === undefined) break;
    expect(error.code).toBe('ML_DISK_FULL');
    expect(machine.disk.usedBytes).toBeLessThanOrEqual(before);
    failures++;
  }
  expect(failures).toBeGreaterThan(5);
});

test('a job that gets only some of its outputs leaves a decided commit in the others alone', async () => {
  const sinks = [file('a'), file('b')];
  const overwrite = { overwrite: true };
  for (let step = 1; ; step++) {
    const machine = new SimMachine(step, { directories: [DIRECTORY] });
    const env = machine.boot();
    await machine.run(runJob(env, optionsFor(sinks), [['old\n'], ['old\n']]));
    machine.cutAtStep(machine.stepCount + step, 'kill');
    await expect(
      machine.run(runJob(env, optionsFor(sinks, overwrite), [['new\n'], ['new\n']])),
      'there is a step between the decision and the first swap',
    ).rejects.toThrow(SimPowerCut);
    const after = machine.boot();
    if (after.fs.stat(`${DIRECTORY}/.a.millrace/commit.json`) === undefined) continue;
    expect([read(after, 'a'), read(after, 'b')]).toEqual(['old\n', 'old\n']);
    const other = after.fs.lock(`${DIRECTORY}/.b.millrace`);
    const busy = OutputCommit.begin(after, optionsFor(sinks, overwrite));
    expect(await machine.run(codeOf(() => busy))).toBe('ML_COMMIT_BUSY');
    other.release();
    await machine.run(recoverOutput(after, `${DIRECTORY}/b`));
    expect([read(after, 'a'), read(after, 'b')]).toEqual(['new\n', 'new\n']);
    expect(after.fs.list(DIRECTORY)).toEqual(['a', 'b']);
    return;
  }
});
