/** Records through the front door: produced, consumed alone and in groups. */
import { Consumer, MessagesStreamModes } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { bytes, json, MillraceError, topic } from '../../src/index.ts';
import { collect, describeDoors } from './doors.ts';

const EARLY = Date.parse('2026-01-31T12:00:00Z');

describeDoors('records', ({ millrace, other, topicName }) => {
  test('come back as they were given, in the order of their offsets', async () => {
    const orders = topic(topicName('orders'), {
      key: 'string',
      value: json<{ readonly total: number } | null>(),
      create: { partitions: 3 },
    });
    const places = await millrace().produce(orders, [
      { key: 'ann', value: { total: 1 }, timestamp: EARLY, headers: { source: 'web', raw: null } },
      { key: 'bob', value: { total: 2 }, timestamp: new Date(EARLY + 1) },
      { key: 'ann', value: null, timestamp: EARLY + 2 },
      { value: { total: 4 }, timestamp: EARLY + 3, partition: 2 },
    ]);
    expect(places.map(({ topic: name }) => name)).toEqual(Array(4).fill(orders.name));
    const records = await collect(millrace().consume(orders, { until: 'now' }));
    const byPlace = new Map(records.map((each) => [`${each.partition}:${each.offset}`, each]));
    const inOrder = places.map(({ partition, offset }) => byPlace.get(`${partition}:${offset}`));
    expect(inOrder.map((each) => [each?.key, each?.value, each?.timestamp])).toEqual([
      ['ann', { total: 1 }, EARLY],
      ['bob', { total: 2 }, EARLY + 1],
      ['ann', null, EARLY + 2],
      [null, { total: 4 }, EARLY + 3],
    ]);
    expect(inOrder[0]?.headers).toEqual([
      { name: 'source', value: Buffer.from('web') },
      { name: 'raw', value: null },
    ]);
    // Equal keys are in one partition, in order.
    expect(places[0]?.partition).toBe(places[2]?.partition);
    expect(places[0]?.offset).toBeLessThan(places[2]?.offset ?? 0);
    expect(places[3]?.partition).toBe(2);
    const { partitions } = await millrace().admin.describe(orders.name);
    expect(partitions).toHaveLength(3);
  });

  test('are told where they are, whoever else produces', async () => {
    const name = topicName('numbered');
    await millrace().admin.createTopic(name, { partitions: 2 });
    const calls = Array.from({ length: 40 }, async (_, call) => {
      const values = Array.from({ length: 1 + (call % 7) }, (_value, at) => `${call}/${at}`);
      const places = await millrace().produce(
        name,
        values.map((value) => ({ value })),
      );
      return places.map((place, at) => ({ ...place, value: values[at] }));
    });
    const expected = (await Promise.all(calls)).flat();
    const records = await collect(millrace().consume(name, { until: 'now' }));
    const told = (of: readonly { partition: number; offset: number; value?: unknown }[]) =>
      of
        .map(({ partition, offset, value }) => `${partition}:${offset} ${String(value)}`)
        .toSorted();
    expect(told(records)).toEqual(told(expected));
  });

  test('of many batches are told where they are, among those of another producer', async () => {
    const large = topic(topicName('large'), { value: bytes(), create: { partitions: 1 } });
    const values = Array.from({ length: 12 }, (_, at) => Buffer.alloc(200_000, at + 1));
    const records = values.map((value) => ({ value }));
    await millrace().produce(large, []);
    await millrace().admin.createTopic(large.name, { partitions: 1 });
    const [places] = await Promise.all([
      millrace().produce(large, records),
      other().produce(large, records),
    ]);
    const found = new Map<number, number | undefined>();
    for await (const { offset, value } of millrace().consume(large, { until: 'now' }))
      found.set(offset, value[0]);
    expect(found.size).toBe(24);
    expect(places.map(({ offset }) => found.get(offset))).toEqual(values.map((value) => value[0]));
  });

  test('that cannot be written are refused, and nothing of their call is written', async () => {
    const name = topicName('refused');
    await millrace().admin.createTopic(name, { partitions: 1 });
    const numbers = topic(name, { value: json<bigint>() });
    await expect(millrace().produce(numbers, [{ value: 1n }])).rejects.toMatchObject({
      code: 'ML_SINK_VALUE_INVALID',
      message: expect.stringContaining('record 0'),
    });
    await expect(
      millrace().produce(name, [{ value: 'a' }, { value: 'b', timestamp: -5 }]),
    ).rejects.toMatchObject({ code: 'ML_TIMESTAMP_INVALID' });
    await expect(millrace().produce(name, { value: 'a', partition: 7 })).rejects.toMatchObject({
      code: 'ML_TOPIC_MISSING',
      fields: { partition: 7 },
    });
    const huge = { value: 'x'.repeat(3_000_000) };
    await expect(millrace().produce(name, huge)).rejects.toMatchObject({
      code: 'ML_RECORDS_TOO_LARGE',
    });
    // It goes on.
    expect(await millrace().produce(name, { value: 'after' })).toMatchObject({ offset: 0 });
    expect(() => topic('no good')).toThrow(MillraceError);
    await expect(millrace().produce('no good', { value: 1 })).rejects.toMatchObject({
      code: 'ML_FLOW_INVALID',
    });
  });

  test('are read from where one says', async () => {
    const name = topicName('from');
    await millrace().admin.createTopic(name, { partitions: 1 });
    await millrace().produce(
      name,
      ['a', 'b', 'c'].map((value, at) => ({ value, timestamp: EARLY + at * 1_000 })),
    );
    const read = async (from?: Parameters<ReturnType<typeof millrace>['consume']>[1]) =>
      (await collect(millrace().consume(name, { ...from, until: 'now' }))).map(
        ({ value }) => value,
      );
    expect(await read()).toEqual(['a', 'b', 'c']);
    expect(await read({ from: new Date(EARLY + 500) })).toEqual(['b', 'c']);
    expect(await read({ from: { 0: 2 } })).toEqual(['c']);
    expect(await read({ from: 'latest' })).toEqual([]);
    const missing = collect(millrace().consume(name, { from: { 9: 0 } }));
    await expect(missing).rejects.toMatchObject({ code: 'ML_TOPIC_MISSING' });
    const nowhere = collect(millrace().consume(topicName('nowhere')));
    await expect(nowhere).rejects.toMatchObject({ code: 'ML_TOPIC_MISSING' });
  });

  test('that come later are waited for, until the loop is left or called off', async () => {
    const name = topicName('later');
    await millrace().admin.createTopic(name);
    const ending = new AbortController();
    const reading = collect(millrace().consume(name, { signal: ending.signal, from: 'latest' }));
    const consumption = millrace().consume(name);
    const seen: (string | null)[] = [];
    const loop = async (): Promise<void> => {
      for await (const { value } of consumption) {
        seen.push(value);
        if (value === 'last') break;
        await millrace().produce(name, { value: 'last' });
      }
    };
    const looping = loop();
    await millrace().produce(name, { value: 'first' });
    await looping;
    expect(seen).toEqual(['first', 'last']);
    ending.abort();
    await reading;
    await expect(collect(consumption)).rejects.toMatchObject({ code: 'ML_USAGE' });
  });

  test('that cannot be decoded end the loop with their place, or are left out', async () => {
    const name = topicName('malformed');
    await millrace().admin.createTopic(name, { partitions: 1 });
    await millrace().produce(name, [{ value: '{"a":1}' }, { value: '{' }, { value: '{"a":3}' }]);
    const numbers = topic(name, { value: json<{ readonly a: number }>() });
    await expect(collect(millrace().consume(numbers, { until: 'now' }))).rejects.toMatchObject({
      code: 'ML_INPUT_MALFORMED',
      fields: { topic: name, partition: 0, offset: 1 },
    });
    const refused: MillraceError[] = [];
    const onMalformed = (error: MillraceError): void => {
      refused.push(error);
    };
    const good = await collect(millrace().consume(numbers, { until: 'now', onMalformed }));
    expect(good.map(({ value }) => value.a)).toEqual([1, 3]);
    expect(refused).toMatchObject([{ fields: { offset: 1 } }]);
  });
});

describeDoors('groups', ({ millrace, topicName }) => {
  test('go on after what was taken, and a loop that is broken does not take its last record', async () => {
    const name = topicName('queue');
    await millrace().admin.createTopic(name, { partitions: 1 });
    await millrace().produce(
      name,
      Array.from({ length: 6 }, (_, at) => ({ value: String(at) })),
    );
    const take = async (count: number, commits: boolean): Promise<(string | null)[]> => {
      const seen: (string | null)[] = [];
      await using consumption = millrace().consume(name, { group: `${name}-g` });
      for await (const { value } of consumption) {
        seen.push(value);
        if (seen.length < count) continue;
        if (commits) await consumption.commit();
        break;
      }
      return seen;
    };
    expect(await take(2, false)).toEqual(['0', '1']);
    expect(await take(2, true)).toEqual(['1', '2']);
    expect(await millrace().admin.committed(`${name}-g`, name)).toEqual([3]);
    const failing = async (): Promise<void> => {
      for await (const { value } of millrace().consume(name, { group: `${name}-g` }))
        if (value === '4') throw new Error('at four');
    };
    await expect(failing()).rejects.toThrow('at four');
    const rest = millrace().consume(name, { group: `${name}-g`, until: 'now' });
    expect((await collect(rest)).map(({ value }) => value)).toEqual(['4', '5']);
    expect(await millrace().admin.committed(`${name}-g`, name)).toEqual([6]);
    const none = millrace().consume(name, { until: 'now' });
    await expect(none.commit()).rejects.toMatchObject({ code: 'ML_USAGE' });
    await none.close();
  });

  test('share the partitions of a topic, and take over those of a member that leaves', async () => {
    const name = topicName('shared');
    await millrace().admin.createTopic(name, { partitions: 4 });
    const seenBy = new Map<string, Set<number>>([
      ['a', new Set()],
      ['b', new Set()],
    ]);
    const values = new Set<string>();
    const group = `${name}-g`;
    const options = { group, commitInterval: '50ms' } as const;
    const a = millrace().consume(name, options);
    const b = millrace().consume(name, options);
    const loop = async (who: string, consumption: typeof a): Promise<void> => {
      for await (const { partition, value } of consumption) {
        seenBy.get(who)?.add(partition);
        values.add(value ?? '');
      }
    };
    const loops = [loop('a', a), loop('b', b)];
    let sent = 0;
    /** Until it is as it should be: each round has a record for every partition. */
    const sendUntil = async (isAsWanted: () => boolean): Promise<void> => {
      while (!isAsWanted()) {
        const round = [0, 1, 2, 3].map((partition) => ({ partition, value: String(sent++) }));
        await millrace().produce(name, round);
      }
    };
    await sendUntil(() => (seenBy.get('a')?.size ?? 0) > 0 && (seenBy.get('b')?.size ?? 0) > 0);
    await a.close();
    seenBy.get('b')?.clear();
    await sendUntil(() => seenBy.get('b')?.size === 4);
    const last = sent;
    await sendUntil(() => values.has(String(last - 1)));
    await b.close();
    await Promise.all(loops);
    const rest = await collect(millrace().consume(name, { group, until: 'now' }));
    for (const { value } of rest) values.add(value ?? '');
    // At least once: none is missing, whoever has left when.
    expect(values.size).toBe(sent);
  });

  test('a group has members of other Kafka clients, too', async () => {
    const name = topicName('mixed');
    await millrace().admin.createTopic(name, { partitions: 4 });
    const groupId = `${name}-g`;
    const seen = { ours: new Set<number>(), theirs: new Set<number>() };
    const ours = millrace().consume(name, { group: groupId });
    const foreign = new Consumer({
      clientId: 'foreign',
      bootstrapBrokers: [millrace().kafka ?? ''],
      groupId,
      maxWaitTime: 100,
    });
    const loop = (async () => {
      for await (const { partition } of ours) seen.ours.add(partition);
    })();
    const theirs = await foreign.consume({ topics: [name], mode: MessagesStreamModes.LATEST });
    theirs.on('data', ({ partition }) => seen.theirs.add(partition));
    const all = (): Set<number> => new Set([...seen.ours, ...seen.theirs]);
    // It would go on for ever if one of them were refused, or were dealt out nothing.
    while (seen.ours.size === 0 || seen.theirs.size === 0 || all().size < 4)
      await millrace().produce(
        name,
        [0, 1, 2, 3].map((partition) => ({ partition, value: 'one' })),
      );
    await theirs.close();
    await foreign.close(true);
    await ours.close();
    await loop;
    expect([...all()].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });

  test('are refused what they cannot do', () => {
    const from = { 0: 1 };
    expect(() => millrace().consume('any', { group: 'g', from })).toThrow(
      /goes on where it stands/,
    );
    expect(() => millrace().consume('any', { commitInterval: 1 })).toThrow(/10 ms to 1 minute/);
  });
});
