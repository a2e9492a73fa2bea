/**
 * Deletes records that the flow has read and committed: those of its repartition topics, since nobody else reads them, and those of queues,
 * since who has taken a message from a queue has taken it out.
 *
 * Invariant: nothing is deleted that is not behind what the group has committed.
 */
import type { Log, TopicPartition } from '../../../client/log.ts';
import { Background } from '../../../core/background.ts';
import { STREAM_PURGE_MS, STREAM_TAKE_MS } from '../../../core/stream-limits.ts';
import type { Topology } from '../topology.ts';
import type { TaskRun } from './task-run.ts';
import { partitionKey } from './task-run.ts';

type Place = TopicPartition & { readonly offset: number };

export interface InputPurgeOptions {
  readonly log: Log;
  readonly topology: Topology;
  /** What could not be deleted is deleted next time. */
  readonly onFailure: (error: unknown) => void;
}

export class InputPurge {
  readonly #log: Log;
  /** Which topics are purged how often. */
  readonly #kinds: readonly Kind[];
  /** Of each partition: before which offset its records are deleted. */
  readonly #purged = new Map<string, number>();
  readonly #background: Background;

  constructor({ log, topology, onFailure }: InputPurgeOptions) {
    this.#log = log;
    const nowMs = log.env.clock.monotonicMs();
    this.#kinds = [
      {
        topics: new Set(topology.internalTopics.map(({ name }) => name)),
        everyMs: STREAM_PURGE_MS,
        dueMs: nowMs + STREAM_PURGE_MS,
      },
      // At once the first time: the last run may have ended between its commit and this.
      { topics: queuesOf(topology), everyMs: STREAM_TAKE_MS, dueMs: nowMs },
    ];
    this.#background = new Background(onFailure);
  }

  /** What is due. Nobody waits for it. */
  run(runs: readonly TaskRun[]): void {
    if (this.#background.count > 0) return;
    const nowMs = this.#log.env.clock.monotonicMs();
    const due = this.#kinds.filter(({ topics, dueMs }) => topics.size > 0 && nowMs >= dueMs);
    if (due.length === 0) return;
    for (const kind of due) kind.dueMs = nowMs + kind.everyMs;
    this.#delete(runs, (topic) => due.some(({ topics }) => topics.has(topic)));
  }

  /** What was taken from queues, all of it. Never rejects. */
  async finish(runs: readonly TaskRun[]): Promise<void> {
    await this.#background.settled();
    this.#delete(runs, (topic) => this.#kinds[1]?.topics.has(topic) === true);
    await this.#background.settled();
  }

  #delete(runs: readonly TaskRun[], isWanted: (topic: string) => boolean): void {
    const before: Place[] = [];
    for (const run of runs)
      for (const place of run.positions()) {
        const known = this.#purged.get(partitionKey(place.topic, place.partition)) ?? 0;
        if (isWanted(place.topic) && place.offset > known) before.push(place);
      }
    if (before.length > 0) this.#background.run('purge', this.#deleteBefore(before));
  }

  async #deleteBefore(before: readonly Place[]): Promise<void> {
    await this.#log.deleteRecords(before);
    for (const { topic, partition, offset } of before)
      this.#purged.set(partitionKey(topic, partition), offset);
  }
}

interface Kind {
  readonly topics: ReadonlySet<string>;
  readonly everyMs: number;
  /** By the monotonic clock. */
  dueMs: number;
}

/** Topics that the flow takes records from. */
export function queuesOf({ stages }: Topology): ReadonlySet<string> {
  return new Set(
    stages.flatMap(({ inputs }) =>
      inputs.flatMap(({ from, topic }) =>
        from.kind === 'source' && from.port.isTaken === true ? [topic] : [],
      ),
    ),
  );
}
