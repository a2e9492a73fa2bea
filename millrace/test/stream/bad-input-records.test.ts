/**
 * Records that a flow cannot process. By default the first one stops it, named by operator, topic, partition and offset; with `onError: skipTo`
 * each is a dead letter with that position, and those around it are processed. None is skipped without a word, none makes a flow stand still.
 */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { avro } from '../../src/connect/topics/avro-serde.ts';
import { TIMESTAMP_AHEAD_MS_MAX } from '../../src/core/stream-limits.ts';
import type { FlowBuilder } from '../../src/flow/builder.ts';
import {
  flow,
  json,
  msgpack,
  type ProcessContext,
  skipTo,
  string,
  topic,
  tumbling,
} from '../../src/index.ts';
import type { Readable } from '../../src/flow/source.ts';
import { failureOf, type FlowWorld, type Given, inWorld, NOW_MS } from './bad-input/flow-world.ts';

interface Order {
  readonly id: number;
  readonly customer?: string;
}

const orders = topic('orders', { key: string(), value: json<Order>() });
const out = topic('out', { value: json() });

interface Case {
  readonly build: (f: FlowBuilder) => void;
  /** Two that are good; default orders 1 and 3. */
  readonly good?: readonly [Given, Given];
  /** Goes between them, at offset 1 of partition 1. */
  readonly bad: Given;
  /** Of the first error. */
  readonly code: string;
  readonly error: RegExp;
  /** Where it fails, when that is not the source. */
  readonly operator?: string;
  /** Of the dead letter; default: order 2. */
  readonly record?: unknown;
  /** How many; default 1. */
  readonly letters?: number;
  /** What becomes of the good ones; default their ids. */
  readonly written?: readonly string[];
}

function order(id: number, more: object = {}): Given {
  return { key: `o${id}`, value: JSON.stringify({ id, ...more }) };
}

/** Avro of a record with one integer. */
const avroOrder = avro<Order>({
  type: 'record',
  name: 'Order',
  fields: [{ name: 'id', type: 'int' }],
});
const schema = z.object({ id: z.int() });

/** Ids of what a topic has. */
function idsOf(given: Readable<Order>): Case['build'] {
  return (f) => {
    f.read(given)
      .map(({ id }) => id)
      .write(out);
  };
}

const timed = (of: (order: Order) => number | Date): Case['build'] =>
  idsOf(topic('orders', { value: json<Order>(), time: { of } }));

const CASES: Readonly<Record<string, Case>> = {
  'text that is no JSON': {
    build: idsOf(orders),
    bad: { value: '{"id": 2,' },
    code: 'ML_INPUT_MALFORMED',
    error: /cannot be decoded: it is not JSON at character 10/,
    record: '{"id": 2,',
  },
  'bytes that are no MessagePack': {
    build: idsOf(topic('orders', { value: msgpack<Order>() })),
    good: [{ value: packed({ id: 1 }) }, { value: packed({ id: 3 }) }],
    bad: { value: packed({ id: 2, customer: 'a long name' }).subarray(0, 12) },
    code: 'ML_INPUT_MALFORMED',
    error: /cannot be decoded: it is not MessagePack/,
    record: /custom/,
  },
  'bytes that are no Avro of the schema': {
    build: idsOf(topic('orders', { value: avroOrder })),
    good: [{ value: avroOrder.encode({ id: 1 }) }, { value: avroOrder.encode({ id: 3 }) }],
    bad: { value: Buffer.from([4, 4, 4]) },
    code: 'ML_INPUT_MALFORMED',
    error: /cannot be decoded: it is not Avro of its schema/,
    record: '\u0004\u0004\u0004',
  },
  'what its schema does not allow': {
    build: idsOf(topic('orders', { value: json(schema) })),
    bad: order(2.5),
    code: 'ML_INPUT_MALFORMED',
    error: /cannot be decoded: .*\bid\b.*int/,
    record: '{"id":2.5}',
  },
  'a key that is no JSON': {
    build: idsOf(topic('orders', { key: json(), value: json<Order>() })),
    good: [
      { key: '1', ...value(1) },
      { key: '3', ...value(3) },
    ],
    bad: { key: 'two', ...value(2) },
    code: 'ML_INPUT_MALFORMED',
    error: /cannot be decoded: it is not JSON/,
    record: '{"id":2}',
  },
  'neither key nor value, where a function wants one': {
    build: idsOf(orders),
    bad: { key: null, value: null },
    code: 'ML_USER_FUNCTION',
    error: /TypeError/,
    operator: 'map-1',
    record: null,
  },
  'a row of a table without a key': {
    build: (f) => {
      f.table(topic('orders', { value: json<Order>() }), { name: 'rows' })
        .mapValues(({ id }) => id)
        .write(out);
    },
    bad: { key: null, ...value(2) },
    code: 'ML_KEY_INVALID',
    error: /a record without a key cannot be a row of a table/,
    operator: 'rows',
  },
  'a timestamp far ahead of the clock': {
    build: idsOf(orders),
    bad: { ...order(2), time: NOW_MS + TIMESTAMP_AHEAD_MS_MAX + 3_600_000 },
    code: 'ML_TIMESTAMP_INVALID',
    error: /its time, 2026-01-02T01:00:00.000Z, is more than 86400000 ms ahead/,
  },
  'a timestamp that is not there': {
    build: idsOf(orders),
    bad: { ...order(2), time: -1 },
    code: 'ML_TIMESTAMP_INVALID',
    error: /the timestamp of the record is -1/,
  },
  'a time function that throws': {
    build: timed(({ customer }) => (customer === 'late' ? fail('no time') : NOW_MS)),
    bad: order(2, { customer: 'late' }),
    code: 'ML_USER_FUNCTION',
    error: /no time/,
    record: { id: 2, customer: 'late' },
  },
  'a time function that returns no number': {
    build: timed(({ id }) => (id === 2 ? Number.NaN : NOW_MS)),
    bad: order(2),
    code: 'ML_TIMESTAMP_INVALID',
    error: /time function returns/,
  },
  'a time function that returns nothing': {
    build: timed(({ id }) => (id === 2 ? (undefined as unknown as number) : NOW_MS)),
    bad: order(2),
    code: 'ML_TIMESTAMP_INVALID',
    error: /time function returns/,
  },
  'a time function that returns a time before 1970': {
    build: timed(({ id }) => new Date(id === 2 ? -1 : NOW_MS)),
    bad: order(2),
    code: 'ML_TIMESTAMP_INVALID',
    error: /time function returns/,
  },
  'a time function that returns a time far ahead': {
    build: timed(({ id }) => NOW_MS * id),
    good: [order(1), order(1)],
    bad: order(2),
    written: ['1', '1'],
    code: 'ML_TIMESTAMP_INVALID',
    error: /ms ahead of the wall clock/,
  },
  'a function that throws': {
    build: (f) => {
      f.read(orders)
        .map(({ id }) => (id === 2 ? fail('not this one') : id))
        .write(out);
    },
    bad: order(2),
    code: 'ML_USER_FUNCTION',
    error: /not this one/,
    operator: 'map-1',
  },
  'a function that throws no error': {
    build: (f) => {
      f.read(orders)
        .filter(({ id }) => (id === 2 ? raise({ odd: true }) : true))
        .map(({ id }) => id)
        .write(out);
    },
    bad: order(2),
    code: 'ML_USER_FUNCTION',
    error: /threw .*odd/,
    operator: 'filter-1',
  },
  'a promise that is rejected': {
    build: (f) => {
      f.read(orders)
        .map(async ({ id }) => (id === 2 ? fail('not this one') : id))
        .write(out);
    },
    bad: order(2),
    code: 'ML_USER_FUNCTION',
    error: /not this one/,
    operator: 'map-1',
  },
  'a call that never comes back': {
    build: (f) => {
      f.read(orders)
        .mapAsync('ask', ({ id }) => (id === 2 ? new Promise<number>(() => {}) : id), {
          timeout: '2s',
          attempts: 2,
        })
        .write(out);
    },
    bad: order(2),
    code: 'ML_ASYNC_TIMEOUT',
    error: /2000 ms|2 seconds|2s/,
    operator: 'ask',
  },
  'a key that is an object': {
    build: (f) => {
      f.read(orders)
        .keyBy(({ id }) => (id === 2 ? ({ id } as unknown as string) : String(id)))
        .count('counts')
        .write(out);
    },
    bad: order(2),
    code: 'ML_KEY_INVALID',
    error: /a plain object cannot be a key/,
    operator: 'keyBy-1',
    written: ['1', '1'],
  },
  'a key of a topic that is an object': {
    build: (f) => {
      f.readKeyed(topic('orders', { key: json<string>(), value: json<Order>() }))
        .count('counts')
        .write(out);
    },
    good: [
      { key: '"a"', ...value(1) },
      { key: '"a"', ...value(3) },
    ],
    bad: { key: '{"id":2}', ...value(2) },
    code: 'ML_KEY_INVALID',
    error: /a plain object cannot be a key/,
    operator: 'counts',
    written: ['1', '2'],
  },
  'an accumulator that throws': {
    build: (f) => {
      f.readKeyed(orders)
        .aggregate('sums', {
          init: () => 0,
          add: (sum, { id }) => (id === 2 ? fail('not this one') : sum + id),
        })
        .write(out);
    },
    bad: order(2),
    code: 'ML_USER_FUNCTION',
    error: /not this one/,
    operator: 'sums',
  },
  'a window whose accumulator throws': {
    build: (f) => {
      f.readKeyed(orders)
        .window(tumbling('1s'))
        .reduce('last', (_, next) => (next.id === 2 ? fail('not this one') : next), {
          emit: 'changes',
        })
        .mapValues(({ id }) => id)
        .write(topic('out', { key: json(), value: json() }));
    },
    good: [
      { key: 'o', ...value(1) },
      { key: 'o', ...value(3) },
    ],
    bad: { key: 'o', ...value(2) },
    code: 'ML_USER_FUNCTION',
    error: /not this one/,
    operator: 'last',
  },
  'a process function that throws': {
    build: (f) => {
      f.readKeyed(orders)
        .process('steps', {
          onRecord: ({ id }, context: ProcessContext<number, number>) => {
            if (id === 2) fail('not this one');
            context.emit(id);
          },
        })
        .write(out);
    },
    bad: order(2),
    code: 'ML_USER_FUNCTION',
    error: /not this one/,
    operator: 'steps',
  },
  'a value that the output cannot write': {
    build: (f) => {
      f.read(orders)
        .map(({ id }) => (id === 2 ? 2n : id))
        .write(out);
    },
    bad: order(2),
    code: 'ML_SINK_VALUE_INVALID',
    error: /cannot be written to topic out: JSON cannot write it/,
    operator: 'write-2',
    record: '2n',
  },
  'a value that the schema of the output does not allow': {
    build: (f) => {
      f.read(orders).write(topic('out', { value: json(schema) }));
    },
    bad: order(2.5),
    code: 'ML_SINK_VALUE_INVALID',
    error: /cannot be written to topic out: .*\bid\b/,
    operator: 'write-2',
    record: { id: 2.5 },
    written: ['{"id":1}', '{"id":3}'],
  },
  'a record larger than a topic takes': {
    build: (f) => {
      f.read(orders)
        .map(({ id }) => (id === 2 ? 'x'.repeat(2_000_000) : id))
        .write(out);
    },
    bad: order(2),
    code: 'ML_RECORDS_TOO_LARGE',
    error: /topic out takes no batch of 2000076 bytes: its max.message.bytes is 1048588/,
    operator: 'write-2',
    record: /^"xxx/,
  },
  'a time that the output does not take': {
    build: (f) => {
      f.readKeyed(orders)
        .process('ahead', {
          onRecord: ({ id }, context: ProcessContext<number, number>) => {
            context.emit(id, id === 2 ? context.time + 7_200_000 : context.time);
          },
        })
        .write(out);
    },
    bad: order(2),
    code: 'ML_TIMESTAMP_INVALID',
    error: /topic out takes no record of .*: its message.timestamp.after.max.ms is 3600000/,
    operator: 'write-2',
    record: 2,
  },
};

function value(id: number): { readonly value: string } {
  return { value: JSON.stringify({ id }) };
}

function packed(what: Order): Buffer {
  return Buffer.from(msgpack<Order>().encode(what));
}

function fail(message: string): never {
  throw new Error(message);
}

function raise(what: unknown): never {
  throw what;
}

/** The flow that fails, and the one that skips, each with its topics. */
async function feed(world: FlowWorld, { good = [order(1), order(3)], bad }: Case): Promise<void> {
  await world.create('orders', 2, { 'message.timestamp.after.max.ms': '9223372036854775807' });
  await world.create('out', 1);
  await world.create('dead', 1);
  await world.send('orders', 1, [good[0], bad, good[1]]);
}

const POSITION = 'topic orders partition 1 offset 1';

test.each(Object.entries(CASES))('%s', async (_, given) => {
  const { build, code, error, operator = 'read-0', record, letters = 1 } = given;
  await inWorld(async (world) => {
    await feed(world, given);
    const stopped = await failureOf(world.start(flow('bad', build)));
    expect(stopped.code).toBe(code);
    expect(stopped.message).toMatch(error);
    expect(stopped.message).toContain(`${operator}: `);
    expect(stopped.message).toContain(POSITION);
    expect(stopped.fields).toMatchObject({ operator, topic: 'orders', partition: 1, offset: 1 });
    expect(stopped.hint).not.toBe('');
    expect(await world.read('out')).toEqual([]);

    const skipping = flow('bad', { onError: skipTo(topic('dead', { value: json() })) }, build);
    const running = world.start(skipping);
    const written = await Promise.race([world.values('out', 2), failureOf(running)]);
    expect(written).toEqual(given.written ?? ['1', '3']);
    const found = await world.letters('dead', letters);
    expect(found).toHaveLength(letters);
    const [letter] = found;
    expect(letter).toMatchObject({ operator, position: POSITION });
    expect(letter?.error).toMatch(error);
    if (record instanceof RegExp) expect(letter?.record).toMatch(record);
    else expect(letter?.record).toEqual(record === undefined ? { id: 2 } : record);
    expect(running.metrics().skipped).toBe(letters);
    await running.stop();
    await running.done;
  });
});
