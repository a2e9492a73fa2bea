/** `millrace consume`: records become lines of stdout. */
import type { Consumer, Message, MessagesStream } from '@platformatic/kafka';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import { brokersOption, clientOptions, loadLibrary, translate, type Library } from './cluster.ts';
import { say, writeData } from './io.ts';
import { offsetsAt, partitionsOf, rangesOf } from './offsets.ts';
import { parsePosition, type Position } from './positions.ts';
import { wholeNumber } from './produce.ts';
import { Progress } from './progress.ts';

export interface ConsumeOptions {
  readonly brokers?: string;
  readonly json?: boolean;
  readonly from?: string;
  readonly until?: string;
  readonly partition?: string;
  readonly group?: string;
  readonly count?: string;
  readonly keys?: boolean;
  readonly uncommitted?: boolean;
}

type Bytes = Message<Buffer, Buffer, Buffer, Buffer>;
type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;

/** Which offsets to read, by partition. */
interface Plan {
  readonly start: ReadonlyMap<number, number>;
  /** undefined = go on for ever. */
  readonly stop: ReadonlyMap<number, number> | undefined;
}

export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const env = realEnv();
  if (
    options.group !== undefined &&
    (options.from !== undefined || options.partition !== undefined)
  ) {
    throw new MillraceError(
      'ML_USAGE',
      '--group goes on where the group stands: it takes no --from and no --partition',
      {
        hint: `Move the group with: millrace group reset ${options.group} --topic ${topic} --to beginning`,
      },
    );
  }
  const from = parsePosition('--from', options.from ?? 'beginning', env.clock);
  const until =
    options.until === undefined ? undefined : parsePosition('--until', options.until, env.clock);
  const count = options.count === undefined ? Infinity : wholeNumber('--count', options.count);
  const only =
    options.partition === undefined ? undefined : wholeNumber('--partition', options.partition);
  const brokers = brokersOption(options.brokers);
  const library = await loadLibrary();
  const plan = await planRead(library, brokers, { topic, from, until, only });
  const progress = new Progress(env, 'consumed');
  const render = options.json ? jsonLine : textLine(options.keys ?? false);
  try {
    if (count > 0 && !isDone(plan, new Map(plan.start))) {
      await readAll(library, brokers, { topic, plan, count, render, progress, options });
    }
  } catch (error) {
    throw translate(error, brokers);
  } finally {
    progress.finish();
  }
}

async function planRead(
  library: Library,
  brokers: string[],
  ask: { topic: string; from: Position; until: Position | undefined; only: number | undefined },
): Promise<Plan> {
  const admin = new library.Admin(clientOptions(brokers));
  try {
    const all = await partitionsOf(admin, ask.topic);
    const partitions =
      ask.only === undefined ? all : all.filter((partition) => partition === ask.only);
    if (partitions.length === 0) {
      throw new MillraceError(
        'ML_BROKER_REFUSED',
        `topic ${ask.topic} has no partition ${ask.only ?? 0}`,
        {
          hint: `See it with: millrace topic describe ${ask.topic}`,
        },
      );
    }
    const ranges = await rangesOf(admin, ask.topic, partitions);
    const start = await offsetsAt(admin, ask.topic, ranges, ask.from);
    const stop =
      ask.until === undefined ? undefined : await offsetsAt(admin, ask.topic, ranges, ask.until);
    return { start, stop };
  } catch (error) {
    throw translate(error, brokers);
  } finally {
    await admin.close();
  }
}

interface Reading {
  readonly topic: string;
  readonly plan: Plan;
  readonly count: number;
  readonly render: (message: Bytes) => string | Buffer;
  readonly progress: Progress;
  readonly options: ConsumeOptions;
}

async function readAll(library: Library, brokers: string[], reading: Reading): Promise<void> {
  const { topic, plan, options } = reading;
  const { FetchIsolationLevels, MessagesStreamModes, MessagesStreamFallbackModes } = library;
  // Reading without a group needs one all the same: the client joins one that nobody else has, and removes it at the end.
  const groupId = options.group ?? `millrace-cli-${realEnv().random.uuid()}`;
  const consumer: Consumer<Buffer, Buffer, Buffer, Buffer> = new library.Consumer({
    ...clientOptions(brokers),
    groupId,
    autocommit: false,
    maxWaitTime: 500,
    isolationLevel: options.uncommitted
      ? FetchIsolationLevels.READ_UNCOMMITTED
      : FetchIsolationLevels.READ_COMMITTED,
  });
  const stream: Stream = await consumer.consume({
    topics: [topic],
    ...(options.group === undefined
      ? {
          mode: MessagesStreamModes.MANUAL,
          offsets: [...plan.start].map(([partition, offset]) => ({
            topic,
            partition,
            offset: BigInt(offset),
          })),
        }
      : {
          mode: MessagesStreamModes.COMMITTED,
          fallbackMode: MessagesStreamFallbackModes.EARLIEST,
        }),
  });
  const stop = (): void => void stream.close();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    if (plan.stop === undefined && process.stderr.isTTY)
      say(`reading ${topic}; Ctrl-C stops, --until end would stop by itself`);
    await pump(
      stream,
      reading,
      options.group === undefined ? undefined : new Commits(consumer, topic),
    );
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    await stream.close();
    await consumer.close(true);
    if (options.group === undefined) await removeGroup(library, brokers, groupId);
  }
}

async function removeGroup(library: Library, brokers: string[], groupId: string): Promise<void> {
  const admin = new library.Admin(clientOptions(brokers));
  try {
    await admin.deleteGroups({ groups: [groupId] });
  } catch {
    // An empty group without offsets is forgotten by the broker anyway: no reason to fail a read that succeeded.
  } finally {
    await admin.close();
  }
}

/** Commits what was printed, never more: at most once a second, and at the end. */
class Commits {
  readonly #consumer: Consumer<Buffer, Buffer, Buffer, Buffer>;
  readonly #topic: string;
  readonly #clock = realEnv().clock;
  readonly #pending = new Map<number, { offset: bigint; leaderEpoch: number }>();
  #lastMs = 0;

  constructor(consumer: Consumer<Buffer, Buffer, Buffer, Buffer>, topic: string) {
    this.#consumer = consumer;
    this.#topic = topic;
  }

  async printed(message: Bytes): Promise<void> {
    this.#pending.set(message.partition, {
      offset: message.offset + 1n,
      leaderEpoch: message.leaderEpoch,
    });
    if (this.#clock.monotonicMs() - this.#lastMs >= COMMIT_INTERVAL_MS) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#pending.size === 0) return;
    const offsets = [...this.#pending].map(([partition, at]) => ({
      topic: this.#topic,
      partition,
      ...at,
    }));
    this.#pending.clear();
    await this.#consumer.commit({ offsets });
    this.#lastMs = this.#clock.monotonicMs();
  }
}

const COMMIT_INTERVAL_MS = 1000;

async function pump(stream: Stream, reading: Reading, commits: Commits | undefined): Promise<void> {
  const { plan, render, progress } = reading;
  const next = new Map(plan.start);
  let left = reading.count;
  try {
    for await (const message of stream) {
      const { partition } = message;
      const offset = Number(message.offset);
      next.set(partition, offset + 1);
      if (plan.start.has(partition) && offset < (plan.stop?.get(partition) ?? Infinity)) {
        await writeData(render(message));
        progress.add(1, (message.key?.length ?? 0) + (message.value?.length ?? 0));
        await commits?.printed(message);
        left--;
      }
      if (left === 0 || isDone(plan, next)) return;
    }
  } finally {
    await commits?.flush();
  }
}

function isDone(plan: Plan, next: ReadonlyMap<number, number>): boolean {
  if (plan.stop === undefined) return false;
  for (const [partition, stop] of plan.stop) {
    if ((next.get(partition) ?? 0) < stop) return false;
  }
  return true;
}

const NEWLINE = Buffer.from('\n');
const TAB = Buffer.from('\t');
const EMPTY = Buffer.alloc(0);

function textLine(keys: boolean): (message: Bytes) => Buffer {
  if (!keys) return (message) => Buffer.concat([message.value ?? EMPTY, NEWLINE]);
  return (message) => Buffer.concat([message.key ?? EMPTY, TAB, message.value ?? EMPTY, NEWLINE]);
}

/** Text where the bytes are UTF-8, else `{"base64":"…"}`; null where there is none. */
function jsonBytes(bytes: Buffer | null | undefined): string | null | { readonly base64: string } {
  if (bytes === null || bytes === undefined) return null;
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') };
}

function jsonLine(message: Bytes): string {
  const headers: Record<string, unknown> = {};
  for (const [name, value] of message.headers) headers[name.toString()] = jsonBytes(value);
  const line = JSON.stringify({
    topic: message.topic,
    partition: message.partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: jsonBytes(message.key),
    value: jsonBytes(message.value),
    headers,
  });
  return `${line}\n`;
}
