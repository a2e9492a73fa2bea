import { Admin, Producer, stringSerializers } from '@platformatic/kafka';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { realEnv } from '../../core/real-env.ts';
import { testBroker } from '../../../test/kafka/test-broker.ts';
import { errorOf } from '../../../test/files/read-harness.ts';
import type { ReadContext, Source, SplitReader } from '../../flow/source.ts';
import { bytes, json } from './serdes.ts';
import { topic } from './topic.ts';

const env = realEnv();

interface Message {
  readonly key?: string;
  readonly value?: string;
  readonly partition: number;
}

async function fixture(messages: readonly Message[], partitions = 2): Promise<string> {
  const { broker } = await testBroker();
  const brokers = `127.0.0.1:${broker.port}`;
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [brokers] });
  await admin.createTopics({ topics: ['orders'], partitions, replicas: 1 });
  await admin.close();
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [brokers],
    serializers: stringSerializers,
  });
  for (let at = 0; at < messages.length; at += 100)
    await producer.send({
      messages: messages.slice(at, at + 100).map((message) => ({ topic: 'orders', ...message })),
    });
  await producer.close();
  return brokers;
}

interface Read {
  readonly value: unknown;
  readonly key: unknown;
  readonly position: string;
}

async function readAll(
  source: Source,
  options: {
    readonly brokers: string;
    readonly splitBytes?: number;
    readonly pauses?: boolean;
    readonly skipped?: Error[];
  },
): Promise<{ records: Read[]; splits: number }> {
  const { brokers, skipped } = options;
  const context: ReadContext = {
    env,
    directory: '/',
    brokers,
    malformed: (error) => {
      if (skipped === undefined) throw error;
      skipped.push(error);
    },
  };
  const plan = await source.plan({
    env,
    directory: '/',
    brokers,
    splitBytes: options.splitBytes ?? 1e9,
  });
  const records: Read[] = [];
  for (const split of plan.splits) {
    const reader: SplitReader = source.open(split, context);
    let count = 0;
    try {
      while (
        !(await reader.read((value, key) => {
          const mark = reader.mark();
          expect(reader.locate(mark)).toBe(reader.position());
          records.push({ value, key, position: reader.position() });
          return options.pauses !== true || ++count % 3 !== 0;
        }))
      )
        expect(reader.consumedBytes).toBeLessThanOrEqual(split.bytes);
    } finally {
      await reader.close();
    }
  }
  return { records, splits: plan.splits.length };
}

const many = Array.from({ length: 500 }, (_, index) => ({
  key: `k${index % 7}`,
  value: JSON.stringify({ n: index }),
  partition: index % 2,
}));

test('reads every record once, by partition and offset, however the partitions are cut', async () => {
  const brokers = await fixture(many);
  const expected = [0, 1].flatMap((partition) =>
    many
      .filter((message) => message.partition === partition)
      .map(({ key, value }, offset) => ({
        key,
        value: JSON.parse(value) as unknown,
        position: `topic orders partition ${partition} offset ${offset}`,
      })),
  );
  const source = topic('orders', { value: 'json' }).source();
  const whole = await readAll(source, { brokers });
  expect(whole.records).toEqual(expected);
  expect(whole.splits).toBe(2);
  const cut = await readAll(source, { brokers, splitBytes: 500, pauses: true });
  expect(cut.records).toEqual(expected);
  expect(cut.splits).toBeGreaterThan(10);
  const one = await readAll(topic('orders', { value: 'json', partitions: [1] }).source(), {
    brokers,
  });
  expect(one.records).toEqual(expected.slice(250));
});

test('keys and values are what their serdes make of them; what is not there is null', async () => {
  const brokers = await fixture(
    [
      { key: 'a', value: '1', partition: 0 },
      { value: 'text', partition: 0 },
      { key: 'gone', partition: 0 },
    ],
    1,
  );
  const { records } = await readAll(topic('orders', { value: bytes(), key: 'string' }).source(), {
    brokers,
  });
  expect(records.map(({ key, value }) => [key, value])).toEqual([
    ['a', Buffer.from('1')],
    [null, Buffer.from('text')],
    ['gone', null],
  ]);
});

test('records that cannot be decoded, or do not fit a schema, are named', async () => {
  const brokers = await fixture(
    ['{"n":1}', '{"n":', '{"n":"x"}', '{"n":4}'].map((value) => ({ value, partition: 0 })),
    1,
  );
  const later: ReturnType<typeof json<{ n: number }>> = json({
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) => z.object({ n: z.number() })['~standard'].validate(value),
    },
  });
  for (const value of [json(z.object({ n: z.number() })), later]) {
    const source = topic('orders', { value }).source();
    const skipped: Error[] = [];
    const { records } = await readAll(source, { brokers, skipped, pauses: true });
    expect(records.map((record) => record.value)).toEqual([{ n: 1 }, { n: 4 }]);
    expect(skipped.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^topic orders partition 0 offset 1: .* not JSON at character 6: it ends/,
      ),
      expect.stringMatching(/^topic orders partition 0 offset 2: .* does not fit its schema: n: /),
    ]);
    const error = await errorOf(readAll(source, { brokers }));
    expect(error.code).toBe('ML_INPUT_MALFORMED');
    expect(error.fields).toEqual({ topic: 'orders', partition: 0, offset: 1 });
  }
});

test('says when there is no such topic, partition or broker', async () => {
  const brokers = await fixture([], 1);
  const plan = (name: string, partitions?: number[]): Promise<unknown> =>
    readAll(topic(name, partitions === undefined ? {} : { partitions }).source(), { brokers });
  expect((await errorOf(plan('nothing'))).code).toBe('ML_TOPIC_MISSING');
  expect((await errorOf(plan('orders', [3]))).code).toBe('ML_TOPIC_MISSING');
  expect((await readAll(topic('orders').source(), { brokers })).records).toEqual([]);
  const nobody = readAll(topic('orders').source(), { brokers: '127.0.0.1:1' });
  expect((await errorOf(nobody)).code).toBe('ML_CONNECT_FAILED');
});

test('records of transactions count when they are committed', async () => {
  const brokers = await fixture([{ value: 'before', partition: 0 }], 1);
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [brokers],
    serializers: stringSerializers,
    idempotent: true,
    transactionalId: 'test-transaction',
  });
  onTestFinished(() => producer.close());
  const values = async (): Promise<unknown[]> =>
    (await readAll(topic('orders').source(), { brokers })).records.map(({ value }) => value);
  const send = (
    value: string,
    transaction: Awaited<ReturnType<typeof producer.beginTransaction>>,
  ) => transaction.send({ messages: [{ topic: 'orders', value, partition: 0 }] });
  const aborted = await producer.beginTransaction();
  await send('aborted', aborted);
  await aborted.abort();
  const committed = await producer.beginTransaction();
  await send('committed', committed);
  expect(await values()).toEqual(['before']);
  await committed.commit();
  expect(await values()).toEqual(['before', 'committed']);
});
