/**
 * WriteTxnMarkers (key 27), version 1.
 *
 * Behaviour:
 * - Ends a producer's transaction in single partitions: how an administrator aborts one that hangs (`kafka-transactions.sh
 *   --abort`). Answered when the markers are on disk.
 *
 * Deviations:
 * - In Kafka mostly sent between brokers; here the coordinator writes its markers itself. v2 is not served.
 *
 * Source: KIP-98, KIP-664.
 */
import { type Marker, appendMarker } from '../../broker/transactions/transaction-markers.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponseInput,
} from '../../wire/kafka/messages/27-write-txn-markers.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

export const writeTxnMarkersApi: Api<WriteTxnMarkersRequest, WriteTxnMarkersResponseInput> =
  defineApi({
    key: 27,
    name: 'WriteTxnMarkers',
    minVersion: 1,
    maxVersion: 1,
    handle: async (request, context) => {
      const markers = request.markers.map(async (asked) => {
        const marker: Marker = {
          producer: { producerId: asked.producerId, producerEpoch: asked.producerEpoch },
          committed: asked.transactionResult,
          coordinatorEpoch: asked.coordinatorEpoch,
        };
        const topics = asked.topics.map(async ({ name, partitionIndexes }) => ({
          name,
          partitions: await Promise.all(
            partitionIndexes.map(async (partitionIndex) => ({
              partitionIndex,
              errorCode: errorCode(await write(context, marker, name, partitionIndex)),
            })),
          ),
        }));
        return { producerId: asked.producerId, topics: await Promise.all(topics) };
      });
      return { markers: await Promise.all(markers) };
    },
  });

async function write(
  { broker }: RequestContext,
  marker: Marker,
  topic: string,
  partition: number,
): Promise<ErrorName> {
  const found = broker.topics.get(topic);
  const log = found?.partitions[partition];
  if (found === undefined || log === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  // Of the broker's own topics only the coordinators know what a marker changes.
  if (found.internal) return 'INVALID_TOPIC_EXCEPTION';
  const { error, endOffset } = appendMarker(broker, log, marker);
  if (error === 'NONE') await log.whenDurable(endOffset);
  return error;
}
