/** Builds the states of queues again from `__queue_state`: of each key the last record counts. */
import { MillraceError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/log.ts';
import type { InternalLog, InternalRecord } from '../../internal-log.ts';
import type { PartitionState } from './partition-state.ts';
import type { QueueStateId } from './queue-state.ts';
import {
  decodeChunk,
  decodeDedupe,
  decodeHead,
  decodeKey,
  type StateKey,
} from './state-records.ts';

export interface StateReplayOptions {
  readonly logger: Logger;
  readonly create: (id: QueueStateId) => PartitionState;
}

/**
 * Records are decoded as they are met, so that memory holds what is known in the end, and one read of the log.
 * @returns states by `partition/queue id`
 * @throws {MillraceError} ML_STATE_DAMAGED, ML_DATA_NEWER
 */
export async function replayStates(
  log: InternalLog,
  options: StateReplayOptions,
): Promise<Map<string, PartitionState>> {
  const states = new Map<string, PartitionState>();
  await log.replay((batch) => {
    if (batch.kind === 'marker') return;
    for (const record of batch.records)
      guarded(options.logger, batch.baseOffset, () => {
        replayRecord(states, record, options);
      });
  });
  for (const [key, state] of states) {
    if (state.isBlank) states.delete(key);
    else state.restored();
  }
  return states;
}

function replayRecord(
  states: Map<string, PartitionState>,
  record: InternalRecord,
  options: StateReplayOptions,
): void {
  const key = decodeKey(record.key);
  const name = `${key.id.partition}/${key.id.queueId}`;
  let state = states.get(name);
  if (state === undefined) {
    if (record.value === null) return;
    state = options.create(key.id);
    states.set(name, state);
  }
  apply(state, key, record.value);
}

function apply(state: PartitionState, key: StateKey, value: Buffer | null): void {
  switch (key.kind) {
    case 'head':
      state.storedHead = value === null ? undefined : decodeHead(value);
      break;
    case 'chunk':
      state.offsets.restoreChunk(
        key.number,
        value === null ? undefined : decodeChunk(key.number, value),
      );
      if (value === null) state.written.removeOne(key.number);
      else state.written.add(key.number, key.number + 1);
      break;
    case 'dedupe':
      state.dedupe.restore(key.key, value === null ? undefined : decodeDedupe(value));
      break;
  }
}

/** A damaged record must not keep all queues from working: what it says is settled comes again. */
function guarded(logger: Logger, baseOffset: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ML_WIRE_MALFORMED') throw error;
    logger.error('A record of the state of queues is damaged and left out', { baseOffset, error });
  }
}
