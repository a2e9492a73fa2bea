/** The two ways in, which behave alike: a Millrace in this process, and a connection to one by TCP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { connectMillrace, type Millrace, openMillrace } from '../../src/index.ts';

export interface Door {
  readonly name: string;
  /** Of all tests of a file. */
  readonly millrace: () => Millrace;
  /** A topic that no other test has. */
  readonly topicName: (what: string) => string;
}

/** Runs `tests` for each door, with a log for all of them. */
export function describeDoors(what: string, tests: (door: Door) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-door-'));
  let opened: Millrace | undefined;
  let connected: Millrace | undefined;
  beforeAll(async () => {
    opened = await openMillrace({ dir: join(dir, 'log'), kafka: {} });
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
  let count = 0;
  for (const [name, get] of [
    ['open', () => opened],
    ['connect', () => connected],
  ] as const) {
    describe(`${what}: ${name}`, () => {
      tests({
        name,
        millrace: () => {
          const millrace = get();
          if (millrace === undefined) throw new Error('not open');
          return millrace;
        },
        topicName: (topic) => `${topic}-${name}-${count++}`,
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
