/** What becomes of a receiver that is slow: each policy, over a real log. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { LogReader } from '../../client/log.ts';
import { MillraceError } from '../../core/errors.ts';
import { HTTP_SUBSCRIBER_BYTES_MAX } from '../../core/http-limits.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import { SocketReceiver } from './socket-receiver.ts';
import { serveTopicEvents } from './topic-events.ts';
import { type Receiver, type SlowPolicy, TopicFeed } from './topic-feed.ts';
import { startOf } from './topic-position.ts';

const BUFFER_BYTES = 20_000;
/** As JSON a record has a little more than that. */
const VALUE_BYTES = 1_000;

let directory: string;
let log: EmbeddedLog;
let count = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-feed-'));
  log = await openEmbedded(realEnv(), { dataDir: join(directory, 'log') });
});

afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Takes as many as it is told to. */
class Slow implements Receiver {
  readonly offsets: number[] = [];
  readonly drops: number[] = [];
  #credit: number;
  #onCredit: () => void = () => {};
  #onRecord: () => void = () => {};
  waits = 0;

  constructor(credit: number) {
    this.#credit = credit;
  }

  get isReady(): boolean {
    return this.#credit > 0;
  }

  async ready(): Promise<void> {
    this.waits++;
    this.#onRecord();
    while (!this.isReady) await new Promise<void>((resolve) => (this.#onCredit = resolve));
  }

  grant(credit: number): void {
    this.#credit += credit;
    this.#onCredit();
  }

  record(json: string): void {
    if (!this.isReady) throw new Error('it was given more than it takes');
    this.#credit--;
    this.offsets.push((JSON.parse(json) as { offset: number }).offset);
    this.#onRecord();
  }

  dropped(records: number): void {
    this.drops.push(records);
    this.#onRecord();
  }

  idle(): void {}

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) await new Promise<void>((resolve) => (this.#onRecord = resolve));
  }
}

/** A socket that nobody reads from. */
class Stuck extends Writable {
  readonly headers: unknown[] = [];
  takesAll = false;
  readonly #waiting: (() => void)[] = [];

  writeHead(...head: unknown[]): void {
    this.headers.push(head);
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.takesAll) done();
    else this.#waiting.push(done);
  }

  /** As a WebSocket has it. */
  get bufferedAmount(): number {
    return this.writableLength;
  }

  send(text: string, done: () => void): void {
    this.write(text, done);
  }

  takeAll(): void {
    this.takesAll = true;
    for (const done of this.#waiting.splice(0)) done();
  }
}

async function put(topic: string, records: number): Promise<void> {
  const producer = await log.producer({});
  for (let index = 0; index < records; index++)
    producer.append(topic, index % 2, 1, null, 'x'.repeat(VALUE_BYTES));
  await producer.flush();
  await producer.close();
}

async function opened(slow: SlowPolicy, receiver: Receiver, before: number) {
  const topic = `feed-${count++}`;
  await log.createTopics([{ name: topic, partitions: 2, configs: {} }]);
  await put(topic, before);
  const abort = new AbortController();
  let readBytes = 0;
  const counting = Object.assign(Object.create(log) as EmbeddedLog, {
    reader: (options: Parameters<EmbeddedLog['reader']>[0]): LogReader => {
      const reader = log.reader(options);
      const poll = reader.poll.bind(reader);
      return Object.assign(reader, {
        poll: async (waitMs: number) => {
          const polled = [...(await poll(waitMs))];
          // Both partitions together, as often as that can be.
          if (polled.length === 1) polled.push(...(await poll(20)));
          for (const { bytes } of polled) readBytes += bytes.length;
          return polled;
        },
      });
    },
  });
  const feed = new TopicFeed({
    log: counting,
    topic,
    start: await startOf(log, topic, { from: 'beginning', last: undefined }),
    slow,
    bufferBytes: BUFFER_BYTES,
    encodings: { key: 'text', value: 'text' },
    receiver,
    signal: abort.signal,
  });
  return { topic, feed, abort, running: feed.run(), readBytes: () => readBytes };
}

test('backpressure: the log waits, nothing is lost, little is read ahead', async () => {
  const receiver = new Slow(10);
  const { topic, abort, running, readBytes } = await opened('backpressure', receiver, 100);
  await receiver.until(() => receiver.waits > 0);
  await put(topic, 3_000);
  expect(receiver.offsets).toHaveLength(10);
  // One answer of the log, of at most as much as a partition may have, and at least a batch.
  expect(readBytes()).toBeLessThan(1024 * 1024);
  receiver.grant(10_000);
  await receiver.until(() => receiver.offsets.length === 3_100);
  abort.abort();
  await running;
  expect(receiver.drops).toEqual([]);
});

test('drop: what was there is given, what comes meanwhile is counted and passed over', async () => {
  const receiver = new Slow(10);
  const { topic, feed, abort, running } = await opened('drop', receiver, 20);
  await receiver.until(() => receiver.waits > 0);
  expect(receiver.offsets).toHaveLength(10);
  // It was all there when it came: nothing of it is dropped.
  receiver.grant(10);
  await receiver.until(() => receiver.offsets.length === 20);
  const waits = receiver.waits;
  await put(topic, 500);
  await receiver.until(() => receiver.waits > waits);
  await put(topic, 500);
  receiver.grant(1_000);
  await receiver.until(() => receiver.drops.length > 0);
  expect(receiver.drops).toEqual([1_000]);
  expect(feed.id).toBe('0:510,1:510');
  await put(topic, 2);
  await receiver.until(() => receiver.offsets.length === 22);
  expect(receiver.offsets.slice(-2)).toEqual([510, 510]);
  expect(receiver.offsets.filter((offset) => offset >= 10 && offset < 510)).toEqual([]);
  abort.abort();
  await running;
});

test('buffer: what comes is held up to the bound, and given in order', async () => {
  const receiver = new Slow(2);
  const { topic, feed, abort, running } = await opened('buffer', receiver, 2);
  await receiver.until(() => receiver.offsets.length === 2);
  await put(topic, 10);
  await receiver.until(() => receiver.waits > 0);
  receiver.grant(3);
  await receiver.until(() => receiver.offsets.length === 5);
  receiver.grant(100);
  await receiver.until(() => receiver.offsets.length === 12);
  expect(feed.heldBytesMax).toBeLessThan(BUFFER_BYTES);
  expect(receiver.drops).toEqual([]);
  abort.abort();
  await running;
});

test('buffer: beyond the bound it ends, and says why', async () => {
  const receiver = new Slow(2);
  const { topic, feed, running } = await opened('buffer', receiver, 2);
  const ended = running.catch((error: unknown) => error);
  await receiver.until(() => receiver.offsets.length === 2);
  await put(topic, 5_000);
  const error = await ended;
  expect(error).toBeInstanceOf(MillraceError);
  expect((error as MillraceError).code).toBe('ML_HTTP_SLOW');
  expect(feed.heldBytesMax).toBeLessThan(BUFFER_BYTES + 2 * VALUE_BYTES);
  expect(receiver.offsets).toHaveLength(2);
});

test.each(['drop', 'backpressure'] as const)(
  'what is deleted before it was read is passed over, or ends it: %s',
  async (slow) => {
    const topic = `feed-${count++}`;
    await log.createTopics([{ name: topic, partitions: 1, configs: {} }]);
    const producer = await log.producer({});
    const append = async (records: number): Promise<void> => {
      for (let index = 0; index < records; index++) producer.append(topic, 0, 1, null, 'x');
      await producer.flush();
    };
    await append(10);
    const start = await startOf(log, topic, { from: 'beginning', last: undefined });
    await log.deleteRecords([{ topic, partition: 0, offset: 5 }]);
    const receiver = new Slow(100);
    const abort = new AbortController();
    const parts = { log, topic, start, slow, receiver, signal: abort.signal };
    const encodings = { key: 'text', value: 'text' } as const;
    const feed = new TopicFeed({ ...parts, bufferBytes: BUFFER_BYTES, encodings });
    const running = feed.run().catch((error: unknown) => error);
    if (slow === 'drop') {
      await receiver.until(() => receiver.drops.length === 1);
      await append(1);
      await receiver.until(() => receiver.offsets.length === 1);
      abort.abort();
      expect(await running).toBeUndefined();
      expect([receiver.drops, receiver.offsets]).toEqual([[10], [10]]);
    } else expect(await running).toMatchObject({ code: 'ML_OFFSET_OUT_OF_RANGE' });
    await producer.close();
  },
);

test.each(['events', 'socket'] as const)(
  'what waits in a socket that nobody reads is bounded: %s',
  async (kind) => {
    const topic = `feed-${count++}`;
    await log.createTopics([{ name: topic, partitions: 2, configs: {} }]);
    await put(topic, 2_000);
    const socket = new Stuck();
    const abort = new AbortController();
    const { env } = log;
    const parts = {
      env,
      log,
      topic,
      start: await startOf(log, topic, { from: 'beginning', last: undefined }),
      slow: 'backpressure' as const,
      bufferBytes: BUFFER_BYTES,
      encodings: { key: 'text', value: 'text' } as const,
      signal: abort.signal,
    };
    const full = new Promise<void>((resolve) => {
      const look = (): void => {
        if (socket.writableLength > HTTP_SUBSCRIBER_BYTES_MAX) resolve();
        else env.timers.after(1, look);
      };
      look();
    });
    let running: Promise<void>;
    if (kind === 'events')
      running = serveTopicEvents({ ...parts, response: socket as unknown as ServerResponse });
    else {
      const receiver: SocketReceiver = new SocketReceiver(socket as unknown as WebSocket, {
        ...parts,
        credit: Infinity,
        bufferedBytesMax: HTTP_SUBSCRIBER_BYTES_MAX,
        onSent: () => receiver.look(),
      });
      running = new TopicFeed({ ...parts, receiver }).run();
    }
    await full;
    // It has stopped there: 2,000 records are 2 MB.
    const waits = socket.writableLength;
    await put(topic, 100);
    expect(socket.writableLength).toBe(waits);
    expect(waits).toBeLessThan(HTTP_SUBSCRIBER_BYTES_MAX + 2 * VALUE_BYTES);
    socket.takeAll();
    abort.abort();
    await running.catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'ML_ABORTED' });
    });
    socket.destroy();
  },
);
