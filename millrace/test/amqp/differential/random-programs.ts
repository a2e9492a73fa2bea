/**
 * Random programs of AMQP methods, for two brokers to be compared: a few names, so that methods meet each other, and nothing whose outcome
 * is chance in RabbitMQ itself (two consumers of one queue, messages that are confirmed when a timer says so).
 */
import * as fc from 'fast-check';
import type { Fields } from '../raw-amqp.ts';
import type { Script, Step } from './play.ts';

const QUEUES = ['r.a', 'r.b', 'r.c'] as const;
const EXCHANGES = ['r.x', 'r.y'] as const;
const KEYS = ['a', 'a.b', 'b', 'a.b.c', ''] as const;
const PATTERNS = ['a', 'a.*', '#', 'b', '*.b.#'] as const;
/** Who consumes a queue: one channel for each. */
const CHANNELS: Readonly<Record<string, string>> = { 'r.a': 'a1', 'r.b': 'a2', 'r.c': 'a1' };
const TYPES = ['topic', 'direct', 'fanout', 'headers'] as const;

const ARGUMENTS: readonly Fields[] = [
  {},
  {},
  { 'x-max-length': 3 },
  { 'x-max-length': 2, 'x-overflow': 'reject-publish' },
  { 'x-max-priority': 3 },
  { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'r.c' },
  { 'x-max-length': 2, 'x-dead-letter-exchange': 'r.x' },
];

const queue = fc.constantFrom(...QUEUES);
const exchange = fc.constantFrom(...EXCHANGES);
const channel = fc.constantFrom('a1', 'a2');
const tag = fc.integer({ min: 0, max: 8 });
const bool = fc.boolean();

function say(on: string, method: string, fields: Fields = {}): Step {
  return { kind: 'say', on, method, fields };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(queue, fc.constantFrom(...ARGUMENTS))
      .map(([name, args]) => say('a1', 'QueueDeclare', { queue: name, arguments: args })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(exchange, fc.constantFrom(...TYPES))
      .map(([name, type]) => say('a1', 'ExchangeDeclare', { exchange: name, type })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom('QueueBind', 'QueueUnbind'),
        queue,
        exchange,
        fc.constantFrom(...PATTERNS),
      )
      .map(([method, name, source, routingKey]) =>
        say('a1', method, { queue: name, exchange: source, routingKey }),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('ExchangeBind', 'ExchangeUnbind'), fc.constantFrom(...PATTERNS))
      .map(([method, routingKey]) =>
        say('a1', method, { destination: 'r.y', source: 'r.x', routingKey }),
      ),
  },
  {
    weight: 8,
    arbitrary: fc
      .record({
        to: fc.oneof(
          queue.map((name) => ({ exchange: '', routingKey: name })),
          fc
            .tuple(exchange, fc.constantFrom(...KEYS))
            .map(([name, routingKey]) => ({ exchange: name, routingKey })),
        ),
        mandatory: bool,
        priority: fc.constantFrom(undefined, 0, 1, 3, 7),
        body: fc.string({ maxLength: 3 }),
      })
      .map(({ to, mandatory, priority, body }): Step => {
        const properties = priority === undefined ? {} : { priority };
        return { kind: 'publish', on: 'a1', fields: { ...to, mandatory }, properties, body };
      }),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(channel, queue, bool)
      .map(([on, name, noAck]) => say(on, 'BasicGet', { queue: name, noAck })),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(channel, tag, bool)
      .map(([on, deliveryTag, multiple]) => say(on, 'BasicAck', { deliveryTag, multiple })),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(channel, tag, bool, bool)
      .map(([on, deliveryTag, multiple, requeue]) =>
        say(on, 'BasicNack', { deliveryTag, multiple, requeue }),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(queue, bool)
      .map(([name, noAck]) =>
        say(CHANNELS[name] ?? 'a1', 'BasicConsume', { queue: name, consumerTag: name, noAck }),
      ),
  },
  {
    weight: 1,
    arbitrary: queue.map((name) =>
      say(CHANNELS[name] ?? 'a1', 'BasicCancel', { consumerTag: name }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(channel, fc.constantFrom(0, 1, 2))
      .map(([on, prefetchCount]) => say(on, 'BasicQos', { prefetchCount })),
  },
  { weight: 1, arbitrary: channel.map((on) => say(on, 'BasicRecover', { requeue: true })) },
  { weight: 1, arbitrary: queue.map((name) => say('a1', 'QueuePurge', { queue: name })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(queue, bool, bool)
      .map(([name, ifUnused, ifEmpty]) =>
        say('a1', 'QueueDelete', { queue: name, ifUnused, ifEmpty }),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(exchange, bool)
      .map(([name, ifUnused]) => say('a1', 'ExchangeDelete', { exchange: name, ifUnused })),
  },
  {
    weight: 1,
    arbitrary: channel.map((on) => say(on, 'ChannelClose', { replyCode: 200, replyText: '' })),
  },
);

/** The first methods make what the others are about; at the end it is looked at what is left. */
export const program: fc.Arbitrary<Script> = fc
  .tuple(
    fc.tuple(
      fc.constantFrom(...ARGUMENTS),
      fc.constantFrom(...ARGUMENTS),
      fc.constantFrom(...TYPES),
    ),
    fc.array(step, { minLength: 5, maxLength: 25 }),
  )
  .map(([[forA, forB, type], steps]) => [
    say('a1', 'QueueDeclare', { queue: 'r.a', arguments: forA }),
    say('a1', 'QueueDeclare', { queue: 'r.b', arguments: forB }),
    say('a1', 'ExchangeDeclare', { exchange: 'r.x', type }),
    say('a1', 'ConfirmSelect'),
    ...steps,
    ...QUEUES.map((name) => say('b1', 'QueueDeclare', { queue: name, passive: true })),
  ]);
