/**
 * One run of a broker on a fresh directory. Owns: the directory, the measuring of memory and CPU time while a piece
 * of work runs, and the quiet before each measurement.
 *
 * Invariant: what one side left unwritten in the page cache is gone or on the disk before the next one is measured.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  dropTopic,
  makeTopic,
  type TopicShape,
  wireConsume,
  wireProduce,
} from './clients/wire-load.ts';
import type { PeerVariant, RunningPeer } from './peers/peer.ts';
import { BenchFailure } from './failure.ts';
import { DISTURBED_CORES } from './samples.ts';
import { type CoreUse, tail, watchCores } from './process.ts';

const run = promisify(execFile);

const MEMORY_EVERY_MS = 50;
const WARM_UP_ROUND_MS = 600;
const WARM_UP_ROUNDS_MAX = 12;
/** A round that is not this much faster than the best before it is the last. */
const WARM_UP_GAIN = 1.05;
const WARM_UP_TOPIC = { name: 'warm-up', partitionCount: 8 };
const WARM_UP_RECORD_BYTES = 512;

export interface Window {
  readonly brokerCpuSeconds: number;
  readonly brokerResidentBytesMax: number;
  /** Cores that processes which are not ours kept busy meanwhile, on average. */
  readonly othersCores: number;
  /** Cores that the client kept busy. */
  readonly clientCores: number;
}

const QUIET_PROBE_MS = 500;

export interface Session {
  readonly variant: PeerVariant;
  readonly peer: RunningPeer;
  /** Cores that others kept busy while the broker started. */
  readonly startOthersCores: number;
  /** Runs `use` on a new topic of the side's configuration, then deletes the topic. */
  withTopic<T>(topic: TopicShape, use: (topic: TopicShape) => Promise<T>): Promise<T>;
  /** Waits for quiet, then measures the broker between `begin` and `end`, which `work` calls through the function it
   * is given, or all the time when it does not. */
  measured<T>(
    work: (onWindow: (edge: 'begin' | 'end') => void) => Promise<T>,
  ): Promise<{ readonly result: T; readonly window: Window }>;
}

export interface SessionPlace {
  /** Where the data directories are made. */
  readonly folder: string;
  /** How long to wait for others to leave the machine alone, before the start and each measurement. */
  readonly patienceMs: number;
  /** Leaves nothing of the past to be written while the next thing is measured: `syncFileSystem`. */
  settle(): Promise<void>;
}

/** Starts a side in a fresh directory, runs `use`, stops the side and removes the directory. */
export async function withSession<T>(
  variant: PeerVariant,
  place: SessionPlace,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  await place.settle();
  await untilQuiet(place.patienceMs);
  const dataDir = mkdtempSync(join(place.folder, `${variant.name}-`));
  try {
    const cores = watchCores();
    const peer = await variant.start(dataDir);
    const startOthersCores = cores().others;
    try {
      return await use(makeSession({ variant, peer, startOthersCores, place }));
    } catch (error) {
      throw withLastWords(error, peer);
    } finally {
      await peer.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/**
 * Lets a broker see load until it gets no faster: the JVM, and V8, compile what is hot, and how long that takes depends
 * on the machine. Without it the JVM would be measured while it interprets.
 */
export async function warmUp(session: Session): Promise<void> {
  await session.withTopic(WARM_UP_TOPIC, async (topic) => {
    let best = 0;
    for (let round = 0; round < WARM_UP_ROUNDS_MAX; round++) {
      const { records, seconds } = await wireProduce({
        address: session.peer,
        topic,
        recordBytes: WARM_UP_RECORD_BYTES,
        warmupMs: 0,
        measureMs: WARM_UP_ROUND_MS,
      });
      const rate = records / seconds;
      if (round > 1 && rate < best * WARM_UP_GAIN) break;
      best = Math.max(best, rate);
    }
    await wireConsume(session.peer, topic);
  });
}

/**
 * Waits until others leave the machine alone for half a second, or for `patienceMs` at most. Returns whether it is
 * quiet; without patience it does not look.
 */
async function untilQuiet(patienceMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + patienceMs;
  while (performance.now() < deadlineMs) {
    const cores = watchCores();
    await sleep(QUIET_PROBE_MS);
    if (cores().others < DISTURBED_CORES) return true;
  }
  return false;
}

/** Writes out what is dirty on the file system of `folder`. */
export async function syncFileSystem(folder: string): Promise<void> {
  await run('sync', ['-f', folder]);
}

/** What went wrong, and what the broker said about it: its log goes with its directory. */
function withLastWords(error: unknown, peer: RunningPeer): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new BenchFailure(`${message}; the broker's last words:\n${tail(peer.logFile)}`, {
    cause: error,
  });
}

function makeSession(
  of: Pick<Session, 'variant' | 'peer' | 'startOthersCores'> & { readonly place: SessionPlace },
): Session {
  const { variant, peer, startOthersCores, place } = of;
  return {
    variant,
    peer,
    startOthersCores,
    withTopic: async (topic, use) => {
      await makeTopic(peer, { ...topic, config: variant.topicConfig });
      try {
        return await use(topic);
      } finally {
        await dropTopic(peer, topic.name);
        await place.settle();
      }
    },
    measured: async (work) => {
      await untilQuiet(place.patienceMs);
      return measure(peer, work);
    },
  };
}

async function measure<T>(
  peer: RunningPeer,
  work: (onWindow: (edge: 'begin' | 'end') => void) => Promise<T>,
): Promise<{ readonly result: T; readonly window: Window }> {
  let brokerResidentBytesMax = 0;
  const sample = (): void => {
    brokerResidentBytesMax = Math.max(brokerResidentBytesMax, peer.usage().residentBytes);
  };
  const sampler = setInterval(sample, MEMORY_EVERY_MS);
  let begin = peer.usage().cpuSeconds;
  let end: number | undefined;
  let cores = watchCores();
  let used: CoreUse | undefined;
  let beganMs = performance.now();
  let endedMs: number | undefined;
  try {
    const result = await work((edge) => {
      sample();
      if (edge === 'begin') {
        begin = peer.usage().cpuSeconds;
        cores = watchCores();
        beganMs = performance.now();
      } else {
        end = peer.usage().cpuSeconds;
        used = cores();
        endedMs = performance.now();
      }
    });
    const brokerCpuSeconds = (end ?? peer.usage().cpuSeconds) - begin;
    used ??= cores();
    const seconds = ((endedMs ?? performance.now()) - beganMs) / 1000;
    const clientCores = Math.max(0, used.ours - brokerCpuSeconds / seconds);
    const othersCores = used.others;
    const window = { brokerCpuSeconds, brokerResidentBytesMax, othersCores, clientCores };
    return { result, window };
  } finally {
    clearInterval(sampler);
  }
}
