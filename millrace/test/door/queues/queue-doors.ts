/** The two ways to a queue: in this process, and by TCP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { connectMillrace, type Millrace, openMillrace } from '../../../src/index.ts';

export interface QueueDoor {
  readonly millrace: () => Millrace;
  /** The other way, to the same queues. */
  readonly other: () => Millrace;
  /** A name that no other test has. */
  readonly name: (what: string) => string;
}

/** Runs `tests` for each way, with a log for all of them. */
export function describeQueueDoors(what: string, tests: (door: QueueDoor) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-queues-'));
  const open: Millrace[] = [];
  beforeAll(async () => {
    const opened = await openMillrace({ dir: join(dir, 'log'), kafka: {}, amqp: {} });
    const { kafka = '', amqp = '' } = opened;
    open.push(opened, await connectMillrace({ brokers: kafka, amqp, dir: join(dir, 'other') }));
  });
  afterAll(async () => {
    for (const each of open.toReversed()) await each.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const get = (index: number): Millrace => {
    const millrace = open[index];
    if (millrace === undefined) throw new Error('not open');
    return millrace;
  };
  let count = 0;
  for (const [index, name] of ['in this process', 'by TCP'].entries())
    describe(`${what}, ${name}`, () => {
      tests({
        millrace: () => get(index),
        other: () => get(1 - index),
        name: (queue) => `${queue}-${index}-${count++}`,
      });
    });
}
