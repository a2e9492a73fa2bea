/**
 * What is in a data directory before any log is opened: which checkpoint counts, whether the journal has to be replayed,
 * and what the first checkpoint of this run says.
 */
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { syncPath } from '../core/files.ts';
import { silentLogger } from '../core/log.ts';
import { leaderEpoch } from '../wire/kafka/records/record-batch.ts';
import { walkHeaders } from './batch-walk.ts';
import { CheckpointFiles } from './checkpoint-files.ts';
import type { CheckpointHeader } from './checkpoint-format.ts';
import { finishSwaps } from './compaction-swap.ts';
import { SECTOR_BYTES, STORE_ID_BYTES } from './journal-format.ts';
import { JournalReplay } from './journal-replay.ts';
import type { LogStoreOptions } from './log-store-options.ts';
import { LOG_SUFFIX, segmentBaseOffset, segmentPath } from './segment-files.ts';
import type { LogId } from './types.ts';

/** What a directory holds, as far as all logs together are concerned. */
export interface FoundStore {
  readonly files: CheckpointFiles;
  /** Of the checkpoint that this start writes before it does anything else. */
  readonly header: CheckpointHeader;
  readonly records: Map<string, Buffer>;
  /** The last stop was clean, or there was none: nothing is to be replayed. */
  readonly isClean: boolean;
  readonly replay: JournalReplay | undefined;
}

export function journalDirectory(directory: string): string {
  return `${directory}/journal`;
}

export function topicsDirectory(directory: string): string {
  return `${directory}/topics`;
}

export function topicDirectory(directory: string, topicId: string): string {
  return `${topicsDirectory(directory)}/${topicId}`;
}

export function logDirectory(directory: string, id: LogId): string {
  return `${topicDirectory(directory, id.topicId)}/${id.partition}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Logs that have a directory. */
export function listLogs(env: Env, directory: string): LogId[] {
  const root = topicsDirectory(directory);
  const logs: LogId[] = [];
  for (const topicId of env.fs.list(root)) {
    if (!UUID.test(topicId)) continue;
    for (const name of env.fs.list(`${root}/${topicId}`))
      if (/^\d{1,10}$/.test(name)) logs.push({ topicId, partition: Number(name) });
  }
  return logs;
}

/**
 * Looks at the directory, and makes its folders.
 * @throws {MillraceError} ML_CHECKPOINT_DAMAGED, ML_JOURNAL_DAMAGED
 */
export async function findStore(env: Env, options: LogStoreOptions): Promise<FoundStore> {
  const { directory } = options;
  const repair = options.repair ?? false;
  const files = new CheckpointFiles(env.fs, directory);
  const checkpoint = files.read();
  env.fs.makeDirectory(journalDirectory(directory));
  env.fs.makeDirectory(topicsDirectory(directory));
  // The files of the journal are used again: a killed process may have left their names in the page cache alone.
  await env.fs.syncDirectory(journalDirectory(directory));
  if (checkpoint === undefined) {
    await syncPath(env.fs, directory);
    // The first checkpoint is durable before the first log or journal file is made.
    if (
      listLogs(env, directory).length === 0 &&
      env.fs.list(journalDirectory(directory)).length === 0
    )
      return beginStore(env, files);
    if (!repair)
      throw new MillraceError(
        'ML_CHECKPOINT_DAMAGED',
        `neither ${directory}/checkpoint.a nor checkpoint.b can be read`,
        { fields: { path: directory } },
      );
  }
  if (checkpoint?.header.isClean === true && !repair) {
    const { header, records } = checkpoint;
    const fileSequence = header.replayFrom.fileSequence + 1;
    const replayFrom = { ...header.replayFrom, fileSequence, position: SECTOR_BYTES };
    const next = { ...nextRun(header), replayFrom };
    return { files, header: next, records: new Map(records), isClean: true, replay: undefined };
  }
  const replay = await JournalReplay.read(env, {
    directory: journalDirectory(directory),
    logger: options.logger ?? silentLogger,
    storeId: checkpoint?.header.storeId,
    from: checkpoint?.header.replayFrom,
    repair,
  });
  try {
    await replay.confirmLast(env);
    for (const id of listLogs(env, directory))
      await finishSwaps(env.fs, logDirectory(directory, id));
    const header = nextRun(checkpoint?.header ?? rebuiltHeader(env, directory, replay));
    return { files, header, records: new Map(checkpoint?.records), isClean: false, replay };
  } catch (error) {
    replay.close();
    throw error;
  }
}

function nextRun(header: CheckpointHeader): CheckpointHeader {
  return {
    ...header,
    version: header.version + 1,
    leaderEpoch: header.leaderEpoch + 1,
    isClean: false,
  };
}

function beginStore(env: Env, files: CheckpointFiles): FoundStore {
  const header = emptyHeader(env.random.bytes(STORE_ID_BYTES));
  return { files, header, records: new Map(), isClean: true, replay: undefined };
}

function emptyHeader(storeId: Buffer): CheckpointHeader {
  return {
    storeId,
    version: 1,
    leaderEpoch: 0,
    isClean: false,
    replayFrom: { fileSequence: 1, position: SECTOR_BYTES, groupSequence: 1, entrySequence: 1 },
    retentionRanMs: -1,
  };
}

/** For a repair without a checkpoint: what can be known of it from the rest. */
function rebuiltHeader(env: Env, directory: string, replay: JournalReplay): CheckpointHeader {
  const header = emptyHeader(replay.storeId ?? env.random.bytes(STORE_ID_BYTES));
  let epoch = replay.leaderEpoch;
  for (const id of listLogs(env, directory)) {
    const path = logDirectory(directory, id);
    for (const name of env.fs.list(path)) {
      const base = segmentBaseOffset(name);
      if (base === undefined) continue;
      const file = env.fs.open(segmentPath(path, base) + LOG_SUFFIX, 'read');
      walkHeaders(file, 0, file.size(), (buffer, at) => {
        epoch = Math.max(epoch, leaderEpoch(buffer, at));
        return true;
      });
      file.close();
    }
  }
  return { ...header, leaderEpoch: epoch };
}
