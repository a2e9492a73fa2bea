/**
 * One run of a broker on a fresh directory. Owns: the directory, the measuring of memory and CPU time while a piece
 * of work runs, and the quiet before each measurement.
 *
 * Invariant: what one side left unwritten in the page cache is gone or on the disk before the next one is measured.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  dropTopic,
  makeTopic,
  type TopicShape,
  wireConsume,
  wireProduce,
} from './clients/wire-load.ts';
import type { PeerVariant, RunningPeer } from './peers/peer.ts';

const run = promisify(execFile);

const MEMORY_EVERY_MS = 50;
const WARM_UP_MS = 1500;
const WARM_UP_TOPIC = { name: 'warm-up', partitionCount: 8 };
const WARM_UP_RECORD_BYTES = 512;

export interface Window {
  readonly brokerCpuSeconds: number;
  readonly brokerResidentBytesMax: number;
}

export interface Session {
  readonly variant: PeerVariant;
  readonly peer: RunningPeer;
  /** Runs `use` on a new topic of the side's configuration, then deletes the topic. */
  withTopic<T>(topic: TopicShape, use: (topic: TopicShape) => Promise<T>): Promise<T>;
  /** Measures the broker between `begin` and `end`, which `work` calls through the function it is given. */
  measured<T>(
    work: (onWindow: (edge: 'begin' | 'end') => void) => Promise<T>,
  ): Promise<{ readonly result: T; readonly window: Window }>;
}

/** Starts a side in a fresh directory below `folder`, runs `use`, stops the side and removes the directory. */
export async function withSession<T>(
  variant: PeerVariant,
  folder: string,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  await settle(folder);
  const dataDir = mkdtempSync(join(folder, `${variant.name}-`));
  try {
    const peer = await variant.start(dataDir);
    try {
      return await use(makeSession(variant, peer, folder));
    } finally {
      await peer.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Lets a broker see some load before it is measured: the JVM and V8 compile what is hot. */
export async function warmUp(session: Session): Promise<void> {
  await session.withTopic(WARM_UP_TOPIC, async (topic) => {
    await wireProduce({
      address: session.peer,
      topic,
      recordBytes: WARM_UP_RECORD_BYTES,
      warmupMs: WARM_UP_MS / 2,
      measureMs: WARM_UP_MS / 2,
    });
    await wireConsume(session.peer, topic);
  });
}

/** Writes out what is dirty on the file system of `folder`. */
export async function settle(folder: string): Promise<void> {
  await run('sync', ['-f', folder]);
}

function makeSession(variant: PeerVariant, peer: RunningPeer, folder: string): Session {
  return {
    variant,
    peer,
    withTopic: async (topic, use) => {
      await makeTopic(peer, { ...topic, config: variant.topicConfig });
      try {
        return await use(topic);
      } finally {
        await dropTopic(peer, topic.name);
        await settle(folder);
      }
    },
    measured: (work) => measure(peer, work),
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
  try {
    const result = await work((edge) => {
      sample();
      if (edge === 'begin') begin = peer.usage().cpuSeconds;
      else end = peer.usage().cpuSeconds;
    });
    const brokerCpuSeconds = (end ?? peer.usage().cpuSeconds) - begin;
    return { result, window: { brokerCpuSeconds, brokerResidentBytesMax } };
  } finally {
    clearInterval(sampler);
  }
}
