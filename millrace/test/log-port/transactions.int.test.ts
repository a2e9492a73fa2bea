/** What every log promises about transactions: all or nothing, and nobody else's. */
import { expect, test } from 'vitest';
import type { GroupIdentity, Log, LogProducer } from '../../src/client/log.ts';
import {
  codeOf,
  describeWays,
  inAnyOrder,
  newTopic,
  pollUntil,
  readAll,
  uniqueName,
  values,
} from './ways.ts';

/** Of a group without members: nothing is fenced by it. */
function anybody(group: string): GroupIdentity {
  return { group, generation: -1, memberId: '', instanceId: undefined };
}

async function append(producer: LogProducer, topic: string, ...texts: string[]): Promise<void> {
  for (const text of texts) producer.append(topic, 0, 1, null, text);
  await producer.flush();
}

async function offsetOf(log: Log, group: string, topic: string): Promise<number | undefined> {
  const [committed] = await log.committed(group, [{ topic, partition: 0 }]);
  return committed?.offset;
}

/** What readers of committed records see when no transaction is open: with Apache Kafka they end a moment after it has said so. */
async function readSettled(log: Log, topic: string): Promise<(string | null)[]> {
  const places = [{ topic, partition: 0 }];
  for (;;) {
    const [stable] = await log.offsets(places, 'stable');
    const [end] = await log.offsets(places, 'end');
    if (stable === end) return values(await readAll(log, [topic]));
  }
}

describeWays('transactions', (way) => {
  test('records are seen when the transaction has committed, and not before, unless one asks for what is open', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    await append(producer, topic, 'a', 'b');
    expect(values(await readAll(log, [topic], { uncommitted: true }))).toEqual(['a', 'b']);
    expect(values(await readAll(log, [topic]))).toEqual([]);
    await producer.commit();
    expect(await readSettled(log, topic)).toEqual(['a', 'b']);
    expect(producer.nextOffset(topic, 0)).toBe(2);
    await producer.close();
  });

  test('what was aborted is never seen by readers of committed records, wherever they begin', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    await append(producer, topic, 'aborted 1');
    producer.append(topic, 0, 1, null, 'aborted, unsent');
    await producer.abort();
    await append(producer, topic, 'kept 1');
    await producer.commit();
    await append(producer, topic, 'aborted 2', 'aborted 3');
    await producer.abort();
    producer.append(topic, 0, 1, null, 'aborted before it was sent');
    await producer.abort();
    await append(producer, topic, 'kept 2');
    await producer.commit();
    expect(await readSettled(log, topic)).toEqual(['kept 1', 'kept 2']);
    for (const from of [1, 3, 5])
      expect(values(await readAll(log, [topic], { from })).at(-1)).toBe('kept 2');
    await producer.close();
  });

  test('all partitions of a transaction, and the offsets of a group, become visible together', async () => {
    const log = way.log();
    const [input, output] = [await newTopic(log), await newTopic(log, 3)];
    const group = uniqueName('group');
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    const offsets = (offset: number) => ({
      group: anybody(group),
      offsets: [{ topic: input, partition: 0, offset, metadata: `clock ${offset}` }],
    });
    for (const partition of [0, 1, 2]) producer.append(output, partition, 1, null, `p${partition}`);
    await producer.commit(offsets(5));
    const reader = log.reader({ uncommitted: false });
    reader.assign([0, 1, 2].map((partition) => ({ topic: output, partition, offset: 0 })));
    expect(inAnyOrder(values(await pollUntil(reader, 3)))).toEqual(['p0', 'p1', 'p2']);
    reader.close();
    expect(await log.committed(group, [{ topic: input, partition: 0 }])).toEqual([
      { offset: 5, metadata: 'clock 5' },
    ]);
    // Offsets alone are a transaction, too.
    await producer.commit(offsets(6));
    expect(await offsetOf(log, group, input)).toBe(6);
    // And a commit of nothing is none.
    await producer.commit();
    await producer.close();
  });

  test('the producer that comes later fences the one before, whose records and offsets do not count', async () => {
    const log = way.log();
    const other = await way.another();
    const topic = await newTopic(log);
    const group = uniqueName('group');
    const transactionalId = uniqueName('id');
    const zombie = await log.producer({ transactionalId });
    await append(zombie, topic, 'of the zombie');
    const heir = await other.producer({ transactionalId });
    await append(heir, topic, 'of the heir');
    await heir.commit();
    const offsets = [{ topic, partition: 0, offset: 1, metadata: '' }];
    zombie.append(topic, 0, 1, null, 'too late');
    expect(await codeOf(zombie.commit({ group: anybody(group), offsets }))).toBe(
      'ML_PRODUCER_FENCED',
    );
    expect(() => zombie.append(topic, 0, 1, null, 'still too late')).toThrow(/another producer/);
    expect(await codeOf(zombie.abort())).toBe('ML_PRODUCER_FENCED');
    expect(await codeOf(zombie.commit())).toBe('ML_PRODUCER_FENCED');
    await zombie.close();
    expect(await readSettled(log, topic)).toEqual(['of the heir']);
    expect(await offsetOf(log, group, topic)).toBe(undefined);
    await append(heir, topic, 'again');
    await heir.commit();
    expect(await readSettled(log, topic)).toEqual(['of the heir', 'again']);
    await heir.close();
    if (other !== log) await other.close();
  });

  test('a zombie that has only offsets to commit is fenced as well', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const group = uniqueName('group');
    const transactionalId = uniqueName('id');
    const zombie = await log.producer({ transactionalId });
    const heir = await log.producer({ transactionalId });
    const offsets = [{ topic, partition: 0, offset: 1, metadata: '' }];
    expect(await codeOf(zombie.commit({ group: anybody(group), offsets }))).toBe(
      'ML_PRODUCER_FENCED',
    );
    expect(await offsetOf(log, group, topic)).toBe(undefined);
    await Promise.all([zombie.close(), heir.close()]);
  });

  test('a producer that has failed goes on after an abort', async () => {
    const log = way.log();
    const [topic, gone] = [await newTopic(log), uniqueName('gone')];
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    await append(producer, topic, 'lost with the rest');
    producer.append(gone, 0, 1, null, 'nowhere to go');
    expect(await codeOf(producer.commit())).toBe('ML_TOPIC_MISSING');
    expect(await codeOf(producer.flush())).toBe('ML_TOPIC_MISSING');
    await producer.abort();
    await append(producer, topic, 'kept');
    await producer.commit();
    await append(producer, topic, 'kept, too');
    await producer.commit();
    expect(await readSettled(log, topic)).toEqual(['kept', 'kept, too']);
    await producer.close();
  });

  test('records that are appended while a commit is under way belong to the next transaction', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    producer.append(topic, 0, 1, null, 'first');
    const committing = producer.commit();
    producer.append(topic, 0, 1, null, 'second');
    producer.append(topic, 0, 1, null, 'second'.padEnd(600_000, '.'));
    await committing;
    await producer.flush();
    expect(values(await readAll(log, [topic]))).toEqual(['first']);
    await producer.abort();
    producer.append(topic, 0, 1, null, 'third');
    await producer.commit();
    expect(await readSettled(log, topic)).toEqual(['first', 'third']);
    await producer.close();
  });

  test('a commit waits for all pieces of a batch that the topic takes as too large', async () => {
    const log = way.log();
    const topic = await newTopic(log, 1, { 'max.message.bytes': '20000' });
    const wanted = Array.from({ length: 100 }, (_, index) => `${index} ${'x'.repeat(1_000)}`);
    for (const isFlushed of [true, false]) {
      const producer = await log.producer({ transactionalId: uniqueName('id') });
      for (const value of wanted) producer.append(topic, 0, 1, 'k', value);
      if (isFlushed) await producer.flush();
      expect(producer.unsentBytes > 0).toBe(!isFlushed);
      await producer.commit();
      await producer.close();
    }
    expect(await readSettled(log, topic)).toEqual([...wanted, ...wanted]);
  });

  test('closing aborts what is open', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    await append(producer, topic, 'open');
    await producer.close();
    await producer.close();
    expect(await readSettled(log, topic)).toEqual([]);
    expect(await codeOf(producer.commit())).toBe('ML_ABORTED');
  });

  test('many transactions, one after the other, over many partitions', async () => {
    const log = way.log();
    const topic = await newTopic(log, 5);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    const reader = log.reader({ uncommitted: false });
    reader.assign([0, 1, 2, 3, 4].map((partition) => ({ topic, partition, offset: 0 })));
    const wanted: string[] = [];
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 10; index++) {
        const value = `${round} ${index}`;
        producer.append(topic, (round + index) % 5, 1, null, value);
        if (round % 3 !== 2) wanted.push(value);
      }
      if (round % 3 === 2) await producer.abort();
      else await producer.commit();
    }
    const seen = values(await pollUntil(reader, wanted.length));
    expect(inAnyOrder(seen)).toEqual(inAnyOrder(wanted));
    reader.close();
    await producer.close();
  });

  test('without a transactional id, offsets follow the records they were computed from', async () => {
    const log = way.log();
    const topic = await newTopic(log);
    const group = uniqueName('group');
    const producer = await log.producer({});
    producer.append(topic, 0, 1, null, 'a');
    const offsets = [{ topic, partition: 0, offset: 3, metadata: 'm' }];
    await producer.commit({ group: anybody(group), offsets });
    expect(values(await readAll(log, [topic]))).toEqual(['a']);
    expect(await offsetOf(log, group, topic)).toBe(3);
    await producer.close();
  });
});
