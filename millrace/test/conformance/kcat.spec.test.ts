/** kcat (librdkafka 2.0.2), unmodified, against the broker. Skipped where kcat is not installed: `apt-get install kcat`. */
import { spawn } from 'node:child_process';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bookLines } from './book.ts';
import {
  BESIDE_EACH_OTHER,
  type BrokerUnderTest,
  startBrokerUnderTest,
  uniqueName,
} from './broker-under-test.ts';
import { kcat, KCAT_INSTALLED, kcatOk } from './kcat.ts';

describe.skipIf(!KCAT_INSTALLED)('kcat', BESIDE_EACH_OTHER, () => {
  let broker: BrokerUnderTest;
  beforeAll(async () => {
    broker = await startBrokerUnderTest();
  });
  afterAll(async () => broker?.stop());

  const lines = (count: number): string =>
    Array.from({ length: count }, (_, i) => `line ${i}\n`).join('');
  const consume = (topic: string, ...more: string[]): Promise<string> =>
    kcatOk(broker.address, ['-C', '-t', topic, '-e', '-q', ...more]);

  test('lists brokers and topics, and creates a topic on first use', async () => {
    const topic = uniqueName('listed');
    await kcatOk(broker.address, ['-P', '-t', topic], 'x\n');
    const metadata = JSON.parse(await kcatOk(broker.address, ['-L', '-J'])) as {
      brokers: { id: number; name: string }[];
      topics: { topic: string; partitions: unknown[] }[];
    };
    expect(metadata.brokers.map((each) => each.name)).toEqual([broker.address]);
    expect(metadata.topics.map((each) => each.topic)).toContain(topic);
  });

  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
    'gets back what it put in with %s',
    async (codec) => {
      const topic = uniqueName(`codec-${codec}`);
      const text = lines(5000);
      await kcatOk(broker.address, ['-P', '-t', topic, '-p', '0', '-z', codec], text);
      expect(await consume(topic, '-p', '0', '-X', 'check.crcs=true')).toBe(text);
    },
  );

  test('keeps keys, headers, timestamps, empty values and tombstones', async () => {
    const topic = uniqueName('parts');
    await kcatOk(
      broker.address,
      ['-P', '-t', topic, '-p', '0', '-K:', '-Z', '-H', 'a=1', '-H', 'b=2'],
      'k1:v1\nk2:\nk3:v3\n',
    );
    const json = (await consume(topic, '-p', '0', '-J'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(json.map(({ key, payload }) => [key, payload])).toEqual([
      ['k1', 'v1'],
      ['k2', null],
      ['k3', 'v3'],
    ]);
    expect(json.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    expect(json[0]?.['headers']).toEqual(['a', '1', 'b', '2']);
    expect(Math.abs(Number(json[0]?.['ts']) - Date.now())).toBeLessThan(600_000);
  });

  test('reads from an offset, from the tail, and from a time', async () => {
    const topic = uniqueName('offsets');
    await kcatOk(broker.address, ['-P', '-t', topic, '-p', '0'], lines(100));
    const stamped = (await consume(topic, '-p', '0', '-f', '%T\n')).trim().split('\n').map(Number);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await kcatOk(broker.address, ['-P', '-t', topic, '-p', '0'], 'later 1\nlater 2\n');
    expect(await consume(topic, '-p', '0', '-o', '98')).toBe(
      'line 98\nline 99\nlater 1\nlater 2\n',
    );
    expect(await consume(topic, '-p', '0', '-o', '-3')).toBe('line 99\nlater 1\nlater 2\n');
    const after = Math.max(...stamped) + 1;
    expect(await consume(topic, '-p', '0', '-o', `s@${after}`)).toBe('later 1\nlater 2\n');
    const queried = await kcatOk(broker.address, ['-Q', '-t', `${topic}:0:${after}`]);
    expect(queried).toContain('offset 100');
  });

  test('records are stamped by the broker where the topic says so', async () => {
    const topic = uniqueName('stamped');
    const admin = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING }).admin();
    const configEntries = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }];
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] });
    const producer = new Kafka({
      brokers: [broker.address],
      logLevel: logLevel.NOTHING,
    }).producer();
    await producer.connect();
    await producer.send({ topic, messages: [{ value: 'x', timestamp: '5' }] });
    await producer.disconnect();
    await admin.disconnect();
    expect(Number(await consume(topic, '-f', '%T'))).toBeGreaterThan(1_700_000_000_000);
  });

  test('an offset past the end follows auto.offset.reset', async () => {
    const topic = uniqueName('reset');
    await kcatOk(broker.address, ['-P', '-t', topic, '-p', '0'], lines(3));
    expect(
      await consume(topic, '-p', '0', '-o', '5000', '-X', 'topic.auto.offset.reset=earliest'),
    ).toBe(lines(3));
  });

  test('produces idempotently, and in transactions', async () => {
    const topic = uniqueName('exact');
    await kcatOk(
      broker.address,
      ['-P', '-t', topic, '-p', '0', '-X', 'enable.idempotence=true'],
      lines(2000),
    );
    await kcatOk(
      broker.address,
      ['-P', '-t', topic, '-p', '0', '-X', `transactional.id=${topic}`],
      'in a transaction\n',
    );
    const text = await consume(topic, '-p', '0', '-X', 'isolation.level=read_committed');
    expect(text).toBe(`${lines(2000)}in a transaction\n`);
  });

  test('refuses an illegal topic name and a message above the limit, and says so', async () => {
    const illegal = await kcat(
      broker.address,
      ['-P', '-t', '../etc', '-X', 'message.timeout.ms=3000'],
      'x\n',
    );
    expect(illegal.code).not.toBe(0);
    const topic = uniqueName('large');
    const large = await kcat(
      broker.address,
      [
        '-P',
        '-t',
        topic,
        '-p',
        '0',
        '-X',
        'message.max.bytes=5000000',
        '-X',
        'message.timeout.ms=5000',
      ],
      `${'x'.repeat(3_000_000)}\n`,
    );
    expect(large.code).not.toBe(0);
    expect(large.stderr).toContain('Message size too large');
  });

  test('a book goes in line by line and comes out of a consumer group of three, equal', async () => {
    const topic = uniqueName('book');
    const group = uniqueName('readers');
    const book = bookLines();
    expect(book.length).toBeGreaterThan(20_000);
    const admin = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING }).admin();
    await admin.createTopics({ topics: [{ topic, numPartitions: 6 }] });
    await admin.disconnect();

    const seen = new Map<number, string>();
    const perReader = [0, 0, 0];
    const readers = perReader.map(() =>
      spawn('kcat', [
        '-b',
        broker.address,
        '-G',
        group,
        '-K\t',
        '-u',
        '-X',
        'auto.offset.reset=earliest',
        topic,
      ]),
    );
    try {
      const assigned = readers.map(
        (reader) =>
          new Promise<void>((resolve) => {
            let said = '';
            reader.stderr.setEncoding('utf8').on('data', (text: string) => {
              said += text;
              // Two partitions each: the group has settled.
              if (/assigned: \S+ \[\d\], \S+ \[\d\]\s*$/.test(said)) resolve();
            });
          }),
      );
      const all = new Promise<void>((resolve, reject) => {
        readers.forEach((reader, index) => {
          let rest = '';
          reader.once('error', reject);
          reader.stdout.setEncoding('utf8').on('data', (text: string) => {
            const parts = (rest + text).split('\n');
            rest = parts.pop() ?? '';
            for (const part of parts) {
              const tab = part.indexOf('\t');
              seen.set(Number(part.slice(0, tab)), part.slice(tab + 1));
              perReader[index] = (perReader[index] ?? 0) + 1;
            }
            if (seen.size === book.length) resolve();
          });
        });
      });
      await Promise.all(assigned);
      const text = book.map((line, i) => `${i}\t${line}\n`).join('');
      await kcatOk(broker.address, ['-P', '-t', topic, '-K\t', '-z', 'lz4'], text);
      await all;
    } finally {
      await Promise.all(
        readers.map((reader) => {
          const ended = new Promise((resolve) => reader.once('close', resolve));
          reader.kill('SIGTERM');
          return ended;
        }),
      );
    }
    for (const count of perReader) expect(count).toBeGreaterThan(0);
    expect(perReader.reduce((sum, count) => sum + count)).toBe(book.length);
    expect(book.map((_, i) => seen.get(i))).toEqual(book);
  });
});
