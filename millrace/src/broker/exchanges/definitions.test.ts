/** Definitions and topics: what comes back after a restart, and what Kafka clients do to queues. */
import { expect, test, vi } from 'vitest';
import {
  ANYBODY,
  declared,
  type FakeHosts,
  openFakeHosts,
  valueOf,
  withFakeHosts,
} from '../../../test/exchanges/fake-queue.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import { FieldTimestamp, type FieldTable } from '../../wire/amqp/field-table.ts';
import { HostedQueue } from './binding-ends.ts';
import { formatQueueDefinition } from './queue-definition.ts';
import { queueTopicNames } from './queue-topic.ts';
import type { Binding } from './virtual-host.ts';

function toQueue(source: string, queue: string, table: FieldTable = {}): Binding {
  return {
    source,
    destination: { kind: 'queue', name: queue },
    routingKey: 'k',
    arguments: table,
  };
}

const EXCHANGE = { passive: false, durable: true, autoDelete: false, internal: false };
const UNCONDITIONAL = { ifUnused: false, ifEmpty: false };

/** Runs the programs one after the other, each after a restart. */
async function withRestarts(...programs: ((fake: FakeHosts) => Promise<void>)[]): Promise<void> {
  const machine = new SimMachine(1);
  let env = machine.boot();
  for (const program of programs) {
    await machine.run(
      (async () => {
        const fake = await openFakeHosts(env);
        await program(fake);
        await fake.close();
      })(),
    );
    env = machine.reboot();
  }
}

test('what is durable comes back as it was; what is not does not', async () => {
  const odd = { 'x-max-length': 5, big: 2n ** 60n, at: new FieldTimestamp(7), __proto__x: [null] };
  await withRestarts(
    async ({ vhost, hosts, topics }) => {
      await topics.create({ name: 'events', partitions: 3, overrides: {} });
      const table = { 'alternate-exchange': 'amq.fanout', 'x-delayed-type': 'topic' };
      const type = 'x-delayed-message';
      valueOf(await vhost.declareExchange({ ...EXCHANGE, name: 'a/b', type, arguments: table }));
      valueOf(
        await vhost.declareExchange({
          ...EXCHANGE,
          name: 'gone',
          type: 'fanout',
          durable: false,
          arguments: {},
        }),
      );
      valueOf(
        await vhost.declareQueue(declared('kept', { durable: true, arguments: odd }), ANYBODY),
      );
      valueOf(await vhost.declareQueue(declared('gone'), ANYBODY));
      const over = { 'x-source-topic': 'events', 'x-source-offset': 'first' };
      valueOf(
        await vhost.declareQueue(declared('over', { durable: true, arguments: over }), ANYBODY),
      );
      const exchanges: Binding = {
        source: 'amq.topic',
        destination: { kind: 'exchange', name: 'a/b' },
        routingKey: '#',
        arguments: {},
      };
      for (const binding of [
        exchanges,
        toQueue('a/b', 'kept', { x: [1, { y: null }] }),
        toQueue('a/b', 'gone'),
        toQueue('gone', 'kept'),
      ])
        valueOf(await vhost.bind(binding, ANYBODY));
      await hosts.create('other/ä');
      const other = hosts.get('other/ä');
      valueOf(await (other ?? vhost).declareQueue(declared('kept', { durable: true }), ANYBODY));
    },
    ({ vhost, hosts, logger, queue }) => {
      expect(
        vhost
          .queues()
          .map(({ queue }) => queue.name)
          .sort(),
      ).toEqual(['kept', 'over']);
      const [kept] = vhost.queues().filter(({ queue }) => queue.name === 'kept');
      expect(kept?.arguments).toEqual(odd);
      expect(kept?.settings.maxLength).toBe(5);
      expect(kept?.queue.topic).toBe('queue.kept');
      expect(queue('over').logs).toHaveLength(3);
      expect(queue('over').settings.sourceOffset).toBe('first');
      expect(vhost.exchange('gone')).toBeUndefined();
      expect(vhost.exchange('a/b')).toMatchObject({
        type: 'topic',
        declaredType: 'x-delayed-message',
        durable: true,
        alternate: 'amq.fanout',
      });
      expect(vhost.bindings().map(({ source, destination }) => [source, destination.name])).toEqual(
        [
          ['amq.topic', 'a/b'],
          ['a/b', 'kept'],
        ],
      );
      expect(vhost.bindings()[1]?.arguments).toEqual({ x: [1, { y: null }] });
      expect(hosts.get('other/ä')?.queues()).toHaveLength(1);
      expect(logger.lines.filter(({ level }) => level === 'warn')).toEqual([]);
      return Promise.resolve();
    },
    async ({ vhost, hosts }) => {
      valueOf(await vhost.deleteQueue('kept', ANYBODY, UNCONDITIONAL));
      valueOf(await vhost.deleteQueue('over', ANYBODY, UNCONDITIONAL));
      valueOf(await vhost.deleteExchange('a/b', { ifUnused: false }));
      expect(await hosts.delete('other/ä')).toBeUndefined();
      expect((await hosts.delete('other/ä'))?.error).toBe('NOT_FOUND');
    },
    ({ vhost, hosts, topics, metadata }) => {
      expect(vhost.queues()).toEqual([]);
      expect(vhost.bindings()).toEqual([]);
      expect(hosts.all().map(({ name }) => name)).toEqual(['/']);
      expect(topics.all().map(({ name }) => name)).toEqual(['events']);
      for (const prefix of ['vhost/', 'exchange/', 'binding/', 'queue/'])
        expect(metadata.entries(prefix)).toEqual([]);
      return Promise.resolve();
    },
  );
});

test('a binding whose queue is gone is dropped at start, and that is told', async () => {
  await withRestarts(
    async ({ vhost, hosts, topics }) => {
      valueOf(await vhost.declareQueue(declared('q', { durable: true }), ANYBODY));
      valueOf(await vhost.bind(toQueue('amq.direct', 'q'), ANYBODY));
      // The topic goes while nobody looks.
      await hosts.close();
      const topic = topics.get('queue.q');
      if (topic !== undefined) await topics.delete(topic);
    },
    async ({ vhost, logger, metadata, background }) => {
      await background.settled();
      expect(vhost.bindings()).toEqual([]);
      expect(metadata.entries('binding/')).toEqual([]);
      expect(logger.lines.map(({ message }) => message)).toContain(
        'a binding to something that is gone is dropped',
      );
    },
  );
});

test('states of queues that are gone are removed at start', async () => {
  await withFakeHosts(
    ({ states }) => {
      expect(states.removed).toEqual(['gone-1', 'gone-2']);
      return Promise.resolve();
    },
    ['gone-1', 'gone-2'],
  );
});

function definition(name: string, table: FieldTable = {}, vhost = '/'): string {
  return formatQueueDefinition({ vhost, name, autoDelete: false, arguments: table });
}

test('a topic that is created as a queue is one, and is configured for it', async () => {
  await withRestarts(
    async ({ vhost, topics, queue }) => {
      const overrides = { 'millrace.queue': definition('orders', { 'x-max-length': 9 }) };
      const created = await topics.create({ name: 'any.name', partitions: 1, overrides });
      expect(created.ok).toBe(true);
      expect(valueOf(vhost.queue('orders', ANYBODY))).toMatchObject({
        durable: true,
        settings: { maxLength: 9 },
      });
      expect(queue('orders').topic).toBe('any.name');
      expect(topics.get('any.name')?.config).toMatchObject({ retentionMs: -1, retentionBytes: -1 });
      const again = declared('orders', { durable: true, arguments: { 'x-max-length': 9 } });
      expect((await vhost.declareQueue(again, ANYBODY)).ok).toBe(true);
      const age = { 'x-queue-type': 'stream', 'x-max-age': '2D', 'x-max-length-bytes': 1e9 };
      const stream = { 'millrace.queue': definition('stream', age) };
      await topics.create({ name: 'stream', partitions: 1, overrides: stream });
      expect(topics.get('stream')?.config).toMatchObject({
        retentionMs: 2 * 86_400_000,
        retentionBytes: 1e9,
      });
    },
    async ({ vhost, topics, queue, background, states }) => {
      const orders = queue('orders');
      await vhost.bind(toQueue('amq.direct', 'orders'), ANYBODY);
      const topic = topics.get('any.name');
      if (topic === undefined) throw new Error('restored');
      await topics.delete(topic);
      expect(vhost.queue('orders', ANYBODY).ok).toBe(false);
      await background.settled();
      expect(orders.isClosed).toBe(true);
      expect(vhost.bindings()).toEqual([]);
      expect(states.removed).toEqual([orders.id]);
    },
  );
});

test('a topic that cannot be the queue it says is not created', async () => {
  await withFakeHosts(async ({ vhost, topics }) => {
    await vhost.declareQueue(declared('taken', { durable: true }), ANYBODY);
    const create = async (text: string, partitions = 1, more = {}) => {
      const overrides = { 'millrace.queue': text, ...more };
      const created = await topics.create({ name: 'new', partitions, overrides });
      return created.ok ? 'created' : created.error;
    };
    for (const text of [
      '{',
      'null',
      '[]',
      '{"version":2,"vhost":"/","name":"q"}',
      '{"version":1,"vhost":"/","name":""}',
      '{"version":1,"vhost":"/","name":"q","arguments":{"x-max-length":"many"}}',
      '{"version":1,"vhost":"/","name":"q","arguments":{"a":{"what":1}}}',
      '{"version":1,"vhost":"/","name":"q","arguments":{"x-source-topic":"events"}}',
      definition('q', {}, 'nowhere'),
      definition('taken'),
    ])
      expect(await create(text), text).toBe('INVALID_CONFIG');
    expect(await create(definition('q'), 2)).toBe('INVALID_CONFIG');
    expect(await create(definition('q'), 1, { 'cleanup.policy': 'compact' })).toBe(
      'INVALID_CONFIG',
    );
    expect(topics.get('new')).toBeUndefined();
    expect(await create('')).toBe('created');
  });
});

test('what makes a topic a queue is not altered, and it stays with one partition', async () => {
  await withFakeHosts(async ({ vhost, topics }) => {
    await vhost.declareQueue(declared('q', { durable: true }), ANYBODY);
    const alter = async (change: Record<string, string>, without: readonly string[] = []) => {
      const altered = await topics.alterConfig(
        'queue.q',
        (overrides) => ({
          ok: true,
          value: Object.fromEntries(
            Object.entries({ ...overrides, ...change }).filter(([name]) => !without.includes(name)),
          ),
        }),
        { validateOnly: false },
      );
      return altered.ok ? 'altered' : altered.error;
    };
    expect(await alter({ 'millrace.queue': definition('other') })).toBe('INVALID_CONFIG');
    expect(await alter({}, ['millrace.queue'])).toBe('INVALID_CONFIG');
    expect(await alter({ 'cleanup.policy': 'compact' })).toBe('INVALID_CONFIG');
    expect(await alter({ 'segment.bytes': '1048576' })).toBe('altered');
    expect((await topics.addPartitions('queue.q', 2)).ok).toBe(false);
    await topics.create({ name: 'plain', partitions: 1, overrides: {} });
    const made = await topics.alterConfig(
      'plain',
      () => ({ ok: true, value: { 'millrace.queue': definition('plain') } }),
      { validateOnly: false },
    );
    expect(made.ok).toBe(false);
  });
});

test('a queue over a topic gets its further partitions, and goes with it', async () => {
  await withFakeHosts(async ({ vhost, topics, queue, background, metadata }) => {
    await topics.create({ name: 'events', partitions: 1, overrides: {} });
    const table = { 'x-source-topic': 'events' };
    const over = declared('over', { durable: true, arguments: table });
    valueOf(await vhost.declareQueue(over, ANYBODY));
    const nothing = declared('nothing', { arguments: { 'x-source-topic': 'none' } });
    const refused = await vhost.declareQueue(nothing, ANYBODY);
    expect(refused.ok ? '' : refused.error).toBe('NOT_FOUND');
    const internal = declared('inside', {
      durable: true,
      arguments: { 'x-source-topic': '__queue_state' },
    });
    await topics.getOrCreate('__queue_state');
    expect((await vhost.declareQueue(internal, ANYBODY)).ok).toBe(false);
    expect(metadata.entries('queue/')).toHaveLength(1);
    await topics.addPartitions('events', 3);
    await background.settled();
    expect(queue('over').logs).toEqual(topics.get('events')?.partitions);
    const topic = topics.get('events');
    if (topic !== undefined) await topics.delete(topic);
    await background.settled();
    expect(vhost.queues()).toEqual([]);
    expect(metadata.entries('queue/')).toEqual([]);
  });
});

test('a queue that AMQP and Kafka clients declare at the same time is one', async () => {
  for (const topic of ['queue.q', 'any.name'])
    for (const isFirst of [true, false])
      await withFakeHosts(async ({ vhost, topics, background }) => {
        const create = () => {
          const overrides = { 'millrace.queue': definition('q') };
          return topics.create({ name: topic, partitions: 1, overrides });
        };
        const early = isFirst ? create() : undefined;
        const declaring = vhost.declareQueue(declared('q', { durable: true }), ANYBODY);
        await (early ?? create());
        const { queue } = valueOf(await declaring);
        await background.settled();
        expect(vhost.queues().map((each) => each.queue)).toEqual([queue]);
        expect(topics.all().map(({ id }) => id)).toEqual([queue.id]);
      });
});

test('names that no topic can have get a topic of their own', async () => {
  await withFakeHosts(async ({ vhost, topics, hosts }) => {
    const names = ['plain', 'a/b', 'a-b', 'ä'.repeat(127), 'x'.repeat(255), '..', '😀'];
    for (const name of names)
      valueOf(await vhost.declareQueue(declared(name, { durable: true }), ANYBODY));
    await hosts.create('v');
    valueOf(
      await (hosts.get('v') ?? vhost).declareQueue(declared('plain', { durable: true }), ANYBODY),
    );
    const used = topics.all().map(({ name }) => name);
    expect(new Set(used).size).toBe(names.length + 1);
    expect(used.slice(0, 3)).toEqual(['queue.plain', used[1], 'queue.a-b']);
    expect(used[1]).toMatch(/^queue\.a-b-[0-9a-f]{8}$/);
    expect(used.every((name) => name.length <= 249)).toBe(true);
  });
});

test('a topic of that name that is something else is left alone', async () => {
  await withFakeHosts(async ({ vhost, topics, queue }) => {
    await topics.create({ name: 'queue.q', partitions: 4, overrides: {} });
    valueOf(await vhost.declareQueue(declared('q', { durable: true }), ANYBODY));
    expect(queue('q').topic).toBe(queueTopicNames('/', 'q')[1]);
    valueOf(await vhost.deleteQueue('q', ANYBODY, UNCONDITIONAL));
    expect(topics.all().map(({ name }) => name)).toEqual(['queue.q']);
  });
});

test('a name that is deleted can be declared at once, and many declare it at the same time', async () => {
  await withFakeHosts(async ({ vhost, topics }) => {
    const q = declared('q', { durable: true });
    const made = await Promise.all([1, 2, 3].map(() => vhost.declareQueue(q, ANYBODY)));
    expect(new Set(made.map((outcome) => valueOf(outcome).queue)).size).toBe(1);
    const deleting = vhost.deleteQueue('q', ANYBODY, UNCONDITIONAL);
    const anew = await vhost.declareQueue(q, ANYBODY);
    await deleting;
    expect(valueOf(anew).queue.id).not.toBe(valueOf(made[0] ?? anew).queue.id);
    expect(topics.all()).toHaveLength(1);
  });
});

test('one of many queues is deleted without a look at the others', async () => {
  await withFakeHosts(async ({ vhost, topics }) => {
    const many = Array.from({ length: 50 }, (_, index) => `q${index}`);
    for (const name of many)
      valueOf(await vhost.declareQueue(declared(name, { durable: true }), ANYBODY));
    const looks = vi.spyOn(HostedQueue.prototype, 'settings', 'get');
    valueOf(await vhost.deleteQueue('q7', ANYBODY, UNCONDITIONAL));
    const topic = topics.get('queue.q8');
    if (topic !== undefined) await topics.delete(topic);
    expect(looks.mock.calls.length).toBeLessThan(10);
    looks.mockRestore();
    expect(vhost.queues().map(({ queue }) => queue.name)).toEqual(
      many.filter((name) => name !== 'q7' && name !== 'q8'),
    );
  });
});
