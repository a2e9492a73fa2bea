/** What every log promises its readers and its producers without transactions. */
import { expect, test } from 'vitest';
import { MillraceError } from '../../src/core/errors.ts';
import {
  codeOf,
  describeWays,
  inAnyOrder,
  newTopic,
  pollOnce,
  pollUntil,
  readAll,
  uniqueName,
  values,
} from './ways.ts';

describeWays('reading and writing', (way) => {
  test('records of many partitions and topics come out as they went in, in the order of each partition', async () => {
    const log = way.log();
    const topics = [await newTopic(log, 3), await newTopic(log, 2)];
    const producer = await log.producer({});
    for (let index = 0; index < 600; index++) {
      const topic = topics[index % 2] ?? '';
      const value = index % 10 === 9 ? null : `value ${index} äöü €`;
      producer.append(
        topic,
        index % (topic === topics[0] ? 3 : 2),
        1_000 + index,
        `k${index}`,
        value,
      );
    }
    await producer.flush();
    const seen = await readAll(log, topics);
    expect(seen).toHaveLength(600);
    for (const { topic, partition, key, value } of seen) {
      const index = Number(key?.slice(1));
      expect(topic).toBe(topics[index % 2]);
      expect(partition).toBe(index % (topic === topics[0] ? 3 : 2));
      expect(value).toBe(index % 10 === 9 ? null : `value ${index} äöü €`);
    }
    for (const topic of topics) {
      for (const partition of [0, 1, 2]) {
        const some = seen.filter((each) => each.topic === topic && each.partition === partition);
        expect(some.map(({ offset }) => offset)).toEqual(some.map((_, index) => index));
        const order = some.map(({ key }) => Number(key?.slice(1)));
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        const next = producer.nextOffset(topic, partition);
        expect(next).toBe(some.length === 0 ? undefined : some.length);
      }
    }
    await producer.close();
  });

  test('a reader that waits gets what is written then, and hears that it has caught up', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({});
    const reader = log.reader({ uncommitted: false });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const empty = await reader.poll(5_000);
    expect(empty).toMatchObject([{ topic, partition: 0, from: 0, next: 0, end: 0 }]);
    const polling = pollUntil(reader, 1);
    producer.append(topic, 0, 1, null, 'first');
    await producer.flush();
    expect(values(await polling)).toEqual(['first']);
    reader.close();
    await producer.close();
  });

  test('paused partitions wait, resumed ones go on where they stood, unassigned ones are not heard of', async () => {
    const log = way.log();
    const topic = await newTopic(log, 2);
    const [first, second] = [0, 1].map((partition) => ({ topic, partition }));
    if (first === undefined || second === undefined) throw new Error('two partitions');
    const producer = await log.producer({});
    const reader = log.reader({ uncommitted: false });
    reader.assign([
      { ...first, offset: 0 },
      { ...second, offset: 0 },
    ]);
    for (const partition of [0, 1]) producer.append(topic, partition, 1, null, `a${partition}`);
    await producer.flush();
    expect(inAnyOrder(values(await pollUntil(reader, 2)))).toEqual(['a0', 'a1']);
    reader.pause([first]);
    // What was asked for before still comes, unless the broker has just said that there is nothing.
    producer.append(topic, 0, 1, null, 'b0');
    await producer.flush();
    const late = values(await pollOnce(reader, new Set(), 200));
    for (const partition of [0, 1]) producer.append(topic, partition, 1, null, `c${partition}`);
    await producer.flush();
    expect(values(await pollUntil(reader, 1))).toEqual(['c1']);
    expect(values(await pollOnce(reader, new Set(), 50))).toEqual([]);
    reader.resume([first]);
    const rest = values(await pollUntil(reader, 2 - late.length));
    expect([...late, ...rest]).toEqual(['b0', 'c0']);
    reader.unassign([first]);
    for (const partition of [0, 1]) producer.append(topic, partition, 1, null, `d${partition}`);
    await producer.flush();
    expect(values(await pollUntil(reader, 1))).toEqual(['d1']);
    reader.assign([{ ...first, offset: 1 }]);
    reader.unassign([second]);
    expect(values(await pollUntil(reader, 3))).toEqual(['b0', 'c0', 'd0']);
    reader.close();
    await producer.close();
  });

  test('assigning again jumps: what was asked for before does not come', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({});
    const write = async (value: string): Promise<void> => {
      producer.append(topic, 0, 1, null, value);
      await producer.flush();
    };
    for (let index = 0; index < 10; index++) await write(`${index}`);
    const reader = log.reader({ uncommitted: false });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    reader.assign([{ topic, partition: 0, offset: 7 }]);
    expect(values(await pollUntil(reader, 3))).toEqual(['7', '8', '9']);
    // By now a request waits for what comes after the last record.
    reader.assign([{ topic, partition: 0, offset: 8 }]);
    await write('new');
    expect(values(await pollUntil(reader, 3))).toEqual(['8', '9', 'new']);
    await write('newer');
    expect(values(await pollUntil(reader, 1))).toEqual(['newer']);
    reader.close();
    await producer.close();
  });

  test('wake ends a poll, and so does its time; a reader without partitions waits', async () => {
    const log = way.log();
    const reader = log.reader({ uncommitted: false });
    const polling = reader.poll(60_000);
    reader.wake();
    expect(await polling).toEqual([]);
    reader.wake();
    expect(await reader.poll(60_000)).toEqual([]);
    expect(await reader.poll(1)).toEqual([]);
    expect(await reader.poll(0)).toEqual([]);
    reader.close();
  });

  test('closing while a poll waits ends the poll', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const reader = log.reader({ uncommitted: false });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    await reader.poll(5_000);
    const polling = codeOf(reader.poll(60_000));
    reader.close();
    reader.close();
    expect(await polling).toBe('ML_ABORTED');
    expect(await codeOf(reader.poll(0))).toBe('ML_ABORTED');
  });

  test('an offset that is gone, or not there yet, is named until it is assigned anew', async () => {
    const log = way.log();
    const topic = await newTopic(log, 2);
    const producer = await log.producer({});
    for (const partition of [0, 1])
      for (const value of ['a', 'b', 'c']) producer.append(topic, partition, 1, null, value);
    await producer.flush();
    await log.deleteRecords([{ topic, partition: 0, offset: 2 }]);
    const reader = log.reader({ uncommitted: false });
    reader.assign([{ topic, partition: 0, offset: 1 }]);
    const failure: unknown = await reader.poll(5_000).catch((error: unknown) => error);
    if (!(failure instanceof MillraceError)) throw new Error('it fails');
    expect(failure.code).toBe('ML_OFFSET_OUT_OF_RANGE');
    expect(failure.fields).toMatchObject({ topic, partition: 0, offset: 1 });
    expect(await codeOf(reader.poll(5_000))).toBe('ML_OFFSET_OUT_OF_RANGE');
    reader.unassign([{ topic, partition: 0 }]);
    reader.assign([{ topic, partition: 1, offset: 1 }]);
    expect(values(await pollUntil(reader, 2))).toEqual(['b', 'c']);
    reader.assign([{ topic, partition: 0, offset: 99 }]);
    expect(await codeOf(reader.poll(5_000))).toBe('ML_OFFSET_OUT_OF_RANGE');
    reader.assign([{ topic, partition: 0, offset: 2 }]);
    expect(values(await pollUntil(reader, 1))).toEqual(['c']);
    reader.close();
    await producer.close();
  });

  test('a topic that is deleted while it is read, or written to, is missing', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({});
    producer.append(topic, 0, 1, null, 'a');
    await producer.flush();
    const reader = log.reader({ uncommitted: false });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    expect(values(await pollUntil(reader, 1))).toEqual(['a']);
    await log.deleteTopics([topic]);
    const readOn = async (): Promise<void> => {
      for (;;) await reader.poll(1_000);
    };
    const failure: unknown = await readOn().catch((error: unknown) => error);
    if (!(failure instanceof MillraceError)) throw new Error('it fails with a code');
    expect(failure.code).toBe('ML_TOPIC_MISSING');
    expect(failure.fields).toMatchObject({ topic, partition: 0 });
    producer.append(topic, 0, 1, null, 'b');
    expect(await codeOf(producer.flush())).toBe('ML_TOPIC_MISSING');
    expect(() => producer.append(topic, 0, 1, null, 'c')).toThrow(/no topic/);
    await producer.abort();
    const other = await newTopic(log);
    producer.append(other, 0, 1, null, 'd');
    await producer.flush();
    expect(values(await readAll(log, [other]))).toEqual(['d']);
    reader.close();
    await producer.close();
  });

  test('a record of several megabytes goes in and out where the topic allows it; else it is too large', async () => {
    const log = way.log();
    const large = await newTopic(log, 1, { 'max.message.bytes': '10000000' });
    const small = await newTopic(log);
    const producer = await log.producer({});
    const value = 'x'.repeat(6_000_000);
    producer.append(large, 0, 1, 'k', value);
    producer.append(large, 0, 1, 'k', 'y');
    await producer.flush();
    const seen = await readAll(log, [large]);
    expect(seen.map((each) => each.value?.length)).toEqual([6_000_000, 1]);
    producer.append(small, 0, 1, 'k', value);
    expect(await codeOf(producer.flush())).toBe('ML_RECORDS_TOO_LARGE');
    await producer.abort();
    producer.append(small, 0, 1, 'k', 'z');
    await producer.flush();
    expect(values(await readAll(log, [small]))).toEqual(['z']);
    await producer.close();
  });

  test('a topic of small batches gets small batches', async () => {
    const log = way.log();
    const topic = await newTopic(log, 1, { 'max.message.bytes': '20000' });
    const producer = await log.producer({});
    const wanted = Array.from({ length: 100 }, (_, index) => `${index} ${'x'.repeat(1_000)}`);
    for (const value of wanted) producer.append(topic, 0, 1, 'k', value);
    await producer.flush();
    for (const value of wanted) producer.append(topic, 0, 1, 'k', value);
    await producer.flush();
    expect(values(await readAll(log, [topic]))).toEqual([...wanted, ...wanted]);
    expect(producer.nextOffset(topic, 0)).toBe(200);
    await producer.close();
  });

  test.each(['gzip', 'zstd', 'lz4', 'snappy'] as const)(
    'batches are compressed with %s',
    async (compression) => {
      const log = way.log();
      const topic = await newTopic(log);
      const producer = await log.producer({ compression });
      for (let index = 0; index < 1_000; index++)
        producer.append(topic, 0, 1, 'key', `v${index % 10}`);
      await producer.flush();
      expect(await readAll(log, [topic])).toHaveLength(1_000);
      await producer.close();
    },
  );

  test('who writes fast waits until little is left unsent', async () => {
    const log = way.log();
    const topic = await newTopic(log, 2);
    const producer = await log.producer({});
    const boundBytes = 3_000_000;
    let most = 0;
    for (let index = 0; index < 1_000; index++) {
      producer.append(topic, index % 2, 1, null, `${index}`.padEnd(10_000, '.'));
      if (producer.unsentBytes > boundBytes) await producer.drained(boundBytes / 2);
      most = Math.max(most, producer.unsentBytes);
    }
    expect(most).toBeLessThanOrEqual(boundBytes);
    expect(most).toBeGreaterThan(boundBytes / 2);
    await producer.drained(0);
    expect(producer.unsentBytes).toBe(0);
    const ends = await log.offsets(
      [0, 1].map((partition) => ({ topic, partition })),
      'end',
    );
    expect(ends).toEqual([500, 500]);
    const seen = await readAll(log, [topic]);
    const wrong = seen.filter(({ partition, offset, value }) => {
      return value !== `${offset * 2 + partition}`.padEnd(10_000, '.');
    });
    expect([seen.length, wrong]).toEqual([1_000, []]);
    await producer.close();
  });

  test('a poll hands out no more than was asked for, and all of it in the end', async () => {
    const log = way.log();
    const topic = await newTopic(log, 2);
    const producer = await log.producer({});
    for (let index = 0; index < 40; index++) {
      producer.append(topic, index % 2, 1, null, Buffer.alloc(20_000));
      await producer.flush();
    }
    const reader = log.reader({ uncommitted: false, bytesMax: 50_000, partitionBytesMax: 30_000 });
    reader.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
    let count = 0;
    while (count < 40) {
      const polled = await reader.poll(5_000);
      let bytes = 0;
      for (const records of polled) {
        bytes += records.bytes.length;
        count += records.next - records.from;
      }
      // One answer of each of the two requests that may be under way, and a whole batch in each.
      expect(bytes).toBeLessThan(2 * 50_000 + 2 * 20_200);
    }
    expect(count).toBe(40);
    reader.close();
    await producer.close();
  });

  test('headers go along', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({});
    producer.append(topic, 0, 1, 'k', 'v', [{ key: 'why', value: 'because' }]);
    await producer.flush();
    const reader = log.reader({ uncommitted: true });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const [records] = await reader.poll(5_000);
    expect(records?.bytes.includes('because')).toBe(true);
    reader.close();
    await producer.close();
  });

  test('a log that is closed closes what was made of it', async () => {
    const log = await way.another();
    const topic = await newTopic(log);
    const reader = log.reader({ uncommitted: false });
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    producer.append(topic, 0, 1, null, 'never');
    const polling = codeOf(reader.poll(60_000));
    await log.close();
    await log.close();
    expect(await polling).toBe('ML_ABORTED');
    expect(await codeOf(producer.flush())).toBe('ML_ABORTED');
    expect(() => log.reader({ uncommitted: false })).toThrow(/closed/);
    expect(values(await readAll(way.log(), [topic]))).toEqual([]);
  });
});
