/** Dead letters, rule by rule. */
import { expect, test } from 'vitest';
import {
  ANYBODY,
  declared,
  type FakeHosts,
  type FakeQueue,
  message,
  valueOf,
  withFakeHosts,
} from '../../../test/exchanges/fake-queue.ts';
import { type FieldTable, FieldTimestamp } from '../../wire/amqp/field-table.ts';
import {
  type BasicProperties,
  decodeProperties,
  encodeProperties,
} from '../../wire/amqp/properties.ts';
import type { QueueMessage } from '../queues/message.ts';

/** A queue that sends its dead letters to a queue of this name. */
async function declare(
  { vhost, queue }: FakeHosts,
  name: string,
  to: string | undefined,
  change: FieldTable = {},
): Promise<FakeQueue> {
  const table =
    to === undefined ? {} : { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': to };
  valueOf(
    await vhost.declareQueue(declared(name, { arguments: { ...table, ...change } }), ANYBODY),
  );
  return queue(name);
}

function put(queue: FakeQueue, properties: BasicProperties = {}, change = {}): QueueMessage {
  const published = {
    ...message('', queue.name),
    properties: encodeProperties(properties),
    ...change,
  };
  queue.append([published]);
  return published;
}

function lastOf(queue: FakeQueue): BasicProperties & { readonly headers: FieldTable } {
  const properties = decodeProperties(queue.messages.at(-1)?.properties ?? Buffer.alloc(0));
  return { ...properties, headers: { ...properties.headers } };
}

function deathsOf(queue: FakeQueue): readonly FieldTable[] {
  return (lastOf(queue).headers['x-death'] ?? []) as readonly FieldTable[];
}

test('a dead letter tells where and why it died, and keeps the rest of what it was', async () => {
  await withFakeHosts(async (fake) => {
    const to = await declare(fake, 'to', undefined);
    const from = await declare(fake, 'from', undefined, { 'x-dead-letter-exchange': 'amq.fanout' });
    const destination = { kind: 'queue', name: 'to' } as const;
    await fake.vhost.bind(
      { source: 'amq.fanout', destination, routingKey: '', arguments: {} },
      ANYBODY,
    );
    const headers = { CC: ['copy'], foo: 1, 'x-delay': 500 };
    put(
      from,
      { headers, priority: 3, deliveryMode: 2, expiration: '60000' },
      { key: Buffer.from('k'), exchange: 'amq.topic', routingKey: 'a.b' },
    );
    expect(from.bury('rejected')).toBe('moved');
    const { headers: found, ...properties } = lastOf(to);
    expect(properties).toEqual({ priority: 3, deliveryMode: 2 });
    const seconds = Math.floor(fake.env.clock.nowMs() / 1000);
    expect(found).toEqual({
      CC: ['copy'],
      foo: 1,
      'x-death': [
        {
          count: 1,
          reason: 'rejected',
          queue: 'from',
          time: new FieldTimestamp(seconds),
          exchange: 'amq.topic',
          'routing-keys': ['a.b', 'copy'],
          'original-expiration': '60000',
        },
      ],
      'x-first-death-reason': 'rejected',
      'x-first-death-queue': 'from',
      'x-first-death-exchange': 'amq.topic',
      'x-last-death-reason': 'rejected',
      'x-last-death-queue': 'from',
      'x-last-death-exchange': 'amq.topic',
    });
    expect(to.messages[0]).toMatchObject({
      key: Buffer.from('k'),
      exchange: 'amq.fanout',
      routingKey: 'a.b',
    });
  });
});

test('a routing key of the queue replaces those of the message, copies too', async () => {
  await withFakeHosts(async (fake) => {
    const to = await declare(fake, 'to', undefined);
    const copy = await declare(fake, 'copy', undefined);
    const from = await declare(fake, 'from', 'to');
    put(from, { headers: { CC: ['copy'] } });
    expect(from.bury('expired')).toBe('moved');
    expect(copy.messages).toEqual([]);
    expect(lastOf(to).headers['CC']).toBeUndefined();
    expect(deathsOf(to)[0]?.['routing-keys']).toEqual(['from', 'copy']);
  });
});

test('without one it goes with its own keys, copies too', async () => {
  await withFakeHosts(async (fake) => {
    const from = await declare(fake, 'from', undefined, { 'x-dead-letter-exchange': '' });
    const copy = await declare(fake, 'copy', undefined);
    put(from, { headers: { CC: ['copy'] } }, { routingKey: 'nobody' });
    expect(from.bury('maxlen')).toBe('moved');
    expect(copy.messages).toHaveLength(1);
  });
});

test('a second death in the same place is counted; the last comes first', async () => {
  await withFakeHosts(async (fake) => {
    const one = await declare(fake, 'one', 'two');
    const two = await declare(fake, 'two', 'one');
    put(one);
    for (let round = 1; round <= 3; round++) {
      expect(one.bury('expired')).toBe('moved');
      const found = deathsOf(two).map(({ queue, reason, count }) => [queue, reason, count]);
      const before = round === 1 ? [] : [['two', 'rejected', round - 1]];
      expect(found).toEqual([['one', 'expired', round], ...before]);
      expect(lastOf(two).headers).toMatchObject({
        'x-first-death-queue': 'one',
        'x-last-death-queue': 'one',
      });
      expect(two.bury('rejected')).toBe('moved');
    }
    expect(deathsOf(one)[0]).toMatchObject({ queue: 'two', count: 3 });
    expect(lastOf(one).headers).toMatchObject({
      'x-first-death-queue': 'one',
      'x-last-death-queue': 'two',
    });
  });
});

test('a circle in which nobody rejects is left', async () => {
  await withFakeHosts(async (fake) => {
    const one = await declare(fake, 'one', 'two');
    const two = await declare(fake, 'two', 'one');
    put(one);
    expect(one.bury('expired')).toBe('moved');
    expect(two.bury('maxlen')).toBe('nowhere');
    expect([one.messages, two.messages]).toEqual([[], []]);
  });
});

test('a queue does not get its own dead letters, unless they were rejected', async () => {
  await withFakeHosts(async (fake) => {
    const self = await declare(fake, 'self', 'self');
    put(self);
    expect(self.bury('rejected')).toBe('moved');
    expect(self.messages).toHaveLength(1);
    expect(self.bury('delivery_limit')).toBe('nowhere');
    expect(self.messages).toHaveLength(0);
  });
});

test('only the queue that closes the circle is left out', async () => {
  await withFakeHosts(async (fake) => {
    const one = await declare(fake, 'one', undefined, { 'x-dead-letter-exchange': 'amq.fanout' });
    const two = await declare(fake, 'two', undefined);
    for (const name of ['one', 'two'])
      await fake.vhost.bind(
        {
          source: 'amq.fanout',
          destination: { kind: 'queue', name },
          routingKey: '',
          arguments: {},
        },
        ANYBODY,
      );
    put(one);
    expect(one.bury('expired')).toBe('moved');
    expect([one.messages.length, two.messages.length]).toEqual([0, 1]);
  });
});

test('there may be nowhere to go', async () => {
  await withFakeHosts(async (fake) => {
    const plain = await declare(fake, 'plain', undefined);
    const lost = await declare(fake, 'lost', 'nobody');
    const gone = await declare(fake, 'gone', undefined, { 'x-dead-letter-exchange': 'none' });
    for (const queue of [plain, lost, gone]) {
      put(queue);
      expect(queue.bury('rejected')).toBe('nowhere');
    }
  });
});

test('a full queue drops a dead letter, a full disk keeps it where it is', async () => {
  await withFakeHosts(async (fake) => {
    const to = await declare(fake, 'to', undefined);
    const from = await declare(fake, 'from', 'to');
    put(from);
    to.answer = () => ({ refused: [0], reason: 'disk-full', durable: undefined });
    expect(from.bury('rejected')).toBe('refused');
    expect(from.messages).toHaveLength(1);
    to.answer = () => ({ refused: [0], reason: 'full', durable: undefined });
    expect(from.bury('rejected')).toBe('nowhere');
  });
});

test('at least once: what has nowhere to go stays where it is, but for what goes in a circle', async () => {
  await withFakeHosts(async (fake) => {
    const [one, other] = [
      await declare(fake, 'one', undefined),
      await declare(fake, 'other', undefined),
    ];
    const strategy = {
      'x-queue-type': 'quorum',
      'x-dead-letter-exchange': 'later',
      'x-dead-letter-strategy': 'at-least-once',
    };
    const quorum = declared('from', { durable: true, arguments: strategy });
    valueOf(await fake.vhost.declareQueue(quorum, ANYBODY));
    const from = fake.queue('from');
    put(from);
    expect(from.bury('rejected')).toBe('refused');
    await fake.vhost.declareExchange({
      name: 'later',
      type: 'fanout',
      passive: false,
      durable: false,
      autoDelete: false,
      internal: false,
      arguments: {},
    });
    expect(from.bury('rejected')).toBe('refused');
    const bind = async (name: string) => {
      const destination = { kind: 'queue', name } as const;
      await fake.vhost.bind(
        { source: 'later', destination, routingKey: '', arguments: {} },
        ANYBODY,
      );
    };
    await bind('one');
    await bind('other');
    other.hasRoom = false;
    expect(from.bury('rejected')).toBe('refused');
    expect(from.bury('expired')).toBe('refused');
    expect([one.messages, other.messages, from.messages].map(({ length }) => length)).toEqual([
      0, 0, 1,
    ]);
    other.hasRoom = true;
    expect(from.bury('rejected')).toBe('moved');
    expect([one.messages, other.messages].map(({ length }) => length)).toEqual([1, 1]);
    other.hasRoom = false;
    other.answer = () => ({ refused: [0], reason: 'full', durable: undefined });
    put(from);
    expect(from.bury('maxlen')).toBe('moved');
    expect([one.messages, other.messages].map(({ length }) => length)).toEqual([2, 1]);
    const always = { ifUnused: false, ifEmpty: false };
    await fake.vhost.deleteQueue('one', ANYBODY, always);
    await fake.vhost.deleteQueue('other', ANYBODY, always);
    await bind('from');
    put(from);
    expect(from.bury('expired')).toBe('nowhere');
  });
});

test('an exchange that is internal takes dead letters', async () => {
  await withFakeHosts(async (fake) => {
    const to = await declare(fake, 'to', undefined);
    const from = await declare(fake, 'from', undefined, { 'x-dead-letter-exchange': 'inside' });
    await fake.vhost.declareExchange({
      name: 'inside',
      type: 'fanout',
      passive: false,
      durable: false,
      autoDelete: false,
      internal: true,
      arguments: {},
    });
    const destination = { kind: 'queue', name: 'to' } as const;
    await fake.vhost.bind(
      { source: 'inside', destination, routingKey: '', arguments: {} },
      ANYBODY,
    );
    put(from);
    expect(from.bury('rejected')).toBe('moved');
    expect(to.messages).toHaveLength(1);
  });
});

test('types of numbers stay, and how often it died is a long, again and again', async () => {
  await withFakeHosts(async (fake) => {
    const to = await declare(fake, 'to', undefined);
    const from = await declare(fake, 'from', 'to');
    // Equal for us, and not for a client in which numbers have types: a double of 10, a long of 7.
    const ten = Buffer.from('\x03tend\x40\x24\0\0\0\0\0\0', 'latin1');
    const seven = Buffer.from('\x05sevenl\0\0\0\0\0\0\0\x07', 'latin1');
    const head = Buffer.of(0x20, 0, 0, 0, 0, ten.length + seven.length);
    put(from, {}, { properties: Buffer.concat([head, ten, seven]) });
    for (const times of [1, 2]) {
      expect(from.bury('rejected')).toBe('moved');
      const properties = to.messages.at(-1)?.properties ?? Buffer.alloc(0);
      expect(properties.includes(ten)).toBe(true);
      expect(properties.includes(seven)).toBe(true);
      const long = Buffer.of(0, 0, 0, 0, 0, 0, 0, times);
      expect(properties.includes(Buffer.concat([Buffer.from('\x05countl'), long]))).toBe(true);
      put(from, {}, { properties });
    }
  });
});

test('headers and properties that are none are no reason to lose a message', async () => {
  await withFakeHosts(async (fake) => {
    const to = await declare(fake, 'to', undefined);
    const from = await declare(fake, 'from', 'to');
    put(from, { headers: { 'x-death': 'no list' } });
    put(from, { headers: { 'x-death': ['no table', { queue: 5 }, { queue: 'x', reason: 'y' }] } });
    put(from, {}, { properties: Buffer.from([0x20, 0, 0xff, 0xff, 0xff]) });
    put(from, { headers: { 'x-death': [{ queue: 'from', reason: 'rejected', count: 'many' }] } });
    const found = [1, 2, 3, 4].map(() => {
      expect(from.bury('rejected')).toBe('moved');
      return deathsOf(to).map(({ queue, count }) => [queue, count]);
    });
    const first = [['from', 1]];
    expect(found).toEqual([
      first,
      [
        ['from', 1],
        ['x', undefined],
      ],
      first,
      first,
    ]);
  });
});
