/** What a connection publishes, against queues whose durability the test decides. */
import { expect, test } from 'vitest';
import { Background } from '../../core/background.ts';
import { realEnv } from '../../core/real-env.ts';
import {
  AMQP_TURN_BYTES,
  AMQP_UNCONFIRMED_BYTES_MAX,
  AMQP_UNDURABLE_BYTES_MAX,
} from '../../core/queue-limits.ts';
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import { NO_PROPERTIES, type QueueMessage } from '../../broker/queues/message.ts';
import type { Queue, QueueAppended } from '../../broker/queues/queue.ts';
import { DirectReplies } from './direct-replies.ts';
import type { Output } from './output.ts';
import { PendingConfirms } from './pending-confirms.ts';
import { PublishTurns } from './publish-turns.ts';
import { Publisher, type PublishingChannel } from './publisher.ts';

/** Of a record to a queue of one of these names, beside its body, at least. */
const RECORD_BYTES = 100;

class World {
  /** In the order in which the client hears of it. */
  readonly told: string[] = [];
  readonly appended: number[] = [];
  pressures = 0;
  diskFulls = 0;
  refuse: readonly number[] = [];
  reason: QueueAppended['reason'] = 'full';
  readonly resolvers: (() => void)[] = [];
  readonly failures: unknown[] = [];
  readonly turns: PublishTurns;
  readonly publisher: Publisher;
  private readonly background = new Background((error) => this.failures.push(error));

  constructor(turns = new PublishTurns(realEnv())) {
    this.turns = turns;
    const queue = {
      append: (messages: readonly QueueMessage[]): QueueAppended => {
        this.appended.push(messages.length);
        const durable = new Promise<void>((resolve) => this.resolvers.push(resolve));
        const { refuse } = this;
        return { refused: refuse, reason: refuse.length > 0 ? this.reason : undefined, durable };
      },
    } as unknown as Queue;
    const many = Array.from({ length: 100 }, () => ({ ...queue }));
    const vhost = {
      route: ({ routingKey }: QueueMessage) =>
        routingKey === 'closed'
          ? { ok: false, error: 'NOT_FOUND', message: 'no exchange' }
          : {
              ok: true,
              value: routingKey === 'nowhere' ? [] : routingKey === 'many' ? many : [queue],
            },
    } as unknown as VirtualHost;
    const output = {
      content: (_: number, { name }: { readonly name: string }) => this.told.push(name),
      schedule: () => this.publisher.tellConfirms(),
    } as unknown as Output;
    this.publisher = new Publisher({
      vhost,
      output,
      replies: new DirectReplies(realEnv().random),
      background: this.background,
      turns: this.turns,
      onPressure: () => this.pressures++,
      onDiskFull: () => this.diskFulls++,
    });
  }

  channel(): PublishingChannel {
    return {
      number: 1,
      isOpen: true,
      mode: 'confirm',
      publishTag: 0,
      confirms: new PendingConfirms((tag, { ok, multiple }) => {
        this.told.push(`${ok ? 'ack' : 'nack'} ${tag}${multiple ? ' multiple' : ''}`);
      }),
    };
  }

  /** What was appended first, or all, is durable. */
  async sync(count = this.resolvers.length): Promise<void> {
    for (const resolve of this.resolvers.splice(0, count)) resolve();
    await new Promise(setImmediate);
  }
}

function message(routingKey: string, bytes = 1): QueueMessage {
  const body = Buffer.alloc(bytes);
  return { key: null, exchange: '', routingKey, properties: NO_PROPERTIES, body, timestampMs: 0 };
}

test('messages of a chunk are one append and one confirm, when they are durable', async () => {
  const world = new World();
  const channel = world.channel();
  for (let count = 0; count < 5; count++) world.publisher.add(channel, message('q'), false);
  world.publisher.commit();
  await new Promise(setImmediate);
  expect(world.appended).toEqual([5]);
  expect(world.told).toEqual([]);
  await world.sync();
  expect(world.told).toEqual(['ack 5 multiple']);
});

test('what leads nowhere comes back before it is confirmed, and its confirm waits its turn', async () => {
  const world = new World();
  const channel = world.channel();
  world.publisher.add(channel, message('q'), false);
  world.publisher.commit();
  world.publisher.add(channel, message('nowhere'), true);
  world.publisher.commit();
  expect(world.told).toEqual(['basic.return']);
  await world.sync();
  expect(world.told).toEqual(['basic.return', 'ack 2 multiple']);
});

test('what a queue refuses is told by a nack, also when others went before it in the chunk', async () => {
  const world = new World();
  const channel = world.channel();
  world.refuse = [1, 3];
  for (const key of ['nowhere', 'q', 'q', 'q', 'q'])
    world.publisher.add(channel, message(key), false);
  world.publisher.commit();
  await world.sync();
  expect(world.told).toEqual(['ack 2 multiple', 'nack 3', 'ack 4', 'nack 5']);
});

test('a full disk is told of at once', async () => {
  const world = new World();
  world.refuse = [0];
  world.reason = 'disk-full';
  world.publisher.add(world.channel(), message('q'), false);
  world.publisher.commit();
  expect(world.diskFulls).toBe(1);
  await world.sync();
});

test('channels are confirmed each for itself', async () => {
  const world = new World();
  const [one, other] = [world.channel(), world.channel()];
  world.publisher.add(one, message('q'), false);
  world.publisher.add(other, message('q'), false);
  world.publisher.add(one, message('q'), false);
  world.publisher.commit();
  await world.sync();
  expect(world.told).toEqual(['ack 2 multiple', 'ack 1']);
});

test('an exchange that is not there ends the channel; what came before is published', async () => {
  const world = new World();
  const channel = world.channel();
  world.publisher.add(channel, message('q'), false);
  expect(() => world.publisher.add(channel, message('closed'), false)).toThrow('NOT_FOUND');
  world.publisher.commit();
  expect(world.appended).toEqual([1]);
  await world.sync();
});

test('more than the bound on its way to the disk is full, until it is there', async () => {
  const world = new World();
  const channel = world.channel();
  const bytes = AMQP_UNCONFIRMED_BYTES_MAX / 4;
  for (let count = 0; count < 4; count++) {
    expect(world.publisher.isFull).toBe(false);
    world.publisher.add(channel, message('q', bytes), false);
    world.publisher.commit();
  }
  expect(world.publisher.isFull).toBe(true);
  expect(world.pressures).toBe(1);
  await world.sync(1);
  expect(world.publisher.isFull).toBe(false);
  expect(world.pressures).toBe(2);
  await world.sync();
  expect(world.failures).toEqual([]);
});

test('a transaction is published at once, after what was published before', async () => {
  const world = new World();
  const channel = world.channel();
  world.publisher.add(channel, message('q'), false);
  const staged = ['q', 'q', 'nowhere'].map((key) => ({ message: message(key), mandatory: true }));
  world.refuse = [1];
  const published = world.publisher.publishNow(channel, staged);
  expect(world.appended).toEqual([1, 2]);
  expect(world.told).toEqual(['basic.return']);
  expect(published.refused).toBe(1);
  await world.sync();
  await published.durable;
});

test('what goes to many queues counts as often', async () => {
  const world = new World();
  world.publisher.add(world.channel(), message('many', AMQP_UNCONFIRMED_BYTES_MAX / 64), false);
  world.publisher.commit();
  expect(world.publisher.isFull).toBe(true);
  await world.sync();
  expect(world.publisher.isFull).toBe(false);
});

test('what all connections have on its way to the disk is bounded, and those who wait are not read', async () => {
  const turns = new PublishTurns(realEnv());
  const large = message('q', AMQP_UNCONFIRMED_BYTES_MAX);
  const worlds: World[] = [];
  while (!turns.isOver) {
    const world = new World(turns);
    world.publisher.add(world.channel(), large, false);
    world.publisher.commit();
    worlds.push(world);
  }
  expect(worlds.length).toBe(AMQP_UNDURABLE_BYTES_MAX / AMQP_UNCONFIRMED_BYTES_MAX);
  const { publisher } = new World(turns);
  expect(publisher.mustWait).toBe(true);
  let isGranted = false;
  const granted = publisher.nextTurn().then(() => (isGranted = true));
  expect(publisher.isFull).toBe(true);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(isGranted).toBe(false);
  await worlds[0]?.sync();
  await granted;
  expect(publisher.isFull).toBe(false);
  for (const world of worlds) await world.sync();
});

test('copies of a turn are bounded, and those who wait go on one after the other', async () => {
  const world = new World();
  const { publisher, turns } = world;
  let messages = 0;
  for (; !turns.isOver; messages++) publisher.add(world.channel(), message('many', 1_000), false);
  publisher.commit();
  expect(messages).toBe(Math.ceil(AMQP_TURN_BYTES / (99 * (1_000 + RECORD_BYTES))));
  const order: number[] = [];
  const waiting = [0, 1, 2].map(async (each) => {
    await publisher.nextTurn();
    order.push(each);
    expect(turns.isOver).toBe(false);
    turns.spend(AMQP_TURN_BYTES);
  });
  await Promise.all(waiting);
  expect(order).toEqual([0, 1, 2]);
  await world.sync();
});

test('a message to one queue is no copy', () => {
  const { publisher, turns } = new World();
  publisher.add(new World().channel(), message('q', 2 * AMQP_TURN_BYTES), false);
  expect(turns.isOver).toBe(false);
});

test('what says nothing takes room on the disk all the same', async () => {
  const world = new World();
  const channel = world.channel();
  let messages = 0;
  for (; !world.publisher.isFull && messages < 10_000; messages++) {
    world.publisher.add(channel, message('many', 0), false);
    if (messages % 100 === 99) world.publisher.commit();
  }
  expect(messages * 100 * 60).toBeLessThanOrEqual(2 * AMQP_UNCONFIRMED_BYTES_MAX);
  await world.sync();
});
