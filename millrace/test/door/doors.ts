/**
 * The two ways in, which behave alike: a Millrace in this process, and a connection to one by TCP. With MILLRACE_TEST_BROKER=host:port
 * connections alone, to whatever answers there: `npm run test:kafka` asks Apache Kafka.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { connectMillrace, type Millrace, openMillrace } from '../../src/index.ts';

export interface Door {
  readonly name: string;
  /** Of all tests of a file. */
  readonly millrace: () => Millrace;
  /** The other door, to the same log. */
  readonly other: () => Millrace;
  /** A topic that no other test has. */
  readonly topicName: (what: string) => string;
}

const OTHER_BROKER = process.env['MILLRACE_TEST_BROKER'];

/** Runs `tests` for each door, with a log for all of them. */
export function describeDoors(what: string, tests: (door: Door) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-door-'));
  let opened: Millrace | undefined;
  let connected: Millrace | undefined;
  beforeAll(async () => {
    opened =
      OTHER_BROKER === undefined
        ? await openMillrace({ dir: join(dir, 'log'), kafka: {} })
        : await connectMillrace({ brokers: OTHER_BROKER, dir: join(dir, 'other') });
    connected = await connectMillrace({
      brokers: opened.kafka ?? '',
      dir: join(dir, 'connected'),
    });
  });
  afterAll(async () => {
    await connected?.close();
    await opened?.close();
    rmSync(dir, { recursive: true, force: true });
  });
  // Another broker keeps the topics of earlier runs.
  const run = OTHER_BROKER === undefined ? '' : `-${process.pid}`;
  let count = 0;
  const isOpen = (millrace: Millrace | undefined): Millrace => {
    if (millrace === undefined) throw new Error('not open');
    return millrace;
  };
  const doors = [
    ['open', () => opened, () => connected],
    ['connect', () => connected, () => opened],
  ] as const;
  for (const [name, get, other] of OTHER_BROKER === undefined ? doors : doors.slice(1)) {
    describe(`${what}: ${name}`, () => {
      tests({
        name,
        millrace: () => isOpen(get()),
        other: () => isOpen(other()),
        topicName: (topic) => `${topic}-${name}-${count++}${run}`,
      });
    });
  }
}

/** All that comes. */
export async function collect<One>(from: AsyncIterable<One>): Promise<One[]> {
  const all: One[] = [];
  for await (const each of from) all.push(each);
  return all;
}
