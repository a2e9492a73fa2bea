/** Flows without end as people and scripts meet them: `millrace run`, `plan` and `reset` over topics. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { builtMillrace, type Finished, type Running } from '../../test/start/built-millrace.ts';
import { collect } from '../../test/door/doors.ts';
import { connectMillrace, type Millrace, openMillrace } from '../index.ts';

const millrace = builtMillrace();
let directory: string;

beforeEach(async () => {
  directory = await millrace.directory();
});

const IMPORT = `import { files, flow, json, topic, tumbling } from 'millrace';\n`;

/** Counts words, forever; and tells of each, in capitals. */
const WORDS = `${IMPORT}
const words = topic('words', { value: 'string' });
export default flow('counting', (f) => {
  const suffix = f.param('suffix', '');
  f.read(words).keyBy((word) => word).count('counts').write(topic('counts', { key: 'string', value: json() }));
  f.read(words)
    .map((word) => {
      if (word === 'poison') throw new Error('I do not like it');
      return word.toUpperCase() + suffix;
    })
    .write(topic('capitals', { value: 'string' }));
});
`;

async function write(name: string, text: string): Promise<void> {
  await writeFile(join(directory, name), text);
}

function text(name: string): Promise<string> {
  return readFile(join(directory, name), 'utf8');
}

function run(...args: readonly string[]): Promise<Finished> {
  return millrace.run(args, { cwd: directory });
}

/** For a program that leaves nothing behind in its process. */
function runHosted(...args: readonly string[]): Promise<Finished> {
  return millrace.run(args, { cwd: directory, isHosted: true });
}

function launch(...args: readonly string[]): Running {
  return millrace.launch(args, { cwd: directory, input: '' });
}

async function connect(brokers: string): Promise<Millrace> {
  const connected = await connectMillrace({ brokers, dir: join(directory, 'client') });
  onTestFinished(() => connected.close());
  return connected;
}

/** What `work` does with the log of the directory, while nobody else has it. */
async function onLog<Result>(work: (log: Millrace) => Promise<Result>): Promise<Result> {
  await using log = await openMillrace({ dir: join(directory, 'millrace-data') });
  return await work(log);
}

/** A flow that runs, with a port to its log. */
async function startFlow(
  ...args: readonly string[]
): Promise<{ readonly flow: Running; readonly client: Millrace; readonly brokers: string }> {
  const flow = launch('run', 'app.ts', '--kafka', '127.0.0.1:0', ...args);
  const [, brokers = ''] = await flow.shows('stderr', /Kafka clients connect to (\S+:\d+)/);
  return { flow, client: await connect(brokers), brokers };
}

/** The first `count` values of a topic. */
async function valuesOf(client: Millrace, name: string, count: number): Promise<string[]> {
  const values: string[] = [];
  for await (const { value } of client.consume(name)) if (values.push(value ?? '') === count) break;
  return values;
}

function words(...values: readonly string[]): { readonly value: string }[] {
  return values.map((value) => ({ value }));
}

function expectError(finished: Finished, code: string, pattern: RegExp, exitCode = 1): void {
  expect(finished.stderr).toMatch(pattern);
  expect(finished.stderr).toContain(`(${code})`);
  expect(finished.stderr).toMatch(/^ {2}fix: \S/m);
  expect(finished.code).toBe(exitCode);
  expect(finished.stderr).not.toContain('node:internal');
}

describe('on the log of its directory', () => {
  test('a flow waits for its topics, runs, stops, and goes on where it was', async () => {
    await write('app.ts', WORDS);
    const first = await startFlow('--set', 'suffix=!', '--commit-interval', '20ms');
    await first.flow.shows('stderr', /waiting for topic words: millrace topic create makes one/);
    await first.client.admin.createTopic('words', { partitions: 2 });
    await first.flow.shows('stderr', /^counting: running 4 tasks$/m);
    await first.client.produce('words', words('a', 'b', 'a'));
    expect((await valuesOf(first.client, 'capitals', 3)).toSorted()).toEqual(['A!', 'A!', 'B!']);
    await first.client.close();
    const stopped = await first.flow.end('SIGINT');
    expect(stopped).toMatchObject({ code: 0, stdout: '' });
    expect(stopped.stderr).toMatch(
      /^counting: stopped after .* s: [1-9] records in, [1-9]\d* out, \d+ commits$/m,
    );

    const second = await startFlow('--set', 'suffix=!', '--workers', '1');
    await second.flow.shows('stderr', /started on \S+, in 1 worker thread/);
    await second.client.produce('words', words('c'));
    expect(await valuesOf(second.client, 'capitals', 4)).toContain('C!');
    await second.flow.shows('stderr', /^counting: running 4 tasks/m);
    expect((await second.flow.end('SIGTERM')).code).toBe(0);
    expect((await runHosted('plan', 'app.ts')).stdout).toMatch(
      /^Stage 0: 2 tasks\n {2}reads +topic words$/m,
    );
  });

  test('up to now it is a job: windows close, and it ends', async () => {
    await write(
      'app.ts',
      `${IMPORT}
      const words = topic('words', { value: 'string' });
      export default flow('windows', (f) => {
        f.read(words).keyBy((word) => word).window(tumbling('1 day')).count('days')
          .write(topic('days', { key: json(), value: json() }));
      });
      export const other = flow('to-file', (f) => {
        f.read(words).write(files.lines('words.txt'));
      });`,
    );
    const day = Date.parse('2026-01-31T00:00:00Z');
    await onLog(async (log) => {
      await log.admin.createTopic('words', { partitions: 1 });
      const records = words('a', 'b', 'a', 'a');
      await log.produce(
        'words',
        records.map((record, at) => ({ ...record, timestamp: day + at })),
      );
    });
    const lines = async (...until: string[]): Promise<Finished> =>
      runHosted('run', 'app.ts', '--flow', 'other', '--overwrite', '--quiet', '--until', ...until);
    for (const workers of ['0', '1']) {
      const done = await run('run', 'app.ts', '--until', 'now', '--workers', workers);
      expect(done.stderr).toMatch(/^windows: done in .*read 4 records/m);
      expect(done.code).toBe(0);
    }
    expect((await lines('words:0=3')).code).toBe(0);
    expect(await text('words.txt')).toBe('a\nb\na\n');
    expect((await lines('2026-01-31T00:00:00.001Z')).code).toBe(0);
    expect(await text('words.txt')).toBe('a\n');
    expectError(await lines('nothing:0=3'), 'ML_USAGE', /does not read[^]*It reads words/, 2);
    const days = await onLog((log) => collect(log.consume('days', { until: 'now' })));
    // Each job has written its own.
    expect(days.map(({ value }) => Number(value)).toSorted((a, b) => a - b)).toEqual([1, 1, 3, 3]);
    expectError(
      await runHosted('run', 'app.ts', '--flow', 'other'),
      'ML_FLOW_INVALID',
      /cannot run without end[^]*words\.txt[^]*--until now/,
    );
  });

  test('a broker that has it is told of, and can be used', async () => {
    await write('app.ts', WORDS);
    const broker = await millrace.start(join(directory, 'millrace-data'));
    const locked = await runHosted('run', 'app.ts');
    expectError(locked, 'ML_DIR_LOCKED', /in use by process \d+/);
    expect(locked.stderr).toContain(`--brokers ${broker.address}`);
    expectError(await runHosted('reset', 'app.ts', '--yes'), 'ML_DIR_LOCKED', /in use/);
    // A plan needs no log of its own: it asks the broker.
    const client = await connect(broker.address);
    await client.admin.createTopic('words', { partitions: 3 });
    expect((await runHosted('plan', 'app.ts')).stdout).toMatch(/^Stage 0: 3 tasks$/m);
    const flow = launch('run', 'app.ts', '--brokers', broker.address);
    await flow.shows('stderr', /counting: running/);
    expect((await flow.end('SIGINT')).code).toBe(0);
  });

  test('a first start begins where --from says', async () => {
    await write('app.ts', WORDS);
    const noon = Date.parse('2026-01-31T12:00:00Z');
    await onLog(async (log) => {
      await log.admin.createTopic('words', { partitions: 1 });
      await log.produce('words', [
        { value: 'before', timestamp: noon - 1 },
        { value: 'noon', timestamp: noon },
        { value: 'after', timestamp: noon + 1 },
      ]);
    });
    const { flow, client } = await startFlow('--from', '2026-01-31T12:00:00Z');
    await flow.shows('stderr', /counting: running/);
    expect(await valuesOf(client, 'capitals', 2)).toEqual(['NOON', 'AFTER']);
    await flow.end('SIGINT');
  });
});

describe('on a broker', () => {
  test('threads share the work, and --json is an event a line', async () => {
    await write('app.ts', WORDS);
    const broker = await millrace.start(join(directory, 'broker'));
    const client = await connect(broker.address);
    await client.admin.createTopic('words', { partitions: 2 });
    await client.produce('words', words('a', 'b'));
    const flow = launch('run', 'app.ts', '--brokers', broker.address, '--workers', '2', '--json');
    await flow.shows('stdout', /"event":"running"/);
    expect((await valuesOf(client, 'capitals', 2)).toSorted()).toEqual(['A', 'B']);
    await valuesOf(client, 'counts', 2);
    const { code, stdout } = await flow.end('SIGINT');
    expect(code).toBe(0);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line): { readonly event: string } => JSON.parse(line));
    expect(events[0]).toMatchObject({ event: 'started', flow: 'counting', workers: 2 });
    expect(events.some(({ event }) => event === 'assigned')).toBe(true);
    expect(events.at(-1)).toMatchObject({ event: 'stopped', recordsIn: 4, lagRecords: 0 });
    for (const event of events)
      expect(event).toHaveProperty('time', expect.stringMatching(/^\d{4}-/));
  });

  test('a flow is reset when it does not run, and when that is wanted', async () => {
    await write('app.ts', WORDS);
    const broker = await millrace.start(join(directory, 'broker'));
    const client = await connect(broker.address);
    await client.admin.createTopic('words', { partitions: 1 });
    await client.produce('words', words('a', 'b'));
    const args = ['app.ts', '--brokers', broker.address] as const;
    const flow = launch('run', ...args);
    await flow.shows('stderr', /counting: running/);
    await valuesOf(client, 'capitals', 2);
    expectError(await runHosted('reset', ...args, '--yes'), 'ML_FLOW_BUSY', /is running/);
    await flow.end('SIGINT');
    const unsure = await runHosted('reset', ...args);
    expectError(unsure, 'ML_USAGE', /deletes +topic counting-/, 2);
    expect(await client.admin.topics()).toContain('counting-counts-changelog');
    const done = await runHosted('reset', ...args, '--yes');
    expect(done.stderr).toMatch(/^counting: reset; the next run begins at the beginning/m);
    expect((await client.admin.topics()).filter((name) => name.startsWith('counting'))).toEqual([]);
    const again = launch('run', ...args);
    await again.shows('stderr', /counting: running/);
    expect(await valuesOf(client, 'capitals', 4)).toEqual(['A', 'B', 'A', 'B']);
    await again.end('SIGINT');
    const { stdout } = await runHosted('reset', ...args, '--yes', '--json', '--to', 'latest');
    expect(JSON.parse(stdout)).toMatchObject({
      flow: 'counting',
      offsets: [{ topic: 'words', partition: 0, offset: 2 }],
    });
    const from = launch('run', ...args);
    await from.shows('stderr', /counting: running/);
    await client.produce('words', words('c'));
    expect((await valuesOf(client, 'capitals', 5)).at(-1)).toBe('C');
    await from.end('SIGINT');
  });
});

describe('an end', () => {
  test('by a function that fails says where, and begins there again', async () => {
    await write('app.ts', WORDS);
    await onLog(async (log) => {
      await log.admin.createTopic('words', { partitions: 1 });
      await log.produce('words', words('fine', 'poison'));
    });
    const failed = await run('run', 'app.ts', '--json');
    expectError(failed, 'ML_USER_FUNCTION', /topic words partition 0 offset 1[^]*app\.ts:9/);
    expect(JSON.parse(failed.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      event: 'failed',
      error: { code: 'ML_USER_FUNCTION' },
    });
    expectError(await runHosted('run', 'app.ts'), 'ML_USER_FUNCTION', /offset 1/);
  });

  test('by an error that nobody waits for is one', async () => {
    await write(
      'app.ts',
      `${WORDS}
      new Promise((resolve) => setTimeout(resolve, 200)).then(() => { throw new Error('stray'); });`,
    );
    expectError(
      await run('run', 'app.ts'),
      'ML_USER_FUNCTION',
      /outside of the functions[^]*stray/,
    );
  });

  test('that takes too long is cut short by a second Ctrl-C', async () => {
    await write(
      'app.ts',
      `${IMPORT}
      export default flow('slow', (f) => {
        f.read(topic('words', { value: 'string' }))
          .mapAsync('wait', () => {
            process.stderr.write('called\\n');
            return new Promise(() => {});
          }, { timeout: '1 minute' })
          .write(topic('never', { value: 'string' }));
      });`,
    );
    const { flow, client } = await startFlow();
    await client.admin.createTopic('words', { partitions: 1 });
    await client.produce('words', words('a'));
    await flow.shows('stderr', /called/);
    flow.child.kill('SIGINT');
    // Sooner it is taken for the same one.
    await new Promise((resolve) => setTimeout(resolve, 600));
    const ended = await flow.end('SIGINT');
    expect(ended.code, ended.stderr).toBe(130);
  });

  test('of who reads the events is an end in order', async () => {
    await write('app.ts', WORDS);
    const { flow, client } = await startFlow('--json');
    await flow.shows('stdout', /"event":"waiting"/);
    flow.child.stdout.destroy();
    await client.admin.createTopic('words');
    expect((await flow.ended).code).toBe(0);
  });
});

test('a plan shows the stages of either run, before there is anything', async () => {
  await write('app.ts', WORDS);
  const endless = await runHosted('plan', 'app.ts');
  expect(endless.stdout).toMatch(/^counting\n[^]*^Stage 0: 4 tasks$[^]*^Stage 1: 4 tasks$/m);
  expect(endless.stdout).toMatch(/^ {2}sends +counting-counts-repartition, 4 partitions by key/m);
  expect(endless.stderr).toMatch(
    /^note: topic words does not exist .* taken to have 4 partitions$/m,
  );
  const { stdout } = await runHosted('plan', 'app.ts', '--json', '--partitions', '3');
  expect(JSON.parse(stdout)).toMatchObject({
    flow: 'counting',
    stages: [{ partitions: 3, inputs: [{ topic: 'words' }] }, { partitions: 3 }],
    internalTopics: [{ name: 'counting-counts-repartition', partitions: 3 }],
    outputTopics: [{ name: 'capitals' }, { name: 'counts' }],
    deadLetters: null,
  });
  const bounded = await runHosted('plan', 'app.ts', '--until', 'now');
  expect(bounded.stdout).toMatch(/^stage 0 {2}read topic words/m);
  expect(bounded.stderr).toMatch(/^note: the size of topic words is not known/m);
  expect(existsSync(join(directory, 'millrace-data'))).toBe(false);
});

test('--watch stops the flow, and starts it again, when a file of it has changed', async () => {
  await write('suffix.ts', "export const suffix = '1';\n");
  await write(
    'app.ts',
    `${IMPORT}
    import { suffix } from './suffix.ts';
    export default flow('watched', (f) => {
      f.read(topic('words', { value: 'string' })).map((word) => word + suffix)
        .write(topic('out', { value: 'string' }));
    });`,
  );
  await onLog((log) => log.admin.createTopic('words', { partitions: 1 }));
  const watch = launch('run', 'app.ts', '--watch', '--kafka', '127.0.0.1:0');
  const [, before = ''] = await watch.shows('stderr', /connect to (\S+:\d+)[^]*watched: running/);
  const first = await connect(before);
  await first.produce('words', words('a'));
  expect(await valuesOf(first, 'out', 1)).toEqual(['a1']);
  await first.close();
  await write('suffix.ts', "export const suffix = '22';\n");
  const [, after = ''] = await watch.shows(
    'stderr',
    /suffix\.ts has changed[^]*watched: stopped[^]*connect to (\S+:\d+)[^]*watched: running/,
  );
  const second = await connect(after);
  await second.produce('words', words('b'));
  // It goes on where it was.
  expect(await valuesOf(second, 'out', 2)).toEqual(['a1', 'b22']);
  await second.close();
  expect((await watch.end('SIGINT')).code).toBe(0);
});

describe('options', () => {
  test('that cannot be are refused', async () => {
    await write('app.ts', WORDS);
    expectError(await runHosted('run', 'app.ts', '--until', 'soon'), 'ML_USAGE', /'soon'/, 2);
    expectError(
      await runHosted('run', 'app.ts', '--memory', '100MB'),
      'ML_USAGE',
      /have an end/,
      2,
    );
    expectError(
      await runHosted('run', 'app.ts', '--kafka', '0.0.0.0:0'),
      'ML_INSECURE_BIND',
      /0\.0/,
    );
    expectError(
      await runHosted('run', 'app.ts', '--brokers', '127.0.0.1:1'),
      'ML_CONNECT_FAILED',
      /:1/,
    );
    const nowhere = await runHosted('reset', 'app.ts', '--yes', '--data', 'nowhere');
    expectError(nowhere, 'ML_USAGE', /no log in .*nowhere/, 2);
    expect(existsSync(join(directory, 'nowhere'))).toBe(false);
  });

  test('of runs without end are refused for files', async () => {
    await write('in.txt', 'a\n');
    await write(
      'app.ts',
      `${IMPORT} export default flow('f', (f) => { f.read(files.lines('in.txt')).write(files.lines('-')); });`,
    );
    expectError(
      await runHosted('run', 'app.ts', '--until', 'now'),
      'ML_USAGE',
      /reads no topics/,
      2,
    );
    expectError(
      await runHosted('run', 'app.ts', '--state', 'disk'),
      'ML_USAGE',
      /reads no topics/,
      2,
    );
    expect(await runHosted('run', 'app.ts', '--quiet')).toMatchObject({ code: 0, stdout: 'a\n' });
  });
});
