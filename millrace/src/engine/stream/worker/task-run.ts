/** One open task, with where its inputs stand. */
import type { LogRecords, TopicPartition } from '../../../client/log.ts';
import type { StreamTask } from '../task.ts';
import { STREAM_TURN_RECORDS_MAX, STREAM_TURN_RECORDS_MIN } from '../../../core/stream-limits.ts';
import { taskName } from './assign-tasks.ts';
import type { TaskStatus } from './worker-types.ts';

/** A turn of one task should take between these. */
const TURN_MS_MIN = 1;
const TURN_MS_MAX = 5;
const TURN_RECORDS_FIRST = 256;

/** NOTE: a key within this process only. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

export interface InputPosition extends TopicPartition {
  /** What is committed. */
  offset: number;
  /** It was not committed by anybody: the next commit does it, so that a restart begins at the same place. */
  isNew: boolean;
  end: number | undefined;
}

export class TaskRun {
  readonly task: StreamTask;
  readonly name: string;
  readonly inputs = new Map<string, InputPosition>();
  isRestored = false;
  /** When `tick` is due, by the wall clock. */
  nextTick = 0;
  /** One past the last record of each changelog that this task knows of. */
  readonly changelogEnds = new Map<string, number>();
  /** Of the state, at the last commit. */
  committedBytes = 0;
  /** T at the last commit. */
  committedTime = Number.NEGATIVE_INFINITY;
  /** Of the last commit, by the wall clock; undefined: there was none yet. */
  committedAt: number | undefined;
  #turnRecords = TURN_RECORDS_FIRST;

  constructor(task: StreamTask) {
    this.task = task;
    this.name = taskName(task.id);
  }

  /** Where to read on, from the last commit. */
  positions(): (TopicPartition & { readonly offset: number })[] {
    return [...this.inputs.values()].map(({ topic, partition, offset }) => ({
      topic,
      partition,
      offset,
    }));
  }

  add(records: LogRecords): void {
    const input = this.inputs.get(partitionKey(records.topic, records.partition));
    if (input === undefined) return;
    input.end = records.end;
    this.task.add(records);
  }

  /** Processes for a few milliseconds. @returns records */
  process(monotonicMs: () => number): number {
    const before = monotonicMs();
    const count = this.task.process(this.#turnRecords);
    const tookMs = monotonicMs() - before;
    if (tookMs > TURN_MS_MAX)
      this.#turnRecords = Math.max(STREAM_TURN_RECORDS_MIN, this.#turnRecords >> 1);
    else if (tookMs < TURN_MS_MIN && count === this.#turnRecords)
      this.#turnRecords = Math.min(STREAM_TURN_RECORDS_MAX, this.#turnRecords << 1);
    return count;
  }

  /** Whether it has anything to commit. */
  get isDirty(): boolean {
    if (this.task.isDirty) return true;
    for (const { isNew } of this.inputs.values()) if (isNew) return true;
    return false;
  }

  /** What the transaction has to carry of this task. */
  offsets(): (TopicPartition & { readonly offset: number; readonly metadata: string })[] {
    const changed = [...this.task.offsets()];
    const named = new Set(changed.map(({ topic, partition }) => partitionKey(topic, partition)));
    for (const [key, { topic, partition, offset, isNew }] of this.inputs) {
      if (isNew && !named.has(key)) changed.push({ topic, partition, offset, metadata: '' });
    }
    return changed;
  }

  committed(
    offsets: readonly (TopicPartition & { readonly offset: number })[],
    nextOffset: (changelog: TopicPartition) => number | undefined,
    nowMs: number,
  ): void {
    for (const { topic, partition, offset } of offsets) {
      const input = this.inputs.get(partitionKey(topic, partition));
      if (input === undefined) continue;
      input.offset = offset;
      input.isNew = false;
    }
    for (const { topic, partition } of this.task.changelogs) {
      const next = nextOffset({ topic, partition });
      if (next !== undefined) this.changelogEnds.set(partitionKey(topic, partition), next);
    }
    this.task.committed(nextOffset);
    this.committedTime = this.task.watermark;
    this.committedAt = nowMs;
    this.committedBytes = this.task.state.bytes;
  }

  get status(): TaskStatus {
    return {
      task: this.task.id,
      phase: this.isRestored ? 'running' : 'restoring',
      watermark: this.task.watermark,
      counters: { ...this.task.metrics },
      stateBytes: this.task.state.bytes,
      inputs: [...this.inputs.values()].map(({ topic, partition, offset, end }) => ({
        topic,
        partition,
        offset,
        end,
      })),
    };
  }
}
