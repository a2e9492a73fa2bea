/**
 * Bringing one log back: its segments up to the recovery point are durable and are taken as they are; what lies behind
 * comes from the journal and is WRITTEN AGAIN, never trusted from the page cache (after a failed fsync the kernel may show
 * bytes that are not on the disk). Logs whose flush policy is not `commit` are scanned behind their recovery point, and what
 * is good there is written again in place.
 *
 * Invariants
 * - Bytes below the recovery point are never cut. If the file is shorter, the missing bytes are zeros: damage that reads
 *   report, instead of a gap that nobody sees.
 * - The log ends up as a prefix of what was appended, and holds everything that was acknowledged.
 */
import { MillraceError } from '../core/errors.ts';
import {
  BATCH_OK,
  baseOffset,
  batchBytes,
  checkBatch,
  maxTimestamp,
} from '../wire/kafka/records/record-batch.ts';
import { readFacts } from './batch-intake.ts';
import { findBatch, readBatch } from './batch-walk.ts';
import type { LogRecord } from './checkpoint-format.ts';
import { EpochCache } from './epoch-cache.ts';
import { ENTRY_BATCH, ENTRY_LOG_START } from './journal-format.ts';
import type { JournalReplay } from './journal-replay.ts';
import type { LogContext } from './log-context.ts';
import { DiskLog } from './partition-log.ts';
import { indexRange } from './readable-log.ts';
import { BatchFacts, ProducerState } from './producer-state.ts';
import { Segment } from './segment.ts';
import { NO_STORED_INDEXES } from './segment-indexes.ts';
import {
  DELETED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  segmentBaseOffset,
  segmentPath,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './segment-files.ts';
import { NO_STORED_ABORTED } from './transaction-index.ts';
import type { LogConfig, LogId } from './types.ts';

export interface RecoveryOptions {
  readonly context: LogContext;
  readonly id: LogId;
  readonly directory: string;
  readonly isReserved: boolean;
  readonly isTransient: boolean;
  readonly config: LogConfig;
  /** What the checkpoint says of the log; undefined when it does not know it. */
  readonly record: LogRecord | undefined;
  readonly replay: JournalReplay | undefined;
  readonly logKey: string;
  /** The journal says that the log was deleted: files of it that are still there are nobody's. */
  readonly isDeleted: boolean;
  /** The last stop was clean: the record is all there is to know. */
  readonly isClean: boolean;
  /** Keep what is good where the log cannot be brought back whole. */
  readonly repair: boolean;
}

/** Opens a log as its last checkpoint and the journal describe it. Creates it when there is nothing. */
export function recoverLog(options: RecoveryOptions): DiskLog {
  const { context, directory, record } = options;
  const { fs } = context.env;
  const names = new Set(fs.list(directory));
  const bases = [...names].map(segmentBaseOffset).filter(isDefined);
  if (fs.stat(directory) === undefined) fs.makeDirectory(directory);
  // A log that no checkpoint knows may be there in the page cache alone: its process was killed before one.
  if (record === undefined) parentNamesChanged(context, directory);
  const activeBase = record?.segmentBaseOffset ?? -1;
  const isUnjournaled = record === undefined ? options.config.flush !== 'commit' : record.needsScan;
  // Nor does anybody know how such a log was flushed: what is not in the journal may be in its segments.
  const mayNeedScan = options.repair || record === undefined || record.needsScan;
  const needsScan = mayNeedScan && !options.isDeleted;
  const segments = bases
    .filter((base) => base < activeBase)
    .map((base) => sealedSegment(context, directory, base, names));
  if (record !== undefined && activeBase >= 0)
    segments.push(activeSegment(options, record, needsScan));
  const unknown = bases.filter((base) => base > activeBase);
  const [firstUnknown] = unknown;
  // Without a checkpoint, what is there says where the log begins.
  const startOffset = record?.logStartOffset ?? (options.repair ? (firstUnknown ?? 0) : 0);
  const log = new DiskLog(context, options, options.config, {
    logStartOffset: startOffset,
    endOffset: record?.endOffset ?? startOffset,
    appendTimeMs: record?.appendTimeMs ?? -1,
    compactedTo: record?.compactedTo ?? 0,
    gapsBelow: record?.gapsBelow ?? 0,
    isUnjournaled,
    epochs: new EpochCache(record?.epochs),
    producers: new ProducerState(record?.producers),
    segments,
  });
  if (options.isClean && record !== undefined) {
    log.isDirty = false;
    return log;
  }
  if (needsScan) scan(log, unknown, options);
  else for (const base of unknown) setAside(context, directory, base);
  options.replay?.replayLog(options.logKey, (kind, offset, batch) => {
    if (kind === ENTRY_BATCH) appendEntry(log, batch, { needsScan, repair: options.repair });
    else if (kind === ENTRY_LOG_START) log.applyLogStart(offset);
  });
  if (log.logStartOffset > log.logEndOffset) restartAt(log, log.logStartOffset);
  log.durability.recovered(needsScan && log.logEndOffset > (record?.endOffset ?? 0));
  return log;
}

function isDefined(base: number | undefined): base is number {
  return base !== undefined;
}

function parentNamesChanged(context: LogContext, directory: string): void {
  context.onNamesChanged(parentOf(directory));
  context.onNamesChanged(parentOf(parentOf(directory)));
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function sealedSegment(
  context: LogContext,
  directory: string,
  base: number,
  names: ReadonlySet<string>,
): Segment {
  const path = segmentPath(directory, base);
  const stat = context.env.fs.stat(path + LOG_SUFFIX);
  const hasAborted = names.has(path.slice(directory.length + 1) + TRANSACTION_INDEX_SUFFIX);
  return new Segment(
    context.segments,
    { directory, baseOffset: base },
    {
      sizeBytes: stat?.sizeBytes ?? 0,
      indexes: undefined,
      aborted: hasAborted ? undefined : NO_STORED_ABORTED,
    },
  );
}

/** The segment that the recovery point lies in, cut back to it. */
function activeSegment(options: RecoveryOptions, record: LogRecord, needsScan: boolean): Segment {
  const { context, directory } = options;
  const { segmentBytes } = record;
  const segment = new Segment(
    context.segments,
    { directory, baseOffset: record.segmentBaseOffset },
    { sizeBytes: segmentBytes, indexes: record.indexes, aborted: record.aborted },
  );
  const path = segment.path + LOG_SUFFIX;
  const sizeBytes = context.env.fs.stat(path)?.sizeBytes ?? -1;
  if (sizeBytes < segmentBytes) {
    context.logger.error('A segment is shorter than it was: bytes of it are lost', {
      ...options.id,
      path,
      sizeBytes: Math.max(0, sizeBytes),
      expectedBytes: segmentBytes,
    });
    const file = context.env.fs.open(path, 'open');
    file.truncate(segmentBytes);
    file.close();
    context.onNamesChanged(directory);
  }
  if (!options.isClean) {
    segment.indexes.cutFiles();
    segment.aborted.cutFile();
    if (!needsScan) segment.cut(segmentBytes);
  }
  return segment;
}

/** Takes a segment file that the checkpoint does not know out of the way; it is removed once recovery has succeeded. */
function setAside(context: LogContext, directory: string, base: number): void {
  const path = segmentPath(directory, base);
  for (const suffix of [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]) {
    if (context.env.fs.stat(path + suffix) === undefined) continue;
    context.env.fs.rename(path + suffix, path + suffix + DELETED_SUFFIX);
  }
  context.onNamesChanged(directory);
}

// ---- Scan -----------------------------------------------------------------------------------------------------------

/** Takes what is good behind the end of the log, in its last segment and in those that follow. */
function scan(log: DiskLog, unknown: readonly number[], options: RecoveryOptions): void {
  const { context, directory } = options;
  const { active } = log;
  let isWhole = active === undefined || scanSegment(log, active, options);
  for (const base of unknown) {
    // Only what follows without a gap belongs to the log: and something may be missing only if it is being repaired.
    if (!isWhole || (base !== log.logEndOffset && !(options.repair && base > log.logEndOffset))) {
      setAside(context, directory, base);
      isWhole = false;
      continue;
    }
    log.list.sealActive(log.logEndOffset, log.config);
    const segment = new Segment(
      context.segments,
      { directory, baseOffset: base },
      { sizeBytes: 0, indexes: NO_STORED_INDEXES, aborted: NO_STORED_ABORTED },
    );
    segment.indexes.cutFiles();
    segment.aborted.cutFile();
    allowGap(log, base);
    log.list.adopt(segment);
    context.onNamesChanged(directory);
    isWhole = scanSegment(log, segment, options) || options.repair;
  }
}

/** Takes the batches behind what is known of `segment`. Returns whether it was good to its end. */
function scanSegment(log: DiskLog, segment: Segment, options: RecoveryOptions): boolean {
  const file = segment.use();
  const fileBytes = file.size();
  const facts = new BatchFacts();
  segment.ensureIndexes(indexRange(log, log.logEndOffset));
  while (segment.sizeBytes < fileBytes) {
    const position = segment.sizeBytes;
    const batch = readBatch(file, position, fileBytes);
    const isGood =
      batch !== undefined &&
      checkBatch(batch, 0, batch.length) === BATCH_OK &&
      (baseOffset(batch, 0) === log.logEndOffset ||
        (options.repair && baseOffset(batch, 0) > log.logEndOffset));
    if (batch !== undefined && isGood) {
      // Written again in place: the page cache may show what the disk has never got.
      segment.append(batch, 0, batch.length);
      allowGap(log, baseOffset(batch, 0));
      log.applyBatch(segment, position, batch.length, readFacts(facts, batch, 0));
      continue;
    }
    const next = options.repair
      ? findBatch(file, position + 1, fileBytes, { first: log.logEndOffset, end: Infinity })
      : undefined;
    if (next === undefined) {
      segment.cut(position);
      return false;
    }
    // In a repair nobody knows how far the disk was right once: what is bad in the middle stays, as damage.
    segment.sizeBytes = next.position;
    allowGap(log, next.baseOffset);
  }
  return true;
}

// ---- Journal --------------------------------------------------------------------------------------------------------

/** Appends a batch of the journal, if the log does not have it. */
function appendEntry(
  log: DiskLog,
  batch: Buffer,
  mode: { readonly needsScan: boolean; readonly repair: boolean },
): void {
  const facts = readFacts(new BatchFacts(), batch, 0);
  if (facts.firstOffset < log.logEndOffset) return;
  if (facts.firstOffset > log.logEndOffset && !mode.repair) {
    // Without a sync before it, this batch was never acknowledged.
    if (mode.needsScan) return;
    throw new MillraceError(
      'ML_JOURNAL_DAMAGED',
      `the journal goes on at offset ${facts.firstOffset} of a log that ends at ${log.logEndOffset}`,
      { fields: { ...log.id, offset: facts.firstOffset, endOffset: log.logEndOffset } },
    );
  }
  allowGap(log, facts.firstOffset);
  const bytes = batchBytes(batch, 0);
  const segment = log.list.take(
    {
      baseOffset: facts.firstOffset,
      lastOffset: facts.lastOffset,
      bytes,
      timestampMs: maxTimestamp(batch, 0),
    },
    log.config,
  );
  const position = segment.sizeBytes;
  segment.append(batch, 0, bytes);
  log.applyBatch(segment, position, bytes, facts);
}

/** The log goes on at `offset`: if that is behind its end, in a repair, what lies between is lost. */
function allowGap(log: DiskLog, offset: number): void {
  if (offset > log.logEndOffset) log.list.gapsBelow = offset;
  log.logEndOffset = offset;
}

/** The log lost everything up to its log start offset, which lies behind its end: it goes on from there, empty. */
function restartAt(log: DiskLog, offset: number): void {
  for (const segment of log.segments) {
    segment.retire();
    setAside(log.context, log.directory, segment.baseOffset);
  }
  log.list.all = [];
  log.logEndOffset = offset;
}
