/**
 * The ways to a log, which all behave alike: a broker in this process, the same over a message port, and over TCP. With
 * MILLRACE_TEST_BROKER=host:port the last one alone, to whatever answers there: `npm run test:kafka` asks Apache Kafka.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { visibleBatches } from '../../src/client/kafka/fetched-records.ts';
import { connectKafka } from '../../src/client/kafka/kafka-log.ts';
import type { Log, LogReader, TopicPartition } from '../../src/client/log.ts';
import { connectPort } from '../../src/client/port-log.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../src/embedded-log.ts';

export interface Way {
  readonly name: string;
  /** The log that a test file works with. */
  log(): Log;
  /** One more, as another process would have it. The test closes it. */
  another(): Promise<Log>;
}

const OTHER_BROKER = process.env['MILLRACE_TEST_BROKER'];
const env = realEnv();
/** Tests, and ways, mostly wait. Apache Kafka that has just been started gets its clients one by one. */
const BESIDE_EACH_OTHER = { concurrent: OTHER_BROKER === undefined };

/** Runs `tests` for each way, with a broker for all of them. */
export function describeWays(what: string, tests: (way: Way) => void): void {
  let embedded: EmbeddedLog | undefined;
  const dir = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  beforeAll(async () => {
    if (OTHER_BROKER !== undefined) return;
    const kafka = { host: '127.0.0.1', port: 0 };
    embedded = await openEmbedded(env, { dataDir: dir, kafka });
  });
  afterAll(async () => {
    await embedded?.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const started = (): EmbeddedLog => {
    if (embedded === undefined) throw new Error('no broker');
    return embedded;
  };
  const brokers = (): string => {
    if (OTHER_BROKER !== undefined) return OTHER_BROKER;
    const { host, port } = started().broker.address ?? { host: '', port: 0 };
    return `${host}:${port}`;
  };
  const kafka = { name: 'kafka', open: () => connectKafka(env, { brokers: brokers() }) };
  const port = { name: 'port', open: () => connectPort(env, started().port()) };
  const inProcess = { name: 'embedded', open: async () => started() };
  const ways = OTHER_BROKER === undefined ? [inProcess, port, kafka] : [kafka];
  for (const { name, open } of ways) {
    describe(`${what}: ${name}`, BESIDE_EACH_OTHER, () => {
      let log: Log | undefined;
      beforeAll(async () => {
        log = await open();
      });
      afterAll(async () => {
        if (name !== 'embedded') await log?.close();
      });
      tests({
        name,
        log: () => {
          if (log === undefined) throw new Error('no log');
          return log;
        },
        another: name === 'embedded' ? () => connectKafka(env, { brokers: brokers() }) : open,
      });
    });
  }
}

let names = 0;

/** A name that no other test, and no earlier run, has used. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${names++}`;
}

export async function newTopic(
  log: Log,
  partitions = 1,
  configs: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = uniqueName('topic');
  await log.createTopics([{ name, partitions, configs }]);
  return name;
}

export interface SeenRecord extends TopicPartition {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** What a reader sees from its beginning, or `from`, to its end. */
export async function readAll(
  log: Log,
  topics: readonly string[],
  options: { readonly uncommitted?: boolean; readonly from?: number } = {},
): Promise<SeenRecord[]> {
  const reader = log.reader({ uncommitted: options.uncommitted ?? false });
  const open = new Set<string>();
  for (const [topic, { partitions }] of await log.topics(topics)) {
    for (let partition = 0; partition < partitions; partition++) {
      reader.assign([{ topic, partition, offset: options.from ?? 0 }]);
      open.add(`${topic} ${partition}`);
    }
  }
  const seen: SeenRecord[] = [];
  while (open.size > 0) seen.push(...(await pollOnce(reader, open)));
  reader.close();
  return seen;
}

/** The records of one poll; takes out of `open` the partitions that were read to their end. */
export async function pollOnce(
  reader: LogReader,
  open: Set<string> = new Set(),
  waitMs = 5_000,
): Promise<SeenRecord[]> {
  const seen: SeenRecord[] = [];
  for (const records of await reader.poll(waitMs)) {
    const { topic, partition, from } = records;
    if (records.next === records.end) open.delete(`${topic} ${partition}`);
    for (const batch of visibleBatches(records)) {
      while (batch.next()) {
        if (batch.offset < from) continue;
        const { offset, data } = batch;
        const key = text(data, batch.keyStart, batch.keyEnd);
        seen.push({
          topic,
          partition,
          offset,
          key,
          value: text(data, batch.valueStart, batch.valueEnd),
        });
      }
    }
  }
  return seen;
}

function text(data: Buffer, start: number, end: number): string | null {
  return start < 0 ? null : data.toString('utf8', start, end);
}

/** Polls until `count` records are there. */
export async function pollUntil(reader: LogReader, count: number): Promise<SeenRecord[]> {
  const seen: SeenRecord[] = [];
  while (seen.length < count) seen.push(...(await pollOnce(reader)));
  return seen;
}

export function values(seen: readonly SeenRecord[]): (string | null)[] {
  return seen.map(({ value }) => value);
}

export function inAnyOrder(seen: readonly (string | null)[]): (string | null)[] {
  return seen.toSorted((a, b) => ((a ?? '') < (b ?? '') ? -1 : 1));
}

/** A promise, and how to fulfil it from outside. */
export function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give: () => void = () => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

/** The code that a promise rejects with; undefined when it does not. */
export async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return undefined;
}
