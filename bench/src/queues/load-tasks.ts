/** What a process that makes load for a queue is told, and what it tells: messages between it and the benchmark. */
import type { Address } from '../clients/receiving-socket.ts';
import type { QueueClientName } from './side-names.ts';

interface Task {
  readonly client: QueueClientName;
  readonly address: Address;
  readonly queue: string;
  readonly bodyBytes: number;
  /** What is counted happens between these, of `monotonicMs`. */
  readonly fromMs: number;
  readonly toMs: number;
}

export interface PublishTask extends Task {
  readonly kind: 'publish';
  /** At most so many messages wait for their confirms. */
  readonly open: number;
  /** Messages a second, sent when they are due; undefined: as fast as `open` allows. */
  readonly rate: number | undefined;
  /** Stops after so many messages; undefined: at `toMs`. */
  readonly count: number | undefined;
}

export interface ConsumeTask extends Task {
  readonly kind: 'consume';
  readonly prefetch: number;
}

/** To a consumer: it ends when it has seen so many messages, since its beginning. */
export interface EndTask {
  readonly kind: 'end';
  readonly count: number;
}

export type LoadTask = PublishTask | ConsumeTask | EndTask;

export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

export interface PublishFigures {
  readonly kind: 'published';
  /** All that were sent: each of them was confirmed. */
  readonly count: number;
  /** Confirmed within the window. */
  readonly inWindow: number;
  /** From the first message to the last confirm. */
  readonly seconds: number;
  /** From when a message was due to its confirm, of those sent within the window. */
  readonly latencies: Latencies;
  /** Of this process, within the window. */
  readonly cpuSeconds: number;
}

export interface ConsumeFigures {
  readonly kind: 'consumed';
  readonly count: number;
  readonly inWindow: number;
  /** From the first message to the last. */
  readonly seconds: number;
  /** From when a message was due to its delivery. */
  readonly latencies: Latencies;
  readonly cpuSeconds: number;
  /** Of all sequence numbers: with `count` it tells whether each came once. */
  readonly sequenceSum: number;
  /** Bodies that are not what was sent. */
  readonly badCount: number;
}

export type LoadReport =
  | { readonly kind: 'ready' }
  | PublishFigures
  | ConsumeFigures
  | { readonly kind: 'failed'; readonly message: string };

const OFFSET_MS = clockOffsetMs();

/** A clock that all processes of the machine share, milliseconds. */
export function monotonicMs(): number {
  return performance.now() + OFFSET_MS;
}

/** Between this process's clock and the machine's: of several looks at both the one in which nothing came between. */
function clockOffsetMs(): number {
  let best = { spreadMs: Number.POSITIVE_INFINITY, offsetMs: 0 };
  for (let look = 0; look < 50; look++) {
    const beforeMs = performance.now();
    const machineMs = Number(process.hrtime.bigint()) / 1e6;
    const afterMs = performance.now();
    const spreadMs = afterMs - beforeMs;
    if (spreadMs < best.spreadMs)
      best = { spreadMs, offsetMs: machineMs - (beforeMs + afterMs) / 2 };
  }
  return best.offsetMs;
}
