/**
 * Builds the groups again from `__consumer_offsets`: the last metadata of each group, and every offset in the order of
 * the log, with transactions as their markers say.
 */
import { MillraceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type {
  InternalLog,
  InternalProducer,
  InternalRecord,
  ReplayedBatch,
} from '../internal-log.ts';
import { decodeGroup, decodeKey, decodeOffset, type PartitionKey } from './group-records.ts';
import type { GroupTable } from './group-table.ts';
import type { OffsetStore } from './offset-store.ts';

interface Replay {
  readonly table: GroupTable;
  readonly store: OffsetStore;
  readonly logger: Logger;
  /** The last value of each group's record; null for a tombstone. */
  readonly groups: Map<string, Buffer | null>;
  /** Records of key versions that we do not write: how many of each. */
  readonly unknown: Map<number, number>;
}

export async function replayGroups(
  log: InternalLog,
  into: Pick<Replay, 'table' | 'store' | 'logger'>,
): Promise<void> {
  const replay: Replay = { ...into, groups: new Map(), unknown: new Map() };
  await log.replay((batch) => visit(replay, batch));
  for (const [groupId, value] of replay.groups) {
    if (value !== null) {
      guarded(replay, { groupId }, () => {
        replay.table.restore(decodeGroup(groupId, value));
      });
    }
  }
  for (const groupId of replay.table.ids()) replay.table.forgetIfIdle(groupId);
  for (const [version, records] of replay.unknown) {
    replay.logger.warn('Records of an unknown kind in __consumer_offsets are kept and ignored', {
      version,
      records,
    });
  }
}

function visit(replay: Replay, batch: ReplayedBatch): void {
  if (batch.kind === 'marker') {
    replay.store.noteEnd(batch.producer, batch.committed);
    return;
  }
  for (const record of batch.records) {
    guarded(replay, { baseOffset: batch.baseOffset }, () => {
      replayRecord(replay, record, batch.producer);
    });
  }
}

function replayRecord(
  replay: Replay,
  record: InternalRecord,
  producer: InternalProducer | undefined,
): void {
  const key = decodeKey(record.key);
  switch (key.kind) {
    case 'offset':
      replayOffset(replay, key, { value: record.value, producer });
      break;
    case 'group':
      replay.groups.set(key.groupId, record.value);
      break;
    case 'unknown':
      replay.unknown.set(key.version, (replay.unknown.get(key.version) ?? 0) + 1);
      break;
  }
}

function replayOffset(
  { table, store }: Replay,
  { groupId, topic, partition }: { readonly groupId: string } & PartitionKey,
  {
    value,
    producer,
  }: { readonly value: Buffer | null; readonly producer: InternalProducer | undefined },
): void {
  const key = { topic, partition };
  if (value === null) {
    table.get(groupId)?.offsets.remove(key);
    return;
  }
  const entry = table.require(groupId);
  if (producer !== undefined) store.noteOpen(producer, groupId);
  const offset = { value: decodeOffset(value), sequence: store.nextSequence() };
  entry.offsets.apply(key, offset, producer?.producerId);
}

/** A damaged record must not keep all other groups from their members: it is named and left out. */
function guarded(replay: Replay, fields: Record<string, string | number>, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ML_WIRE_MALFORMED') throw error;
    replay.logger.error('A record of __consumer_offsets is damaged and left out', {
      ...fields,
      error,
    });
  }
}
