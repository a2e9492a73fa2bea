/**
 * A broker under measurement, whichever it is. Owns: the contract that Kafka's and Millrace's starters fulfil, and
 * the wait for the first answered request, which is the same for both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer } from 'node:net';
import type { Address } from '../clients/receiving-socket.ts';
import { WireConnection } from '../clients/wire-connection.ts';
import { apiVersions } from '../clients/wire-requests.ts';
import { BenchFailure } from '../failure.ts';
import { type Started, tail, type Usage } from '../process.ts';

export interface RunningPeer {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** From starting the process to its first answered request (ApiVersions), milliseconds. */
  readonly startMs: number;
  readonly logFile: string;
  usage(): Usage;
  /** Stops the process by its own id and resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
}

/** One way to run a broker, as a column of the result. */
export interface PeerVariant {
  /** Stable name in the results: `kafka`, `kafka-sync`, `millrace`, `millrace-os`. */
  readonly name: string;
  /** What an acknowledgement means here, in words. */
  readonly durability: string;
  /** Configuration of every topic the benchmark creates on it. */
  readonly topicConfig: Readonly<Record<string, string>>;
  /** Version of the program, for the record. */
  readonly version: string;
  /** Starts it on `dataDir`, which is empty or does not exist. */
  start(dataDir: string): Promise<RunningPeer>;
}

const POLL_MS = 5;
const READY_TIMEOUT_MS = 60_000;

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/**
 * Waits until the broker answers (ApiVersions, unless told otherwise) and returns how long that took, milliseconds, since `startedAtMs`
 * (of `performance.now`).
 * @throws {BenchFailure} when the process ends first, or does not answer within a minute
 */
export async function untilAnswering(
  started: Started,
  at: Address,
  startedAtMs: number,
  answers: (at: Address) => Promise<void> = answersKafka,
): Promise<number> {
  while (performance.now() - startedAtMs < READY_TIMEOUT_MS) {
    if (started.hasExited()) {
      throw new BenchFailure(
        `the broker ended before it answered; its last words:\n${tail(started.logFile)}`,
      );
    }
    try {
      await answers(at);
      return performance.now() - startedAtMs;
    } catch {
      await sleep(POLL_MS);
    }
  }
  throw new BenchFailure(
    `the broker did not answer on ${at.host}:${at.port} within ${READY_TIMEOUT_MS / 1000} s; its last words:\n${tail(started.logFile)}`,
  );
}

async function answersKafka(at: Address): Promise<void> {
  const connection = await WireConnection.open(at);
  try {
    await apiVersions(connection);
  } finally {
    connection.close();
  }
}
