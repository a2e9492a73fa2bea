/**
 * What the machine, or the program, does to a flow that `millrace run` runs: state that is damaged, in use, full or read-only; functions that end
 * the process. Each is told with its name and the way out, and then the flow goes on exactly where it was.
 *
 * What is mounted is mounted in a namespace of its own, and gone with it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DeadLetter } from '../../src/flow/plan.ts';
import { connectMillrace, json, type Millrace, string, topic } from '../../src/index.ts';
import { uniqueName } from '../conformance/broker-under-test.ts';
import { type Broker, builtMillrace, Running } from '../start/built-millrace.ts';

// Most of it is the start of processes, on machines that have other things to do.
vi.setConfig({ testTimeout: 180_000 });

const millrace = builtMillrace();
let broker: Broker;
let client: Millrace;
let directory: string;
/** Of the flow, and of its topics. */
let name: string;

beforeAll(async () => {
  broker = await millrace.start(join(await millrace.directory(), 'log'));
  client = await connectMillrace({ brokers: broker.address, dir: await millrace.directory() });
  return () => client.close();
});

beforeEach(async () => {
  directory = await millrace.directory();
  name = uniqueName('words');
  writeFileSync(
    join(directory, 'app.ts'),
    `import { flow, json, topic } from 'millrace';
    export default flow('${name}', (f) => {
      const isCorrected = f.param('corrected', false);
      f.read(topic('${name}', { value: 'string' }))
        .map((word) => {
          if (word === 'exit' && !isCorrected) process.exit(3);
          return word;
        })
        .keyBy((word) => word)
        .count('counts')
        .write(topic('${name}-counts', { key: 'string', value: json() }));
    });`,
  );
  await client.admin.createTopic(name, { partitions: 2 });
  await client.admin.createTopic(`${name}-counts`, { partitions: 1 });
});

function args(...more: readonly string[]): string[] {
  return ['run', 'app.ts', '--brokers', broker.address, '--data', 'state', ...more];
}

function launch(...more: readonly string[]): Running {
  return millrace.launch(args(...more), { cwd: directory, input: '' });
}

/** In a namespace of its own, behind what a shell does there first; `state` is made. */
function launchIn(script: string): Running {
  const command = `mkdir -p state; ${script}; exec ${process.execPath} ${millrace.bin} ${args().join(' ')}`;
  return new Running(spawn('unshare', ['-rm', 'bash', '-c', command], { cwd: directory }));
}

function send(words: readonly string[]): Promise<unknown> {
  return client.produce(
    name,
    words.map((value) => ({ value })),
  );
}

/** The counts of each word, in the order in which they came, once there are so many of all. */
async function counts(expected: number): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  let left = expected;
  const written = topic(`${name}-counts`, { key: string(), value: json<number>() });
  for await (const { key, value } of client.consume(written)) {
    (found[key] ??= []).push(value);
    if (--left === 0) break;
  }
  return found;
}

function stateFiles(): string[] {
  return readdirSync(join(directory, 'state/flows'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('data.mdb'))
    .map((path) => join(directory, 'state/flows', path));
}

async function expectFailure(run: Running, code: string, said: RegExp): Promise<void> {
  const finished = await run.ended;
  expect(finished.stderr).toMatch(said);
  expect(finished.stderr).toContain(`(${code})`);
  expect(finished.stderr).toMatch(/^ {2}fix: \S/m);
  expect(finished.code).toBe(1);
}

test('a function that ends the process, in its thread or in others, and then does not', async () => {
  await send(['a', 'b', 'exit', 'a', 'exit']);
  const said = new RegExp(
    `process\\.exit\\(3\\) was called.*topic ${name} partition \\d offset \\d: "exit"`,
  );
  for (const workers of ['0', '2'])
    await expectFailure(launch('--workers', workers), 'ML_USER_FUNCTION', said);
  const corrected = launch('--workers', '2', '--set', 'corrected=true');
  expect(await counts(5)).toEqual({ a: [1, 2], b: [1], exit: [1, 2] });
  expect((await corrected.end('SIGTERM')).code).toBe(0);
});

test('records without a time that is possible are skipped by a run up to now, too', async () => {
  writeFileSync(
    join(directory, 'app.ts'),
    `import { flow, json, skipTo, topic, tumbling } from 'millrace';
    const timeOf = (visit) => (visit.at === 'none' ? JSON.parse('') : visit.at);
    export default flow('${name}', { onError: skipTo(topic('${name}-dead')) }, (f) => {
      f.read(topic('${name}', { value: json(), time: { of: timeOf } }))
        .keyBy((visit) => visit.key)
        .window(tumbling('1s'))
        .count('counts')
        .write(topic('${name}-counts', { key: json(), value: json() }));
    });`,
  );
  const times = ['1000', 'undefined', '"none"', '-5', '9e13', '1001'];
  await client.produce(
    name,
    times.map((at) => ({
      value: at === 'undefined' ? '{"key":1}' : `{"key":1,"at":${at}}`,
      partition: 0,
    })),
  );
  expect((await launch('--until', 'now').ended).code).toBe(0);
  expect(Object.values(await counts(1))).toEqual([[2]]);
  const letters: string[] = [];
  const dead = topic(`${name}-dead`, { value: json<DeadLetter>() });
  for await (const { value } of client.consume(dead)) {
    letters.push(`${value.position}: ${value.error}`);
    if (letters.length === 4) break;
  }
  const reasons = ['its time is undefined', 'JSON', 'its time is -5', 'ahead of the wall clock'];
  for (const [index, reason] of reasons.entries()) {
    expect(letters[index]).toContain(`topic ${name} partition 0 offset ${index + 1}: `);
    expect(letters[index]).toContain(reason);
  }
});

test('state that is damaged is made anew from its changelog', async () => {
  await send(['a', 'b', 'a']);
  const first = launch();
  await counts(3);
  expect((await first.end('SIGTERM')).code).toBe(0);
  const files = stateFiles();
  expect(files.length).toBeGreaterThan(0);
  for (const path of files) truncateSync(path, statSync(path).size - 4_096);
  await send(['a', 'b', 'c']);
  const second = launch();
  expect(await counts(6)).toEqual({ a: [1, 2, 3], b: [1, 2], c: [1] });
  expect((await second.end('SIGTERM')).code).toBe(0);
});

test('a directory that another process of the flow uses is shared', async () => {
  const flows = [launch(), launch()];
  await Promise.all(flows.map((flow) => flow.shows('stderr', /running \d tasks/)));
  await send(['a', 'b', 'c', 'a']);
  expect(await counts(4)).toEqual({ a: [1, 2], b: [1], c: [1] });
  for (const ended of await Promise.all(flows.map((flow) => flow.end('SIGTERM'))))
    expect(ended.code).toBe(0);
  expect(readdirSync(join(directory, `state/flows/${name}`)).toSorted()).toEqual(['0', '1']);
});

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe.runIf(canMount())('a device', () => {
  test('that is full is told, with the directory, and then there is room', async () => {
    const words = Array.from({ length: 40_000 }, (_, index) => `${index}`.padEnd(60, '.'));
    await send(words);
    const full = launchIn('mount -t tmpfs -o size=2m tmpfs state');
    await expectFailure(full, 'ML_DISK_FULL', /\/state\/flows\//);
    const roomy = launch();
    // The first may have written all counts before its device was full.
    await roomy.shows('stderr', /running \d tasks/);
    const found = await counts(words.length);
    expect(Object.keys(found).toSorted()).toEqual(words.toSorted());
    expect(Object.values(found).every((all) => all.length === 1 && all[0] === 1)).toBe(true);
    expect(await roomy.end('SIGTERM')).toMatchObject({ code: 0, signal: null });
  });

  test('that is read-only is told', async () => {
    const run = launchIn('mount -t tmpfs -o ro tmpfs state');
    await expectFailure(run, 'ML_READ_ONLY', /\/state/);
  });
});
