/** `millrace produce` and `millrace consume` against a running broker. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { beforeAll, describe, expect, test } from 'vitest';
import { builtMillrace, type Broker, type Finished } from '../../test/start/built-millrace.ts';
import { createTopic } from '../../test/start/create-topic.ts';
import { COMPRESSIONS } from '../wire/kafka/records/compression.ts';

const millrace = builtMillrace();
let broker: Broker;
let topics = 0;

beforeAll(async () => {
  broker = await millrace.start(await millrace.directory());
});

function run(args: readonly string[], input: string | Uint8Array = ''): Promise<Finished> {
  return millrace.run(args, { input, env: { MILLRACE_BROKERS: broker.address } });
}

/** A topic of its own. */
async function topic(partitions = 1): Promise<string> {
  const name = `topic-${topics++}`;
  await createTopic(broker.address, name, partitions);
  return name;
}

function lines(count: number): string {
  return Array.from({ length: count }, (_, index) => `line ${index}\n`).join('');
}

async function consumed(name: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(['consume', name, '--until', 'end', ...args]);
  expect(code, stderr).toBe(0);
  return stdout;
}

interface Printed {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: unknown;
  readonly value: unknown;
  readonly headers: unknown;
}

async function records(name: string, ...args: readonly string[]): Promise<Printed[]> {
  const text = await consumed(name, '--json', ...args);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Printed);
}

describe('lines', () => {
  test('come out as they went in, data on stdout and the sum on stderr', async () => {
    const name = await topic();
    const produced = await run(['produce', name], lines(3));
    expect(produced).toMatchObject({ code: 0, stdout: '' });
    expect(produced.stderr).toMatch(/^produced 3 records, 18 B\n$/);
    const read = await run(['consume', name, '--until', 'end']);
    expect(read).toMatchObject({ code: 0, stdout: lines(3) });
    expect(read.stderr).toMatch(/^consumed 3 records, 18 B/);
  });

  test.each(COMPRESSIONS)('with compression %s are the same', async (compression) => {
    const name = await topic(3);
    await run(['produce', name, '--compression', compression], lines(10_000));
    const got = (await consumed(name)).split('\n').toSorted();
    expect(got).toEqual(lines(10_000).split('\n').toSorted());
  });

  test('of any bytes are the same, also empty ones and a last one without newline', async () => {
    const name = await topic();
    const bytes = Buffer.from(randomBytes(50_000).map((byte) => (byte === 10 ? 11 : byte)));
    const input = Buffer.concat([bytes, Buffer.from('\n\n\nlast')]);
    await run(['produce', name], input);
    const child = spawn(process.execPath, [
      millrace.bin,
      'consume',
      name,
      '--until',
      'end',
      '--brokers',
      broker.address,
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(Buffer.concat([input, Buffer.from('\n')]))).toBe(true);
  });

  test('are split into key and value where asked, and shown so', async () => {
    const name = await topic();
    await run(['produce', name, '--key-separator', '\\t'], 'a\t1\nb\t2\t3\n');
    expect(await consumed(name, '--keys')).toBe('a\t1\nb\t2\t3\n');
    expect(await consumed(name)).toBe('1\n2\t3\n');
  });

  test('with the same key are in the partition where the Java client puts them', async () => {
    const name = await topic(100);
    await run(['produce', name, '-k', ':'], 'foobar:1\n21:2\nfoobar:3\n');
    const found = (await records(name)).map(
      ({ key, partition }) => `${String(key)} in ${partition}`,
    );
    // murmur2 & 0x7fffffff, modulo 100: see partitioner.test.ts.
    expect(found.toSorted()).toEqual(['21 in 40', 'foobar in 66', 'foobar in 66']);
  });

  test('go to the partition that was named', async () => {
    const name = await topic(3);
    await run(['produce', name, '--partition', '2'], lines(2));
    expect(await consumed(name, '--partition', '2')).toBe(lines(2));
    expect(await consumed(name, '--partition', '1')).toBe('');
  });

  test('without a key are spread evenly when there are many', async () => {
    const name = await topic(4);
    const wide = Array.from({ length: 40 }, () => `${'x'.repeat(100_000)}\n`).join('');
    await run(['produce', name], wide);
    const counts = new Map<number, number>();
    for (const { partition } of await records(name))
      counts.set(partition, (counts.get(partition) ?? 0) + 1);
    expect(counts.size).toBe(4);
    expect(Math.max(...counts.values())).toBeLessThan(20);
  });

  test('before a wrong one are appended', async () => {
    const name = await topic();
    const { code, stderr } = await run(['produce', name, '-k', ':'], 'a:1\nb:2\nc\nd:4\n');
    expect(code).toBe(2);
    expect(stderr).toContain('line 3 of the input has no key');
    expect(await consumed(name, '--keys')).toBe('a\t1\nb\t2\n');
  });

  test.each(['1', '0'])('arrive with --acks %s', async (acks) => {
    const name = await topic();
    await run(['produce', name, '--acks', acks], lines(1000));
    const reader = await run(['consume', name, '--count', '1000']);
    expect(reader.stdout).toBe(lines(1000));
  });

  test('make a topic that does not exist', async () => {
    const name = `made-${topics++}`;
    expect((await run(['produce', name], lines(1))).code).toBe(0);
    expect(await consumed(name)).toBe(lines(1));
  });

  test('that are too large for the topic are refused', async () => {
    const name = await topic();
    await run(['topic', 'config', name, 'max.message.bytes=1000']);
    expect((await run(['produce', name], lines(1000))).code).toBe(0);
    expect(await consumed(name)).toBe(lines(1000));
    const { code, stderr } = await run(['produce', name], `${'x'.repeat(2000)}\n`);
    expect(code).toBe(1);
    expect(stderr).toContain('MESSAGE_TOO_LARGE');
    expect(stderr).toContain('max.message.bytes');
  });

  test('survive a broker that is killed in the middle: each is there once, in order', async () => {
    const data = await millrace.directory();
    let other = await millrace.start(data);
    const { address } = other;
    const producer = millrace.launch(['produce', 'survivors', '-p', '0', '--brokers', address]);
    const all: string[] = [];
    const send = (round: number): void => {
      const some = Array.from({ length: 2000 }, (_, index) => `round ${round} line ${index}\n`);
      all.push(...some);
      producer.child.stdin.write(some.join(''));
    };
    send(0);
    const read = ['consume', 'survivors', '--until', 'end', '--brokers', address];
    await expect.poll(async () => (await millrace.run(read)).code, { timeout: 20_000 }).toBe(0);
    for (let round = 1; round < 5; round++) {
      send(round);
      if (round % 2 === 0) continue;
      await other.end('SIGKILL');
      other = await millrace.start(data, ['--kafka', address]);
    }
    producer.child.stdin.end();
    const produced = await producer.ended;
    expect(produced.stderr).toMatch(/^produced 10,000 records/);
    expect(produced.code).toBe(0);
    expect((await millrace.run(read)).stdout).toBe(all.join(''));
    await other.end('SIGTERM');
  });
});

describe('records as JSON', () => {
  test('have everything that a record has', async () => {
    const name = await topic();
    const input = [
      '{"key":"k","value":"v","headers":{"h":"x","n":null},"timestamp":1700000000000}',
      '{"key":"gone","value":null}',
      '{"value":{"a":[1,2]}}',
      '{"key":{"base64":"/wA="},"value":"é\\n\\"q\\""}',
      '{"value":"twice","headers":[{"key":"h","value":"1"},{"key":"h","value":"2"}]}',
    ];
    expect((await run(['produce', name, '--json'], `${input.join('\n')}\n`)).code).toBe(0);
    const found = await records(name);
    expect(found.map(({ offset, partition }) => [offset, partition])).toEqual(
      [0, 1, 2, 3, 4].map((offset) => [offset, 0]),
    );
    expect(found[0]).toEqual({
      topic: name,
      partition: 0,
      offset: 0,
      timestamp: 1_700_000_000_000,
      key: 'k',
      value: 'v',
      headers: { h: 'x', n: null },
    });
    expect(found[1]).toMatchObject({ key: 'gone', value: null, headers: {} });
    expect(found[2]).toMatchObject({ key: null, value: '{"a":[1,2]}' });
    expect(found[3]).toMatchObject({ key: { base64: '/wA=' }, value: 'é\n"q"' });
    expect(found[4]?.headers).toEqual([
      { key: 'h', value: '1' },
      { key: 'h', value: '2' },
    ]);
  });

  test('make the same records again', async () => {
    const [first, second] = [await topic(3), await topic(3)];
    const input = Array.from({ length: 300 }, (_, index) =>
      JSON.stringify({
        key: index % 3 === 0 ? null : { base64: randomBytes(index % 7).toString('base64') },
        value: index % 5 === 0 ? null : randomBytes(index).toString('latin1'),
        headers: { index: String(index) },
        timestamp: 1_600_000_000_000 + index,
      }),
    );
    await run(['produce', first, '--json'], `${input.join('\n')}\n`);
    const text = await consumed(first, '--json');
    await run(['produce', second, '--json'], text);
    const sorted = (all: string): string[] => all.replaceAll(second, first).split('\n').toSorted();
    expect(sorted(await consumed(second, '--json'))).toEqual(sorted(text));
    expect(text.split('\n')).toHaveLength(301);
  });

  test.each([
    ['{"value":', 'is not JSON'],
    ['[1]', 'is not a JSON object'],
    ['{"partition":-1}', 'partition'],
    ['{"timestamp":"now"}', 'timestamp'],
    ['{"headers":7}', 'headers'],
    ['{"headers":[{"value":"x"}]}', 'header without a key'],
    ['{"partition":99}', 'no partition 99'],
  ])('that are not in order are refused: %s', async (line, message) => {
    const { code, stderr } = await run(
      ['produce', await topic(), '--json'],
      `{"value":"a"}\n${line}\n`,
    );
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('reading', () => {
  test('from the beginning, an offset, the end', async () => {
    const name = await topic();
    await run(['produce', name], lines(10));
    expect(await consumed(name, '--from', 'beginning')).toBe(lines(10));
    expect(await consumed(name, '--from', '7')).toBe('line 7\nline 8\nline 9\n');
    expect(await consumed(name, '--from', 'end')).toBe('');
    expect(await consumed(name, '--from', '1000')).toBe('');
  });

  test('from a time and an age', async () => {
    const name = await topic();
    const now = Date.now();
    const input = [7_200_000, 3_600_000, 0].map((age) =>
      JSON.stringify({ value: `${age / 3_600_000} hours`, timestamp: now - age }),
    );
    await run(['produce', name, '--json'], `${input.join('\n')}\n`);
    expect(await consumed(name, '--from', '-90m')).toBe('1 hours\n0 hours\n');
    const time = new Date(now - 7_200_000).toISOString();
    expect(await consumed(name, '--from', time)).toBe('2 hours\n1 hours\n0 hours\n');
    expect(await consumed(name, '--from', `@${now - 1}`)).toBe('0 hours\n');
  });

  test('until an offset, and until a time', async () => {
    const name = await topic();
    await run(['produce', name], lines(10));
    const until = (position: string) => run(['consume', name, '--until', position]);
    expect((await until('2')).stdout).toBe(lines(2));
    expect((await until('-1h')).stdout).toBe('');
  });

  test('so many records, and no more', async () => {
    const name = await topic();
    await run(['produce', name], lines(5000));
    expect((await run(['consume', name, '-n', '1234'])).stdout).toBe(lines(1234));
  });

  test('waits for what comes, until it is interrupted', async () => {
    const name = await topic();
    const reader = millrace.launch(['consume', name, '--brokers', broker.address]);
    await run(['produce', name], 'one\n');
    await reader.shows('stdout', /one\n/);
    await run(['produce', name], 'two\n');
    await reader.shows('stdout', /one\ntwo\n/);
    const { code, signal, stderr } = await reader.end('SIGINT');
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(stderr).toMatch(/consumed 2 records/);
  });

  test('what is typed arrives while the producer waits for more', async () => {
    const name = await topic();
    const reader = millrace.launch(['consume', name, '--brokers', broker.address]);
    const producer = millrace.launch(['produce', name, '--brokers', broker.address]);
    producer.child.stdin.write('first\n');
    await reader.shows('stdout', /first\n/);
    producer.child.stdin.write('second\n');
    await reader.shows('stdout', /second\n/);
    producer.child.stdin.end();
    expect(await producer.ended).toMatchObject({ code: 0 });
    await reader.end('SIGINT');
  });

  test('ends quietly when its reader has enough', async () => {
    const name = await topic();
    await run(['produce', name], lines(200_000));
    const command = `"${process.execPath}" "${millrace.bin}" consume ${name} --brokers ${broker.address} | head -1; echo "\${PIPESTATUS[0]}"`;
    const shell = spawn('bash', ['-c', command]);
    let [stdout, stderr] = ['', ''];
    shell.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    shell.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    await new Promise((resolve) => shell.once('close', resolve));
    expect(stdout).toBe('line 0\n0\n');
    expect(stderr).not.toContain('EPIPE');
    expect(stderr).not.toContain('error');
  });

  test('goes on over a restart of the broker', async () => {
    const data = await millrace.directory();
    let other = await millrace.start(data);
    const { address } = other;
    const produce = (input: string) =>
      millrace.run(['produce', 'restarted', '--brokers', address], { input });
    await produce('before\n');
    const reader = millrace.launch(['consume', 'restarted', '--brokers', address]);
    await reader.shows('stdout', /before\n/);
    await other.end('SIGKILL');
    other = await millrace.start(data, ['--kafka', address]);
    await produce('after\n');
    await reader.shows('stdout', /before\nafter\n/);
    expect(reader.stdout).toBe('before\nafter\n');
    await reader.end('SIGINT');
    await other.end('SIGTERM');
  });

  test('leaves out what was aborted and what is open, and still comes to the end', async () => {
    const name = await topic(1);
    const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({
      transactionalId: name,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    for (const outcome of ['commit', 'abort', 'commit', 'abort'] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: name, messages: [{ value: outcome }] });
      await transaction[outcome]();
    }
    // The log ends in a marker, which no reader sees: the end is known from positions, not from records.
    expect(await consumed(name)).toBe('commit\ncommit\n');
    expect(await consumed(name, '--uncommitted')).toBe('commit\nabort\ncommit\nabort\n');
    const open = await producer.transaction();
    await open.send({ topic: name, messages: [{ value: 'open' }] });
    expect(await consumed(name)).toBe('commit\ncommit\n');
    expect(await consumed(name, '--uncommitted')).toContain('open\n');
    await open.abort();
    await producer.disconnect();
  });

  test.each([
    [['consume', 'no-such-topic'], 1, 'there is no topic no-such-topic'],
    [['consume', 'topic-0', '--partition', '99'], 2, 'no partition 99'],
    [['consume', 'topic-0', '--from', 'yesterday'], 2, '--from'],
    [['consume', 'topic-0', '--count', '0'], 2, '--count'],
    [['consume', 'topic-0', '--group', 'g', '--from', '3'], 2, 'group reset'],
    [['produce', 'topic-0', '--compression', 'rar'], 2, 'zstd'],
    [['produce', 'topic-0', '--acks', '2'], 2, '--acks'],
    [['produce', 'a/b'], 1, 'INVALID_TOPIC_EXCEPTION'],
    [['produce', 'topic-0', '--json', '-k', ':'], 2, '--json'],
  ])('%j ends with exit code %i', async (args, code, message) => {
    const finished = await run(args, 'x\n');
    expect(finished).toMatchObject({ code, stdout: '' });
    expect(finished.stderr).toContain(message);
    expect(finished.stderr).toContain('fix: ');
  });
});
