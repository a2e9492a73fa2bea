/** Sources and sinks in memory, and a run of a whole flow in this process: what tests of the batch engine look at. */
import type { Env } from '../../src/core/env.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { memoryStorage } from '../../src/engine/batch/exchange/run-storage.ts';
import type { RunStorage } from '../../src/engine/batch/exchange.ts';
import { type LocalRun, runLocally } from './local-run.ts';
import { runTask, type TaskEnvironment } from '../../src/engine/batch/task/run-task.ts';
import type { Plan } from '../../src/flow/plan.ts';
import type { Sink, SinkWriter, Writable } from '../../src/flow/sink.ts';
import type { Readable, Source } from '../../src/flow/source.ts';

export interface MemoryRecord {
  readonly value: unknown;
  readonly key: unknown;
}

export interface MemorySource<T> extends Readable<T, undefined> {
  readonly records: readonly MemoryRecord[];
}

/** Splits have about `splitBytes` records, and a record one byte. Every `chunk` records the reader takes a rest. */
export function memorySource<T>(values: readonly T[], chunk = 7): MemorySource<T> {
  const records = values.map((value) => ({ value, key: undefined }));
  const source: Source<T, undefined> = {
    kind: 'source',
    format: 'memory',
    label: 'memory',
    paths: [],
    columns: undefined,
    plan: ({ splitBytes }) => {
      const splits = [];
      for (let start = 0; start < values.length; start += splitBytes) {
        const end = Math.min(start + splitBytes, values.length);
        splits.push({
          index: splits.length,
          bytes: end - start,
          label: `[${start}, ${end})`,
          data: { start, end },
        });
      }
      return Promise.resolve({ splits, files: [] });
    },
    open: (split, context) => {
      const { start, end } = split.data as { readonly start: number; readonly end: number };
      let at = start;
      return {
        read: (emit) => {
          for (let count = 0; count < chunk; count++) {
            if (at >= end) return true;
            const value = values[at++] as T;
            if (value instanceof Malformed) context.malformed(value.error, value.raw);
            else if (!emit(value, undefined)) break;
          }
          return false;
        },
        get consumedBytes() {
          return at - start;
        },
        position: () => `memory:${at}`,
        mark: () => at,
        locate: (mark) => `memory:${mark}`,
        close: () => {},
      };
    },
  };
  return { records, source: () => source };
}

/** Stands for a record that cannot be decoded. */
export class Malformed {
  readonly error: Error;
  readonly raw: string;

  constructor(error: Error, raw: string) {
    this.error = error;
    this.raw = raw;
  }
}

export interface MemorySink extends Writable<unknown, unknown> {
  /** By the number of the task. */
  readonly parts: Map<number, MemoryRecord[]>;
  /** Writers that were opened, and neither finished nor aborted. */
  open(): number;
  /** All of it, in order. */
  records(): MemoryRecord[];
  values(): unknown[];
}

export interface MemorySinkOptions {
  readonly arrangement?: Sink['arrangement'];
  /** Says that it is busy after every so many records. */
  readonly busyAfter?: number;
  readonly refuses?: (value: unknown) => Error | undefined;
}

export function memorySink(options: MemorySinkOptions = {}): MemorySink {
  const parts = new Map<number, MemoryRecord[]>();
  const { arrangement = 'any', busyAfter = Number.POSITIVE_INFINITY, refuses } = options;
  const writers: MemoryWriter[] = [];
  const sink: Sink<unknown, unknown> = {
    kind: 'sink',
    format: 'memory',
    label: 'memory',
    target: { kind: 'directory', path: `/nowhere/${sinks++}`, extension: '.memory' },
    arrangement,
    partBytes: undefined,
    open: ({ task }) => {
      const writer = new MemoryWriter(parts, task, busyAfter, refuses);
      writers.push(writer);
      return writer;
    },
  };
  const records = (): MemoryRecord[] =>
    [...parts].toSorted(([a], [b]) => a - b).flatMap(([, part]) => part);
  return {
    sink: () => sink,
    parts,
    open: () => writers.filter(({ isOpen }) => isOpen).length,
    records,
    values: () => records().map(({ value }) => value),
  };
}

/** A flow does not write twice to one place. */
let sinks = 0;

class MemoryWriter implements SinkWriter<unknown, unknown> {
  isBusy = false;
  isOpen = true;
  private readonly parts: Map<number, MemoryRecord[]>;
  private readonly task: number;
  private readonly busyAfter: number;
  private readonly refuses: MemorySinkOptions['refuses'];
  private readonly records: MemoryRecord[] = [];

  constructor(
    parts: Map<number, MemoryRecord[]>,
    task: number,
    busyAfter: number,
    refuses: MemorySinkOptions['refuses'],
  ) {
    this.parts = parts;
    this.task = task;
    this.busyAfter = busyAfter;
    this.refuses = refuses;
  }

  write(value: unknown, key: unknown): void {
    if (this.isBusy) throw new Error('a sink that is busy was written to');
    const refused = this.refuses?.(value);
    if (refused !== undefined) throw refused;
    this.records.push({ value, key });
    this.isBusy = this.records.length % this.busyAfter === 0;
  }

  async drain(): Promise<void> {
    await Promise.resolve();
    this.isBusy = false;
  }

  finish(): ReturnType<SinkWriter['finish']> {
    this.isOpen = false;
    this.parts.set(this.task, this.records);
    const { length } = this.records;
    return Promise.resolve([{ path: `/part-${this.task}`, bytes: length, records: length }]);
  }

  abort(): Promise<void> {
    this.isOpen = false;
    return Promise.resolve();
  }
}

export interface RunOptions {
  /** Records of a split; default: all. */
  readonly splitRecords?: number;
  /** Records of a task; default: those of a split. */
  readonly packRecords?: number;
  readonly memoryBytes?: number;
  readonly partitions?: number;
  /** Bytes from which a key of a join is hot. */
  readonly hotKeyBytes?: number;
  readonly signal?: AbortSignal;
  /** Where runs go; default: to memory. */
  readonly storage?: RunStorage;
  /** Instead of the real one. */
  readonly env?: Env;
}

/** Runs a plan; its sinks have the output. */
export function runPlan(plan: Plan, options: RunOptions = {}): Promise<LocalRun> {
  const storage = options.storage ?? memoryStorage(Number.POSITIVE_INFINITY, NO_STORAGE);
  const environment: TaskEnvironment = {
    env: options.env ?? realEnv(),
    directory: '/',
    brokers: undefined,
    storage: () => storage,
    signal: options.signal ?? new AbortController().signal,
    onProgress: () => {},
  };
  return runLocally({
    plan,
    environment,
    runTask,
    storage,
    memoryBytes: options.memoryBytes ?? 64 * 1024 * 1024,
    partitions: options.partitions,
    hotKeyBytes: options.hotKeyBytes,
    splitBytes: options.splitRecords ?? 1_000_000,
    packBytes: options.packRecords,
    writeDirectory: () => '/',
    skippedDirectory: () => '/',
  });
}

export const NO_STORAGE: RunStorage = {
  create: () => {
    throw new Error('nothing goes to files');
  },
  open: (path) => {
    throw new Error(`no run ${path}`);
  },
  remove: () => {},
};
