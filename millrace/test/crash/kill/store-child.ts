/**
 * One life of a log store in a process of its own, on the real file system, to be killed at any moment. Everything that
 * its clients see goes line by line into file descriptor 3, with a write that has reached the pipe when it returns: what
 * the parent has read did happen before the kill.
 *
 * Arguments: a JSON object, see `ChildOptions`. Exit code 0 after a clean stop, 3 when the store could not go on.
 */
import { writeSync } from 'node:fs';
import { realEnv } from '../../../src/core/real-env.ts';
import { Life } from '../life.ts';
import type { LogEvent } from '../log-history.ts';
import { openSmallStore } from '../store-under-test.ts';
import { type KnownLog, World } from '../world.ts';

export interface ChildOptions {
  readonly directory: string;
  readonly seed: number;
  /** First number of records and producers: no two lives use the same. */
  readonly firstId: number;
  readonly logs: readonly KnownLog[];
  readonly operations: number;
  readonly expectsCleanStart: boolean;
}

/** A line of file descriptor 3. */
export type ChildMessage =
  | { readonly kind: 'event'; readonly event: LogEvent }
  /** An append is made now: it counts as done unless the next message says otherwise. */
  | { readonly kind: 'intent'; readonly event: LogEvent }
  | { readonly kind: 'logs'; readonly logs: readonly KnownLog[] };

export const EXIT_FATAL = 3;

function tell(message: ChildMessage): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let from = 0; from < bytes.length; ) from += writeSync(3, bytes, from);
}

async function main(options: ChildOptions): Promise<void> {
  const { directory, seed, firstId, logs, operations, expectsCleanStart } = options;
  const world = new World({
    seed,
    firstId,
    logs,
    record: (event) => tell({ kind: 'event', event }),
    intend: (event) => tell({ kind: 'intent', event }),
    onLogs: (changed) => tell({ kind: 'logs', logs: changed }),
  });
  const life = new Life({
    world,
    env: realEnv(),
    open: (env, onFatal) => openSmallStore(env, onFatal, { directory }),
    operations,
    expectsCleanStart,
    powerWasCut: false,
    isLast: true,
  });
  const end = await life.run();
  process.exit(end === 'closed' ? 0 : EXIT_FATAL);
}

const [argument] = process.argv.slice(2);
if (argument !== undefined) await main(JSON.parse(argument) as ChildOptions);
