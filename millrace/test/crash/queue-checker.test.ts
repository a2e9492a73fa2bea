/** The checker of queues finds what it is there for, and lets be what may be. */
import { expect, test } from 'vitest';
import { checkQueueHistory, type QueueCheckOptions } from './queue-checker.ts';
import type { QueueEvent } from './queue-history.ts';

const publish = (id: string, sequence = 0, queue = 'q'): QueueEvent => ({
  kind: 'publish',
  id,
  queue,
  producer: 'p',
  sequence,
});
const confirm = (id: string): QueueEvent => ({ kind: 'confirm', id });
const deliver = (id: string, more: Partial<Extract<QueueEvent, { kind: 'deliver' }>> = {}) =>
  ({
    kind: 'deliver',
    id,
    queue: 'q',
    consumer: 'c',
    redelivered: false,
    intact: true,
    ...more,
  }) as const;
const settle = (kind: 'accept' | 'release' | 'reject', id: string, queue = 'q'): QueueEvent => ({
  kind,
  id,
  queue,
  consumer: 'c',
});
const left = (id: string, more: Partial<Extract<QueueEvent, { kind: 'left' }>> = {}) =>
  ({ kind: 'left', id, queue: 'q', redelivered: false, intact: true, ...more }) as const;
const crash: QueueEvent = { kind: 'crash', power: true };

function names(events: readonly QueueEvent[], options: QueueCheckOptions = {}): string[] {
  const timed = events.map((event, index) => ({ ...event, atMs: index * 100 }));
  return checkQueueHistory(timed, options).anomalies.map(({ name }) => name);
}

const DEAD: QueueCheckOptions = { deadLetters: { q: 'dead' } };

test.each<[string, readonly QueueEvent[], QueueCheckOptions]>([
  ['accepted', [publish('a'), confirm('a'), deliver('a'), settle('accept', 'a')], {}],
  ['left', [publish('a'), confirm('a'), left('a')], {}],
  ['never confirmed, and gone', [publish('a')], {}],
  ['never confirmed, and there', [publish('a'), left('a')], {}],
  ['refused', [publish('a'), { kind: 'refuse', id: 'a' }], {}],
  [
    'released, and redelivered',
    [publish('a'), deliver('a'), settle('release', 'a'), deliver('a', { redelivered: true })],
    {},
  ],
  [
    'with somebody at the crash, and redelivered',
    [publish('a'), confirm('a'), deliver('a'), crash, left('a', { redelivered: true })],
    {},
  ],
  [
    'accepted just before the crash, and redelivered',
    [publish('a'), deliver('a'), settle('accept', 'a'), crash, left('a', { redelivered: true })],
    { forgetsMs: 150 },
  ],
  [
    'rejected, and a dead letter',
    [
      publish('a'),
      confirm('a'),
      deliver('a'),
      settle('reject', 'a'),
      deliver('a', { queue: 'dead' }),
      settle('accept', 'a', 'dead'),
    ],
    DEAD,
  ],
  [
    'a dead letter twice after a crash',
    [
      publish('a'),
      deliver('a'),
      settle('reject', 'a'),
      deliver('a', { queue: 'dead' }),
      crash,
      left('a', { queue: 'dead' }),
    ],
    DEAD,
  ],
  [
    'rejected where dead letters go nowhere',
    [publish('a'), confirm('a'), deliver('a'), settle('reject', 'a')],
    {},
  ],
])('%s: is as it may be', (_name, events, options) => {
  expect(names(events, options)).toEqual([]);
});

test.each<[string, readonly QueueEvent[], QueueCheckOptions]>([
  ['lost', [publish('a'), confirm('a')], {}],
  ['lost', [publish('a'), confirm('a'), deliver('a')], {}],
  ['lost', [publish('a'), confirm('a'), deliver('a'), settle('release', 'a')], {}],
  ['lost', [publish('a'), confirm('a'), deliver('a'), settle('reject', 'a')], DEAD],
  ['unexpected', [deliver('x')], {}],
  ['unexpected', [left('x')], {}],
  ['damaged', [publish('a'), deliver('a', { intact: false })], {}],
  [
    'duplicate-not-flagged',
    [publish('a'), deliver('a'), settle('release', 'a'), deliver('a', { consumer: 'd' })],
    {},
  ],
  ['duplicate-not-flagged', [publish('a'), deliver('a'), crash, left('a')], {}],
  [
    'delivered-after-accept',
    [publish('a'), deliver('a'), settle('accept', 'a'), left('a', { redelivered: true })],
    {},
  ],
  [
    'delivered-after-accept',
    [
      publish('a'),
      deliver('a'),
      settle('accept', 'a'),
      publish('b'),
      crash,
      left('a', { redelivered: true }),
    ],
    { forgetsMs: 150 },
  ],
  ['out-of-order', [publish('a', 1), publish('b', 2), deliver('b'), deliver('a')], {}],
  [
    'held-twice',
    [publish('a'), deliver('a'), deliver('a', { consumer: 'd', redelivered: true })],
    {},
  ],
])('%s is noticed', (name, events, options) => {
  expect(names(events, options)).toEqual([name]);
});

test('two consumers need not agree on an order', () => {
  const events = [
    publish('a', 1),
    publish('b', 2),
    deliver('b'),
    deliver('a', { consumer: 'other' }),
  ];
  expect(names(events)).toEqual([]);
});
