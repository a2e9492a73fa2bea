/**
 * ListOffsets (key 2), versions 1-11.
 *
 * Behaviour:
 * - A timestamp finds the first record at or after it; -1 the end (the last stable offset with read_committed), -2 the
 *   start, -3 the record with the largest timestamp (v7), -4 the start (v8: all storage is local).
 * - Leader epochs are checked (KIP-320).
 *
 * Deviations:
 * - -5 and -6 (tiered storage) find nothing: there is none.
 * - The leader epoch of the start of a log is not told (-1).
 *
 * Source: KIP-79, KIP-98, KIP-320, KIP-734, KIP-405, KIP-1005, KIP-1023.
 */
import { epochError } from '../../broker/fetch.ts';
import type { Isolation, PartitionLog, TimestampOffset } from '../../log/types.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  ListOffsetsRequest,
  ListOffsetsResponseInput,
} from '../../wire/kafka/messages/02-list-offsets.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api } from './api.ts';

type PartitionAnswer = ElementOf<ElementOf<ListOffsetsResponseInput['topics']>['partitions']>;

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
const EARLIEST_PENDING_UPLOAD = -6;
/** Kafka's special timestamps below that of a version mean nothing in it. */
const SPECIAL_SINCE: ReadonlyMap<number, number> = new Map([
  [LATEST, 0],
  [EARLIEST, 0],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
]);

export const listOffsetsApi: Api<ListOffsetsRequest, ListOffsetsResponseInput> = defineApi({
  key: 2,
  name: 'ListOffsets',
  minVersion: 1,
  maxVersion: 11,
  handle: async (request, context) => {
    const isolation = request.isolationLevel === 1 ? 'read_committed' : 'read_uncommitted';
    const topics = [];
    for (const { name, partitions } of request.topics) {
      const answers: PartitionAnswer[] = [];
      for (const { partitionIndex, currentLeaderEpoch, timestamp } of partitions) {
        const log = context.broker.topics.partition(name, partitionIndex);
        const fault =
          log === undefined
            ? 'UNKNOWN_TOPIC_OR_PARTITION'
            : (epochError(currentLeaderEpoch, log.leaderEpoch) ??
              specialFault(timestamp, context.apiVersion));
        const found =
          log === undefined || fault !== undefined
            ? undefined
            : await find(log, timestamp, isolation);
        answers.push({
          partitionIndex,
          errorCode: errorCode(fault ?? 'NONE'),
          timestamp: found?.timestampMs ?? -1,
          offset: found?.offset ?? -1,
          ...(context.apiVersion >= 4 ? { leaderEpoch: found?.leaderEpoch ?? -1 } : {}),
        });
      }
      topics.push({ name, partitions: answers });
    }
    return { topics };
  },
});

function specialFault(timestamp: number, apiVersion: number): ErrorName | undefined {
  if (timestamp >= 0) return undefined;
  const since = SPECIAL_SINCE.get(timestamp);
  return since === undefined || apiVersion < since ? 'UNSUPPORTED_VERSION' : undefined;
}

async function find(
  log: PartitionLog,
  timestamp: number,
  isolation: Isolation,
): Promise<TimestampOffset | undefined> {
  switch (timestamp) {
    case LATEST: {
      const offset = isolation === 'read_committed' ? log.lastStableOffset : log.highWatermark;
      const { leaderEpoch } = log.endOffsetForEpoch(log.leaderEpoch);
      return { offset, timestampMs: -1, leaderEpoch };
    }
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { offset: log.logStartOffset, timestampMs: -1, leaderEpoch: -1 };
    case MAX_TIMESTAMP:
      return log.maxTimestamp();
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return undefined;
    default:
      return log.offsetForTimestamp(timestamp, isolation);
  }
}
