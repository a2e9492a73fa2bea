/** What is measured of one running side. Every measurement has a queue of its own, and checks that what went in came out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AmqpConnection, METHODS, shortText } from '../clients/amqp-connection.ts';
import { BenchFailure } from '../failure.ts';
import type { QueuesOptions } from '../options.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { watchCores } from '../process.ts';
import type { MetricName, Sample } from '../samples.ts';
import { publish, startConsume } from './load-control.ts';
import {
  type ConsumeFigures,
  type ConsumeTask,
  monotonicMs,
  type PublishFigures,
  type PublishTask,
} from './load-tasks.ts';
import type { QueueClientName } from './side-names.ts';
import type { QueueSide } from './sides.ts';

const OPEN = 1_000;
const PREFETCH = 1_000;
/** Processes start, connections open, compilers compile: until then nothing counts. */
const WARM_UP_MS = 1_500;
const ONE_AT_A_TIME_MS = 1_500;
const MEMORY_EVERY_MS = 50;
const REST_MS = 1_000;

export interface Measuring {
  readonly side: QueueSide;
  readonly peer: RunningPeer;
  readonly options: QueuesOptions;
  readonly samples: Sample[];
}

type Values = Readonly<Partial<Record<MetricName, number>>>;

/** Publishers and consumers at once, as fast as they can. */
export async function measureThroughput(on: Measuring, client: QueueClientName): Promise<void> {
  const { options, peer, side } = on;
  await withQueue(on, async (queue) => {
    const memory = watchMemory(peer);
    const cores = watchCores();
    const window = windowOf(WARM_UP_MS, options.seconds * 1000);
    const cpu = cpuWithin(peer, window);
    const { published, consumed } = await bothWays(on, { client, queue, open: OPEN, ...window });
    const messages = published.inWindow + consumed.inWindow;
    add(on, `${client}, ${title(options)}`, {
      queuePublish: published.inWindow / options.seconds,
      queueConsume: consumed.inWindow / options.seconds,
      queueCpu: ((await cpu) / Math.max(1, messages / 2)) * 1e6,
      queueClientCores: (published.cpuSeconds + consumed.cpuSeconds) / options.seconds,
      queueOthersCores: cores().others,
    });
    add(on, `${client}, ${title(options)}`, memory());
    if (side.name !== 'millrace') await sleep(REST_MS);
  });
}

/** At a fixed rate, with what that takes, and one message at a time. */
export async function measureLatency(on: Measuring, client: QueueClientName): Promise<void> {
  const { options, peer } = on;
  await withQueue(on, async (queue) => {
    const memory = watchMemory(peer);
    const window = windowOf(WARM_UP_MS, options.seconds * 1000);
    const cpu = cpuWithin(peer, window);
    const { rate } = options;
    const { published, consumed } = await bothWays(on, {
      client,
      queue,
      open: 10_000,
      rate,
      ...window,
    });
    add(on, `${client}, ${title(options)}, ${rate} messages/s`, {
      queueCpu: ((await cpu) / Math.max(1, published.inWindow)) * 1e6,
      ...memory(),
      queueConfirmP50Ms: published.latencies.p50Ms,
      queueConfirmP99Ms: published.latencies.p99Ms,
      queueDeliverP50Ms: consumed.latencies.p50Ms,
      queueDeliverP99Ms: consumed.latencies.p99Ms,
    });
  });
  await withQueue(on, async (queue) => {
    const window = windowOf(WARM_UP_MS, ONE_AT_A_TIME_MS);
    const { published } = await bothWays(on, { client, queue, open: 1, ...window });
    add(on, `${client}, ${title(options)}`, {
      queueOneP50Ms: published.latencies.p50Ms,
      queueOneP99Ms: published.latencies.p99Ms,
    });
  });
}

/** Nobody consumes; then somebody does. */
export async function measureBacklog(on: Measuring, client: QueueClientName): Promise<void> {
  const { options, peer } = on;
  const count = options.backlog;
  await withQueue(on, async (queue) => {
    const always = { fromMs: 0, toMs: Number.MAX_VALUE };
    const published = await publish(
      publishTask(on, { client, queue, open: OPEN, count, ...always }),
    );
    await sleep(REST_MS);
    const backlogMB = peer.usage().residentBytes / 1e6;
    const consumer = await startConsume(consumeTask(on, { client, queue, ...always }));
    const consumed = await consumer.end(published.count);
    check(published, consumed);
    add(on, `${client}, ${title(options)}, ${count.toLocaleString('en-US')} messages`, {
      queueFill: published.count / published.seconds,
      queueDrain: consumed.count / consumed.seconds,
      backlogMB,
    });
  });
}

interface Course {
  readonly client: QueueClientName;
  readonly queue: string;
  readonly open: number;
  readonly rate?: number;
  readonly count?: number;
  readonly fromMs: number;
  readonly toMs: number;
}

async function bothWays(
  on: Measuring,
  course: Course,
): Promise<{ readonly published: PublishFigures; readonly consumed: ConsumeFigures }> {
  const consumer = await startConsume(consumeTask(on, course));
  const published = await publish(publishTask(on, course));
  const consumed = await consumer.end(published.count);
  check(published, consumed);
  return { published, consumed };
}

/** Each message came once, and was the one that was sent. */
function check(published: PublishFigures, consumed: ConsumeFigures): void {
  const { count } = published;
  const sum = (count * (count - 1)) / 2;
  const isRight =
    consumed.count === count && consumed.sequenceSum === sum && consumed.badCount === 0;
  if (!isRight)
    throw new BenchFailure(
      `${count} messages were confirmed, and ${consumed.count} came, ${consumed.badCount} of them changed, with the sum ${consumed.sequenceSum} instead of ${sum}`,
    );
}

function publishTask({ peer, options }: Measuring, course: Course): PublishTask {
  const { rate, count } = course;
  const { bodyBytes } = options;
  return { kind: 'publish', address: addressOf(peer), bodyBytes, ...course, rate, count };
}

function consumeTask({ peer, options }: Measuring, course: Omit<Course, 'open'>): ConsumeTask {
  const { client, queue, fromMs, toMs } = course;
  const { bodyBytes } = options;
  const address = addressOf(peer);
  return { kind: 'consume', client, queue, address, bodyBytes, fromMs, toMs, prefetch: PREFETCH };
}

function addressOf({ host, port }: RunningPeer): { readonly host: string; readonly port: number } {
  return { host, port };
}

let queueCount = 0;

async function withQueue(on: Measuring, use: (queue: string) => Promise<void>): Promise<void> {
  const { peer, side } = on;
  const queue = `bench-${queueCount++}`;
  const connection = await AmqpConnection.open(peer);
  // Durable, and nothing else.
  const declare = [Buffer.of(0, 0), shortText(queue), Buffer.of(0b10), side.queueArguments];
  const { queueDeclare, queueDeclareOk, queueDelete, queueDeleteOk } = METHODS;
  await connection.call(1, queueDeclare, Buffer.concat(declare), queueDeclareOk);
  try {
    await use(queue);
  } finally {
    const args = Buffer.concat([Buffer.of(0, 0), shortText(queue), Buffer.of(0)]);
    await connection.call(1, queueDelete, args, queueDeleteOk).catch(() => {});
    await connection.close();
  }
}

function windowOf(
  warmUpMs: number,
  measureMs: number,
): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = monotonicMs() + warmUpMs;
  return { fromMs, toMs: fromMs + measureMs };
}

/** CPU seconds of the broker within the window. */
async function cpuWithin(
  peer: RunningPeer,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<number> {
  await sleep(Math.max(0, fromMs - monotonicMs()));
  const before = peer.usage().cpuSeconds;
  await sleep(Math.max(0, toMs - monotonicMs()));
  return peer.usage().cpuSeconds - before;
}

/** The result gives the highest figures since. */
function watchMemory(peer: RunningPeer): () => Values {
  let most = 0;
  let mostOwn = 0;
  const timer = setInterval(() => {
    const { residentBytes, ownBytes } = peer.usage();
    most = Math.max(most, residentBytes);
    mostOwn = Math.max(mostOwn, ownBytes);
  }, MEMORY_EVERY_MS);
  return () => {
    clearInterval(timer);
    return { loadMB: most / 1e6, loadOwnMB: mostOwn / 1e6 };
  };
}

function title({ bodyBytes }: QueuesOptions): string {
  return `${bodyBytes.toLocaleString('en-US')} B`;
}

export function add({ side, samples }: Measuring, cell: string, values: Values): void {
  // Where nothing came within the window there is no latency.
  for (const [metric, value] of Object.entries(values).filter(
    ([, number]) => !Number.isNaN(number),
  ))
    samples.push({ metric: metric as MetricName, cell, side: side.name, value });
}
