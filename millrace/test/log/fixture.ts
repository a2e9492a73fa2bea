/** A small log store on a simulated machine, and the few things that its tests do with it again and again. */
import { expect } from 'vitest';
import type { Env } from '../../src/core/env.ts';
import { readWholeFile } from '../../src/core/files.ts';
import { SimMachine, type SimOptions } from '../../src/core/sim/sim-machine.ts';
import { readFileHeader } from '../../src/log/journal-format.ts';
import type { LogStoreOptions } from '../../src/log/log-store-options.ts';
import { type DiskLogStore, openLogStore } from '../../src/log/log-store.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import type { AppendOptions, Isolation, LogConfig, LogId } from '../../src/log/types.ts';
import { batchBytes, lastOffset } from '../../src/wire/kafka/records/record-batch.ts';
import {
  type BatchOptions,
  encodeBatch,
} from '../../src/wire/kafka/records/record-batch-builder.ts';
import { readRecords } from '../../src/wire/kafka/records/record-reader.ts';

export const DIRECTORY = '/data';

/** Segments of a few batches, an index entry for nearly each: so that a short test rolls and looks up. */
export const SMALL: LogConfig = {
  segmentBytes: 2048,
  segmentMs: 7 * 86_400_000,
  indexIntervalBytes: 200,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: true,
  cleanupCompact: false,
  deleteRetentionMs: 86_400_000,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  flush: 'commit',
  flushMs: 1000,
  appendTime: false,
};

export const SMALL_STORE: Omit<LogStoreOptions, 'onFatal' | 'directory'> = {
  verifyReads: 'all',
  journalFileBytes: 8 * 1024,
  journalBytesMax: 32 * 1024,
  checkpointJournalBytes: 12 * 1024,
  checkpointIntervalMs: 60_000,
  reserveBytes: 16 * 1024,
};

export function logId(number: number, partition = 0): LogId {
  return { topicId: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`, partition };
}

export interface TestStore {
  readonly machine: SimMachine;
  readonly store: DiskLogStore;
  readonly fatal: unknown[];
}

/** Opens the store without any log. */
export async function openStore(
  machine: SimMachine,
  env: Env,
  options: Partial<LogStoreOptions> = {},
): Promise<TestStore> {
  const fatal: unknown[] = [];
  const store = await machine.run(
    openLogStore(env, {
      ...SMALL_STORE,
      directory: DIRECTORY,
      onFatal: (error) => fatal.push(error),
      ...options,
    }),
  );
  return { machine, store, fatal };
}

/** A machine, a store with one log on it, ready for appends. */
export async function openOne(
  config: Partial<LogConfig> = {},
  options: Partial<LogStoreOptions> & { readonly seed?: number; readonly sim?: SimOptions } = {},
): Promise<TestStore & { readonly log: DiskLog }> {
  const { seed = 1, sim, ...storeOptions } = options;
  const machine = new SimMachine(seed, sim);
  const opened = await openStore(machine, machine.boot(), storeOptions);
  const log = opened.store.openLog(logId(1), { ...SMALL, ...config });
  await machine.run(opened.store.finishRecovery());
  return { ...opened, log };
}

/** Starts the store again, after a stop of any kind, with the one log that `openOne` has made. */
export async function reopenOne(
  machine: SimMachine,
  env: Env,
  config: Partial<LogConfig> = {},
  options: Partial<LogStoreOptions> = {},
): Promise<TestStore & { readonly log: DiskLog }> {
  const opened = await openStore(machine, env, options);
  const log = opened.store.openLog(logId(1), { ...SMALL, ...config });
  await machine.run(opened.store.finishRecovery());
  return { ...opened, log };
}

/** A batch of records with these values, one millisecond apart from `timestampMs` on. */
export function batchOf(
  values: readonly string[],
  options: BatchOptions & { readonly timestampMs?: number } = {},
): Buffer {
  const { timestampMs = 1_000_000, ...batch } = options;
  return encodeBatch(
    values.map((value, index) => ({ timestamp: timestampMs + index, key: `k${index}`, value })),
    batch,
  );
}

/** Appends and expects to be accepted. Returns the base offset. */
export function append(
  log: DiskLog,
  batch: Buffer,
  origin: AppendOptions['origin'] = 'client',
): number {
  const result = log.append(batch, { origin });
  if (!result.ok) throw new Error(`${result.error}: ${result.message}`);
  return result.baseOffset;
}

/** Appends batches of one record, and waits until all are durable. */
export async function appendDurably(
  opened: { readonly machine: SimMachine; readonly log: DiskLog },
  values: readonly string[],
): Promise<void> {
  for (const value of values) append(opened.log, batchOf([value]));
  await opened.machine.run(opened.log.whenDurable(opened.log.logEndOffset));
}

export function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index} ${'x'.repeat(40)}`);
}

/** The journal file with this sequence, and what is in it. */
export function journalFile(env: Env, sequence: number): { path: string; bytes: Buffer } {
  for (const name of env.fs.list(`${DIRECTORY}/journal`)) {
    const path = `${DIRECTORY}/journal/${name}`;
    const bytes = readWholeFile(env.fs, path);
    if (readFileHeader(bytes)?.fileSequence === sequence) return { path, bytes };
  }
  throw new Error(`no journal file with sequence ${sequence}`);
}

export interface ReadBack {
  readonly offset: number;
  readonly value: string;
}

/** Everything from `from` to the limit of the isolation. Fails on any error and on bytes that are not whole batches. */
export async function readAll(
  machine: SimMachine,
  log: DiskLog,
  options: {
    readonly from?: number;
    readonly isolation?: Isolation;
    readonly maxBytes?: number;
  } = {},
): Promise<ReadBack[]> {
  const found: ReadBack[] = [];
  let offset = options.from ?? log.logStartOffset;
  for (;;) {
    const result = await machine.run(
      log.read(offset, {
        maxBytes: options.maxBytes ?? 700,
        atLeastOneBatch: true,
        isolation: options.isolation ?? 'read_uncommitted',
      }),
    );
    expect(result.error, `offset ${offset}`).toBe('NONE');
    if (result.records.length === 0) return found;
    offset = collect(result.records, offset, found);
    result.release();
  }
}

/** Adds the records of whole batches at or behind `offset`. Returns the offset after the last. */
export function collect(records: Buffer, offset: number, found: ReadBack[]): number {
  let next = offset;
  let at = 0;
  while (at < records.length) {
    const end = at + batchBytes(records, at);
    expect(end).toBeLessThanOrEqual(records.length);
    for (const record of readRecords(records, at, end)) {
      if (record.offset < offset) continue;
      found.push({ offset: record.offset, value: record.value?.toString() ?? '' });
    }
    // A batch may have lost its last records, or all.
    next = lastOffset(records, at) + 1;
    at = end;
  }
  return next;
}
