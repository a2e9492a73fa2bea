/**
 * DeleteRecords (key 21), versions 0-2.
 *
 * Behaviour:
 * - Moves the start of a partition forward, durably; -1 means to its end. Segments below it are removed later.
 * - An offset below the start changes nothing and answers the start; one above the end is OFFSET_OUT_OF_RANGE.
 *
 * Deviations:
 * - none
 *
 * Source: KIP-107, KIP-354 (compacted topics refuse it).
 */
import type { Broker } from '../../broker/broker.ts';
import { MillraceError } from '../../core/errors.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  DeleteRecordsRequest,
  DeleteRecordsResponseInput,
} from '../../wire/kafka/messages/21-delete-records.ts';
import { defineApi, type Api } from './api.ts';

const TO_THE_END = -1;

export const deleteRecordsApi: Api<DeleteRecordsRequest, DeleteRecordsResponseInput> = defineApi({
  key: 21,
  name: 'DeleteRecords',
  minVersion: 0,
  maxVersion: 2,
  handle: async (request, { broker }) => ({
    topics: await Promise.all(
      request.topics.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map(async ({ partitionIndex, offset }) => {
            const done = await deleteBefore(broker, { name, partitionIndex, offset });
            return {
              partitionIndex,
              lowWatermark: done.start,
              errorCode: errorCode(done.error),
            };
          }),
        ),
      })),
    ),
  }),
});

async function deleteBefore(
  broker: Broker,
  where: { readonly name: string; readonly partitionIndex: number; readonly offset: number },
): Promise<{ readonly error: ErrorName; readonly start: number }> {
  const { offset } = where;
  const topic = broker.topics.get(where.name);
  const log = topic?.partitions[where.partitionIndex];
  if (topic === undefined || log === undefined) return failed('UNKNOWN_TOPIC_OR_PARTITION');
  if (topic.internal) return failed('INVALID_TOPIC_EXCEPTION');
  if (!topic.config.cleanupPolicy.includes('delete')) return failed('POLICY_VIOLATION');
  if (offset < TO_THE_END || offset > log.highWatermark) return failed('OFFSET_OUT_OF_RANGE');
  if (offset !== TO_THE_END && offset <= log.logStartOffset)
    return { error: 'NONE', start: log.logStartOffset };
  try {
    return { error: 'NONE', start: await log.deleteRecordsBefore(offset) };
  } catch (error) {
    if (error instanceof MillraceError && error.retriable) return failed('KAFKA_STORAGE_ERROR');
    throw error;
  }
}

function failed(error: ErrorName): { readonly error: ErrorName; readonly start: number } {
  return { error, start: -1 };
}
