/** What takes long is cut in pieces: others have their turn, and nothing is forgotten. */
import { afterEach, expect, test, vi } from 'vitest';
import { encodeMethod } from '../../../test/amqp/raw-amqp.ts';
import { answersOf, LOGIN, OPEN } from '../../../test/server-amqp/raw-login.ts';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import type { Delivery, Queue } from '../../broker/queues/queue.ts';
import { WorkQueue } from '../../broker/queues/work-queue.ts';
import type { AmqpChannel } from '../../client/amqp/channel.ts';
import type { Env } from '../../core/env.ts';
import { AMQP_RECEIVE_MS, AMQP_SETTLE_PIECE } from '../../core/queue-limits.ts';
import { SimFileSystem } from '../../core/sim/sim-files.ts';
import { Output } from './output.ts';
import { PublishTurns } from './publish-turns.ts';
import { ReceiveTurns } from './receive-turns.ts';
import { SettleTurns } from './settle-turns.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Turns of an event loop, one for each `run`. */
function turnsOf(): { readonly env: Env; readonly run: () => boolean } {
  let waiting: (() => void)[] = [];
  const timers = { immediate: (callback: () => void) => void waiting.push(callback) };
  const run = (): boolean => {
    const now = waiting;
    waiting = [];
    for (const callback of now) callback();
    return now.length > 0;
  };
  return { env: { timers } as unknown as Env, run };
}

test('who is received when time is up waits for the next turn, and for no other', () => {
  const { env, run } = turnsOf();
  const receiving = new ReceiveTurns(env);
  const went: string[] = [];
  const spend = (who: string, ms: number): boolean => receiving.spend(ms, () => went.push(who));
  expect(spend('a', AMQP_RECEIVE_MS / 2)).toBe(false);
  expect(spend('b', AMQP_RECEIVE_MS / 2)).toBe(true);
  expect(spend('c', 0)).toBe(true);
  expect(went).toEqual([]);
  run();
  expect(went).toEqual(['b', 'c']);
  // Each turn has the whole time.
  expect(spend('a', AMQP_RECEIVE_MS / 2)).toBe(false);
  run();
  expect(spend('a', AMQP_RECEIVE_MS / 2)).toBe(false);
  run();
  expect(run()).toBe(false);
  expect(went).toEqual(['b', 'c']);
});

test('a connection that has to wait is not read until it may go on', async () => {
  await onSimAmqp({}, async ({ env, log, until }) => {
    const connection = log.connectAmqp();
    const answers = answersOf(connection);
    const count = (): number => Buffer.concat(answers).toString('latin1').split(QOS_OK).length - 1;
    connection.write([LOGIN]);
    await until(() => answers.length > 0);
    await env.timers.sleep(1_000);
    connection.write([Buffer.concat([OPEN, QOS])]);
    await until(() => count() === 1);
    let goOn = (): void => {};
    vi.spyOn(ReceiveTurns.prototype, 'spend').mockImplementation((_, next) => {
      goOn = next;
      return true;
    });
    for (let sent = 0; sent < 3; sent++) {
      connection.write([QOS]);
      await env.timers.sleep(1_000);
    }
    expect(count()).toBe(2);
    vi.restoreAllMocks();
    goOn();
    await until(() => count() === 4);
    connection.destroy();
  });
});

const QOS = encodeMethod(1, 'BasicQos', { prefetchCount: 0 });
const QOS_OK = encodeMethod(1, 'BasicQosOk').toString('latin1');

/** A queue that notes of whom it was told, and in which turn. */
function noted(): { readonly queue: Queue; readonly pieces: number[][] } {
  const pieces: number[][] = [];
  const settle = (deliveries: readonly Delivery[]): void => {
    pieces.push(deliveries.map(({ offset }) => offset));
  };
  return { queue: { settle } as unknown as Queue, pieces };
}

function deliveriesOf(queue: Queue, from: number, count: number): Delivery[] {
  return Array.from({ length: count }, (_, index) => ({ queue, offset: from + index }) as Delivery);
}

test('very many messages are settled a piece in a turn, in their order', async () => {
  const { env, run } = turnsOf();
  const { queue, pieces } = noted();
  const settling = new SettleTurns(env);
  const some = AMQP_SETTLE_PIECE / 2;
  expect(settling.settle(deliveriesOf(queue, 0, some), 'release')).toBeUndefined();
  const many = settling.settle(deliveriesOf(queue, some, 2 * AMQP_SETTLE_PIECE), 'release');
  const few = settling.settle(deliveriesOf(queue, some + 2 * AMQP_SETTLE_PIECE, 3), 'release');
  const done: string[] = [];
  const note = async (settled: Promise<void> | undefined, name: string): Promise<void> => {
    await settled;
    done.push(name);
  };
  const watching = [note(many, 'many'), note(few, 'few')];
  expect(pieces.map(({ length }) => length)).toEqual([some]);
  run();
  await Promise.resolve();
  expect(done).toEqual([]);
  run();
  expect(pieces.map(({ length }) => length)).toEqual([some, AMQP_SETTLE_PIECE, AMQP_SETTLE_PIECE]);
  run();
  await Promise.all(watching);
  expect(done).toEqual(['many', 'few']);
  expect(run()).toBe(false);
  const all = pieces.flat();
  expect(all).toEqual(all.map((_, index) => index));
  expect(all.length).toBe(some + 2 * AMQP_SETTLE_PIECE + 3);
});

test('a queue that fails keeps none of the others waiting', async () => {
  const { env, run } = turnsOf();
  const { queue, pieces } = noted();
  const bad = {
    settle: () => {
      throw new Error('bad');
    },
  } as unknown as Queue;
  const settling = new SettleTurns(env);
  const failed = settling.settle(deliveriesOf(bad, 0, 2 * AMQP_SETTLE_PIECE), 'accept');
  const settled = settling.settle(deliveriesOf(queue, 0, 5), 'accept');
  const failure = failed?.catch((error: unknown) => error);
  while (run());
  expect(await failure).toEqual(new Error('bad'));
  await settled;
  expect(pieces).toEqual([[0, 1, 2, 3, 4]]);
});

const HELD = 2 * AMQP_SETTLE_PIECE + 1;

/** A channel that has got so many messages. */
async function holding(channel: AmqpChannel, until: (isSo: () => boolean) => Promise<void>) {
  let got = 0;
  await channel.consume({ queue: 'held' }, () => {
    got++;
  });
  await until(() => got === HELD);
}

async function fill(channel: AmqpChannel): Promise<void> {
  await channel.declareQueue({ queue: 'held', durable: false });
  const body = Buffer.from('m');
  const published: Promise<unknown>[] = [];
  for (let count = 0; count < HELD; count++)
    published.push(channel.publish({ routingKey: 'held', properties: {}, body }));
  await Promise.all(published);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

function piecesSettled(): number[] {
  const pieces: number[] = [];
  const settle = Reflect.get(WorkQueue.prototype, 'settle');
  vi.spyOn(WorkQueue.prototype, 'settle').mockImplementation(function (
    this: WorkQueue,
    deliveries,
    how,
    options,
  ) {
    pieces.push(deliveries.length);
    settle.call(this, deliveries, how, options);
  });
  return pieces;
}

test('very many messages of a channel that ends are back before its client is told', async () => {
  await onSimAmqp({}, async ({ connect, until }) => {
    const channel = await (await connect()).channel();
    await fill(channel);
    const other = await (await connect()).channel();
    await holding(other, until);
    const pieces = piecesSettled();
    const backWhenTold: number[] = [];
    const tell = Reflect.get(Output.prototype, 'method');
    vi.spyOn(Output.prototype, 'method').mockImplementation(function (
      this: Output,
      number,
      method,
    ) {
      if (method.name === 'channel.close-ok') backWhenTold.push(sumOf(pieces));
      tell.call(this, number, method);
    });
    await other.close();
    expect(backWhenTold).toEqual([HELD]);
    const { messages } = await channel.declareQueue({ queue: 'held', passive: true });
    expect(messages).toBe(HELD);
    expect(Math.max(...pieces)).toBe(AMQP_SETTLE_PIECE);
  });
});

test('very many messages of a connection that breaks come back, in pieces', async () => {
  await onSimAmqp({}, async ({ env, log, connect, until }) => {
    const channel = await (await connect()).channel();
    await fill(channel);
    const ready = async (): Promise<number> =>
      (await channel.declareQueue({ queue: 'held', passive: true })).messages;
    const connection = log.connectAmqp();
    const answers = answersOf(connection);
    connection.write([LOGIN]);
    await until(() => answers.length > 0);
    await env.timers.sleep(1_000);
    connection.write([OPEN, encodeMethod(1, 'BasicConsume', { queue: 'held' })]);
    await until(async () => (await ready()) === 0);
    const pieces = piecesSettled();
    connection.destroy();
    await until(async () => (await ready()) === HELD);
    expect(sumOf(pieces)).toBe(HELD);
    expect(Math.max(...pieces)).toBe(AMQP_SETTLE_PIECE);
  });
});

test('who publishes waits while too few files can be opened, and all of it is confirmed', async () => {
  const most = 40;
  const descriptors = vi.spyOn(SimFileSystem.prototype, 'descriptorsMax', 'get');
  // Of few, half are for segments.
  descriptors.mockReturnValue(2 * most);
  await onSimAmqp({}, async ({ connect }) => {
    const channel = await (await connect()).channel();
    const queues = Array.from({ length: 3 * most }, (_, index) => `q${index}`);
    for (const queue of queues) await channel.declareQueue({ queue, durable: true });
    const body = Buffer.from('m');
    const properties = { deliveryMode: 2 };
    for (const routingKey of queues) await channel.publish({ routingKey, properties, body });
    for (const queue of queues)
      expect((await channel.get(queue, { noAck: true }))?.body).toEqual(body);
  });
});

test('nobody has a turn while too few files can be opened', async () => {
  const { env, run } = turnsOf();
  const later: (() => void)[] = [];
  Object.assign(env.timers, { after: (_: number, look: () => void) => void later.push(look) });
  let isShort = false;
  const turns = new PublishTurns(env, () => isShort);
  expect(turns.isOver).toBe(false);
  isShort = true;
  expect(turns.isOver).toBe(true);
  let isGranted = false;
  const granted = turns.next().then(() => (isGranted = true));
  run();
  expect(later).toHaveLength(1);
  later.shift()?.();
  await Promise.resolve();
  expect([later.length, isGranted]).toEqual([1, false]);
  isShort = false;
  later.shift()?.();
  await granted;
  expect(later).toHaveLength(0);
});
