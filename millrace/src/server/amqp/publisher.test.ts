/** What a connection publishes, against queues whose durability the test decides. */
import { expect, test } from 'vitest';
import { Background } from '../../core/background.ts';
import { realEnv } from '../../core/real-env.ts';
import { AMQP_UNCONFIRMED_BYTES_MAX } from '../../core/queue-limits.ts';
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import { NO_PROPERTIES, type QueueMessage } from '../../broker/queues/message.ts';
import type { Queue, QueueAppended } from '../../broker/queues/queue.ts';
import { DirectReplies } from './direct-replies.ts';
import type { Output } from './output.ts';
import { PendingConfirms } from './pending-confirms.ts';
import { Publisher, type PublishingChannel } from './publisher.ts';

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
  readonly publisher: Publisher;
  private readonly background = new Background((error) => this.failures.push(error));

  constructor() {
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
