/**
 * What others do to the topics and to the name of a flow: each stops it with a named error that says what it was and how to go on, or it goes
 * on, exactly. And what a flow does to itself.
 */
import { expect, test } from 'vitest';
import { partitionOf } from '../../src/core/murmur2.ts';
import type { RunningFlow } from '../../src/engine/stream/runner/flow-types.ts';
import { planFlow } from '../../src/engine/stream/runner/prepare-flow.ts';
import { resetFlow } from '../../src/engine/stream/runner/reset-flow.ts';
import { type Flow, flow, type FlowBuilder, json, skipTo, string, topic } from '../../src/index.ts';
import {
  addPartitions,
  failureOf,
  type FlowWorld,
  inWorld,
  NOW_MS,
} from './bad-input/flow-world.ts';

interface Order {
  readonly id: number;
}

const orders = topic('orders', { key: string(), value: json<Order>() });
const out = topic('out', { value: json() });
const dead = topic('dead', { value: json() });

const counting = flow('f', (f) => {
  f.read(orders)
    .keyBy(({ id }) => id)
    .count('counts')
    .write(out);
});

function order(id: number): { readonly key: string; readonly value: string } {
  return { key: `o${id}`, value: JSON.stringify({ id }) };
}

/** A flow that only reads and writes. */
function plain(name: string, build: (f: FlowBuilder) => void): Flow {
  return flow(name, { onError: skipTo(dead) }, build);
}

const ids = plain('f', (f) => {
  f.read(orders)
    .map(({ id }) => (id < 0 ? refuse() : id))
    .write(out);
});

function refuse(): never {
  throw new Error('not this one');
}

/** Runs, and has written one result for each of two orders. */
async function running(world: FlowWorld, program: Flow): Promise<RunningFlow> {
  await world.create('orders', 2);
  await world.create('out', 2);
  const started = world.start(program);
  await world.send('orders', 1, [order(1), order(2)]);
  expect(await world.values('out', 2)).toHaveLength(2);
  return started;
}

test.each([
  ['out', ids, 3],
  ['dead', ids, -1],
  ['f-counts-repartition', counting, 3],
  ['f-counts-changelog', counting, 3],
])('topic %s is deleted while it is written', async (name, program, id) => {
  await inWorld(async (world) => {
    const started = await running(world, program);
    await world.log.deleteTopics([name]);
    await world.send('orders', 0, [order(id)]);
    const error = await failureOf(started);
    expect(error.code).toBe('ML_TOPIC_MISSING');
    expect(error.message).toContain(`there is no topic ${name}`);
    expect(error.fields).toMatchObject({ topic: name });
  });
});

test('a topic to read that is not there, where nobody waits for it', async () => {
  await inWorld(async (world) => {
    const error = await failureOf(world.start(ids, { waitForTopics: false }));
    expect(error.code).toBe('ML_TOPIC_MISSING');
    expect(error.message).toMatch(/reads topic orders, which does not exist/);
  });
});

test('partitions that are added to what is read stop the flow; what keeps no state goes on with them', async () => {
  await inWorld(async (world) => {
    const started = await running(world, ids);
    await addPartitions(world.log, 'orders', 3);
    const error = await failureOf(started);
    expect(error.code).toBe('ML_TOPIC_CHANGED');
    expect(error.message).toContain('topic orders has 3 partitions now, 2 when the flow started');
    await world.send('orders', 2, [order(3)]);
    const again = world.start(ids);
    expect((await world.values('out', 3)).toSorted()).toEqual(['1', '2', '3']);
    await again.stop();
    await again.done;
  });
});

test('state that was kept for fewer partitions is refused until it is reset', async () => {
  await inWorld(async (world) => {
    const started = await running(world, counting);
    await started.stop();
    await addPartitions(world.log, 'orders', 3);
    await world.send('orders', 2, [order(2)]);
    const error = await failureOf(world.start(counting));
    expect(error.code).toBe('ML_FLOW_CHANGED');
    expect(error.message).toContain("'counts' has changed");
    expect(error.hint).toContain('millrace reset');
    const partitions = new Map([
      ['orders', 3],
      ['out', 2],
    ]);
    await resetFlow(world.log, planFlow(counting.plan(), partitions, undefined), '/data');
    const again = world.start(counting);
    const written = await world.values('out', 5);
    expect(written.toSorted()).toEqual(['1', '1', '1', '1', '2']);
    await again.stop();
    await again.done;
  });
});

test.each(['f-counts-repartition', 'f-counts-changelog'])(
  'partitions that somebody adds to %s',
  async (name) => {
    await inWorld(async (world) => {
      const started = await running(world, counting);
      await addPartitions(world.log, name, 3);
      await world.send('orders', 0, [order(1), order(2)]);
      expect((await world.values('out', 4)).toSorted()).toEqual(['1', '1', '2', '2']);
      await started.stop();
      const error = await failureOf(world.start(counting));
      expect(error.code).toBe('ML_FLOW_CHANGED');
      expect(error.message).toContain(`${name} has 3 partitions, and the flow needs 2`);
    });
  },
);

test('inputs of a join that have different numbers of partitions meet all the same', async () => {
  const joining = flow('f', (f) => {
    const right = f.table(topic('rows', { key: string(), value: json<number>() }));
    f.readKeyed(orders)
      .join('joined', right, ({ id }, row) => [id, row])
      .write(out);
  });
  await inWorld(async (world) => {
    await world.create('rows', 3);
    await world.create('orders', 2);
    const all = Array.from({ length: 12 }, (_, id) => id);
    for (const id of all) {
      const { key, value } = order(id);
      const row = { key, value: String(id * 10), time: NOW_MS - 1_000 };
      await world.send('rows', partitionOf(Buffer.from(key), 3), [row]);
      await world.send('orders', partitionOf(Buffer.from(key), 2), [{ key, value }]);
    }
    const started = world.start(joining);
    const written = await world.values('out', all.length);
    expect(written.toSorted()).toEqual(all.map((id) => `[${id},${id * 10}]`).toSorted());
    await started.stop();
  });
});

test('records that are deleted before a flow that is behind has read them stop it', async () => {
  let open: (id: number) => void = () => {};
  const gate = new Promise<number>((resolve) => {
    open = resolve;
  });
  const slow = plain('f', (f) => {
    f.read(topic('orders', { value: json<Order & { readonly pad: string }>() }))
      .mapAsync('ask', () => gate, { concurrency: 1 })
      .write(out);
  });
  await inWorld(async (world) => {
    await world.create('orders', 1);
    const large = { value: JSON.stringify({ id: 1, pad: 'x'.repeat(900_000) }) };
    for (let count = 0; count < 24; count++) await world.send('orders', 0, [large]);
    const started = world.start(slow);
    await started.ready;
    await world.log.env.timers.sleep(2_000);
    await world.log.deleteRecords([{ topic: 'orders', partition: 0, offset: 23 }]);
    open(1);
    const error = await failureOf(started);
    expect(error.code).toBe('ML_OFFSET_OUT_OF_RANGE');
    expect(error.message).toMatch(/records were deleted before flow 'f' had read them: .*orders/);
    expect(error.fields).toMatchObject({ flow: 'f', topic: 'orders', partition: 0 });
    expect(error.hint).toContain('millrace reset');
  });
});

test.each([
  ['inputs', topic('others', { value: json<Order>() }), out],
  ['outputs', orders, topic('elsewhere', { value: json() })],
])('two flows of one name with different %s', async (_, from, to) => {
  await inWorld(async (world) => {
    await world.create('others', 2);
    const first = await running(world, ids);
    const second = world.start(
      plain('f', (f) => {
        f.read(from).write(to);
      }),
      { dataDirectory: '/data/two' },
    );
    const error = await failureOf(second);
    expect(error.code).toBe('ML_FLOW_CHANGED');
    expect(error.message).toContain("the group 'f' run another version of the flow, or another");
    await world.send('orders', 0, [order(3)]);
    await world.send('orders', 1, [order(4)]);
    expect((await world.values('out', 4)).toSorted()).toEqual(['1', '2', '3', '4']);
    await first.stop();
    await first.done;
  });
});

test('an accumulator that is a promise is named', async () => {
  const asynchronous = flow('f', (f) => {
    f.readKeyed(orders)
      .aggregate('sums', { init: () => 0, add: (() => Promise.resolve(1)) as () => never })
      .mapValues(() => 1)
      .write(out);
  });
  await inWorld(async (world) => {
    await world.create('orders', 2);
    await world.send('orders', 1, [order(1)]);
    const error = await failureOf(world.start(asynchronous));
    expect(error.code).toBe('ML_VALUE_INVALID');
    expect(error.message).toMatch(/state of sums for key "o1" cannot be stored: .* promise/);
  });
});

test('more records fail than may be skipped', async () => {
  const failing = flow('f', { onError: skipTo(dead, { recordsMax: 2 }) }, (f) => {
    f.read(orders).map(refuse).write(out);
  });
  await inWorld(async (world) => {
    await world.create('orders', 2);
    await world.send('orders', 1, [order(1), order(2), order(3)]);
    const error = await failureOf(world.start(failing));
    expect(error.code).toBe('ML_TOO_MANY_SKIPPED');
    expect(error.message).toContain('topic orders partition 1 offset 2');
  });
});

test('a record that fails in a later stage has its place there; the topic of dead letters is made', async () => {
  const failing = flow('f', { onError: skipTo(dead) }, (f) => {
    f.read(orders)
      .keyBy(({ id }) => id)
      .reduce('only', refuse)
      .write(out);
  });
  await inWorld(async (world) => {
    await world.create('orders', 2);
    const started = world.start(failing);
    await world.send('orders', 0, [order(1), order(1)]);
    const [letter] = await world.letters('dead', 1);
    expect(letter).toMatchObject({ operator: 'only', record: { id: 1 }, error: 'not this one' });
    expect(letter?.position).toMatch(/^topic f-only-repartition partition [01] offset \d+$/);
    await started.stop();
  });
});

test('times that are ahead of the clock, as far as they may, pass through the topics of the flow', async () => {
  const ahead = NOW_MS + 5 * 3_600_000;
  const settings = { 'message.timestamp.after.max.ms': String(24 * 3_600_000) };
  const timed = flow('f', (f) => {
    f.read(topic('orders', { value: json<Order>(), time: { of: () => ahead } }))
      .keyBy(({ id }) => id)
      .count('counts')
      .write(topic('out', { value: json(), create: { configs: settings } }));
  });
  await inWorld(async (world) => {
    await world.create('orders', 1);
    const started = world.start(timed);
    await world.send('orders', 0, [order(1), order(1)]);
    expect(await world.values('out', 2)).toEqual(['1', '2']);
    await started.stop();
    await started.done;
  });
});

test('records without a key are counted together, and joined to nothing', async () => {
  const keyless = flow('f', (f) => {
    const keyed = f.read(orders).keyBy(({ id }) => (id === 0 ? undefined : id));
    keyed.count('counts').write(topic('counts', { key: json(), value: json() }));
    keyed.join('both', keyed, (left) => left.id, { within: 0 }).write(out);
  });
  await inWorld(async (world) => {
    await world.create('orders', 1);
    await world.create('out', 1);
    const started = world.start(keyless);
    await world.send('orders', 0, [order(0), order(1), order(0)]);
    expect((await world.values('counts', 3)).toSorted()).toEqual(['1', '1', '2']);
    expect(await world.values('out', 1)).toEqual(['1']);
    await started.stop();
    await started.done;
  });
});
