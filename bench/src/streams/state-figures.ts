/** What a million keys of state need, and how long a restart takes: on the state that is there, and from its changelog. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchFailure } from '../failure.ts';
import { tail } from '../process.ts';
import { type RunningSide, type SideContext, startSide } from './sides.ts';
import type { SideName } from './side-names.ts';
import { watchRun } from './watch-run.ts';

export interface StateFigures {
  readonly side: SideName;
  readonly state: 'disk' | 'memory';
  readonly keys: number;
  /** When all keys are there and nothing is processed. */
  readonly residentBytes: number;
  readonly recordsPerSecond: number;
  /** From the start of the process until all tasks process, in order: with the state, and without it. */
  readonly restartSeconds: number;
  readonly restoreSeconds: number;
}

const SETTLE_MS = 2_000;
const READY_POLL_MS = 10;
const READY_MS_MAX = 5 * 60_000;
/** What an engine says when all tasks process: `--json` of Millrace, and the state of Kafka Streams. */
const READY = /"event":"running"|^state RUNNING$/gm;

export async function measureState(
  name: SideName,
  context: SideContext,
  options: { readonly state: 'disk' | 'memory'; readonly commitMs: number },
): Promise<StateFigures> {
  let side = await startSide(name, context, {
    query: 'keys',
    state: options.state,
    commitIntervalMs: options.commitMs,
  });
  try {
    const run = await watchRun(side, context.bids);
    await sleep(SETTLE_MS);
    const { residentBytes } = side.engine.usage();
    side = await side.restart(false);
    const restartSeconds = await untilReady(side, 2);
    side = await side.restart(true);
    const restoreSeconds = await untilReady(side, 3);
    return {
      side: name,
      state: options.state,
      keys: context.bids,
      residentBytes,
      recordsPerSecond: run.records / run.seconds,
      restartSeconds,
      restoreSeconds,
    };
  } finally {
    await side.stop();
  }
}

/** Seconds until the engine has said so for the `times`-th time: all its lives write one file. */
async function untilReady({ engine }: RunningSide, times: number): Promise<number> {
  const startedMs = performance.now();
  while (performance.now() - startedMs < READY_MS_MAX && !engine.hasExited()) {
    const said = readFileSync(engine.logFile, 'utf8').match(READY)?.length ?? 0;
    if (said >= times) return (performance.now() - startedMs) / 1000;
    await sleep(READY_POLL_MS);
  }
  throw new BenchFailure(`it did not come up again; last words:\n${tail(engine.logFile)}`);
}
