/**
 * How fast a query goes, seen from outside, the same for all sides: by the offsets that its group has committed and the ends of its output.
 * From the time when a fifth was through, so that neither the start of a process, nor its joining of a group, nor the compiling of what is
 * hot counts, to the last result.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../clients/receiving-socket.ts';
import { WireConnection } from '../clients/wire-connection.ts';
import { committedOffsets, listOffsets } from '../clients/wire-requests.ts';
import { BenchFailure } from '../failure.ts';
import { tail, watchCores } from '../process.ts';
import { BIDS, GROUP, OUTPUT, type RunningSide } from './sides.ts';

const POLL_MS = 20;
const WARM_SHARE = 0.2;
const QUIET_MS = 1_500;
const TIMEOUT_MS = 10 * 60_000;

export interface RunFigures {
  /** Bids that were processed in the measured time. */
  readonly records: number;
  readonly seconds: number;
  /** Of the process that runs the query; in embedded sides with the log. */
  readonly engineCpuSeconds: number;
  readonly brokerCpuSeconds: number;
  readonly engineResidentBytesMax: number;
  /** From the start of the process to its first commit. */
  readonly firstCommitSeconds: number;
  readonly othersCores: number;
}

interface Moment {
  readonly ms: number;
  readonly committed: number;
  readonly ended: number;
  readonly engineCpu: number;
  readonly brokerCpu: number;
}

/** Waits until all `bids` are through. @throws {BenchFailure} when it ends, or stands still */
export async function watchRun(side: RunningSide, bids: number): Promise<RunFigures> {
  const startedMs = performance.now();
  const connection = await connect(side);
  try {
    let residentBytes = 0;
    let first: Moment | undefined;
    let last: Moment | undefined;
    let firstCommitSeconds = 0;
    let cores = watchCores();
    let othersCores = 0;
    for (;;) {
      const now = await look(side, connection);
      residentBytes = Math.max(residentBytes, side.engine.usage().residentBytes);
      if (now.committed > 0 && firstCommitSeconds === 0)
        firstCommitSeconds = (now.ms - startedMs) / 1000;
      if (now.committed >= bids * WARM_SHARE && first === undefined) {
        first = now;
        cores = watchCores();
      }
      if (now.committed !== last?.committed || now.ended !== last.ended) {
        last = now;
        othersCores = cores().others;
      }
      if (first !== undefined && now.committed >= bids && now.ms - last.ms > QUIET_MS) {
        return {
          records: bids - first.committed,
          seconds: (last.ms - first.ms) / 1000,
          engineCpuSeconds: last.engineCpu - first.engineCpu,
          brokerCpuSeconds: last.brokerCpu - first.brokerCpu,
          engineResidentBytesMax: residentBytes,
          firstCommitSeconds,
          othersCores,
        };
      }
      if (side.engine.hasExited() || now.ms - startedMs > TIMEOUT_MS)
        throw new BenchFailure(
          `the query stopped at ${now.committed} of ${bids} bids; last words:\n${tail(side.engine.logFile)}`,
        );
      await sleep(POLL_MS);
    }
  } finally {
    connection.close();
  }
}

async function look(side: RunningSide, connection: WireConnection): Promise<Moment> {
  const [committed, ended] = await Promise.all([
    committedOffsets(connection, GROUP, BIDS),
    listOffsets(connection, OUTPUT, 'end'),
  ]);
  return {
    ms: performance.now(),
    committed: sum(committed),
    ended: sum(ended),
    engineCpu: side.engine.usage().cpuSeconds,
    brokerCpu: side.broker?.usage().cpuSeconds ?? 0,
  };
}

/** An embedded log can be reached once the process has opened it. */
export async function whenReachable(side: RunningSide): Promise<void> {
  (await connect(side)).close();
}

async function connect(side: RunningSide): Promise<WireConnection> {
  const address: Address = side.address;
  for (;;) {
    try {
      return await WireConnection.open(address);
    } catch (error) {
      if (side.engine.hasExited())
        throw new BenchFailure(`it ended; last words:\n${tail(side.engine.logFile)}`, {
          cause: error,
        });
      await sleep(POLL_MS);
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
