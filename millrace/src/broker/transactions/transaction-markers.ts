/**
 * Carries a decided transaction out: a commit or abort marker in every partition that it touched. May be repeated: a marker where
 * nothing is open changes nothing. Source: KIP-98.
 */
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import { encodeEndTransactionMarker } from '../../wire/kafka/records/control-records.ts';
import type { GroupCoordinator } from '../groups/group-coordinator.ts';
import type { InternalProducer } from '../internal-log.ts';
import { OFFSETS_TOPIC } from '../topic-names.ts';
import type { Topics } from '../topics.ts';
import type { TransactionPartitions } from './transaction-state.ts';

export interface Marker {
  readonly producer: InternalProducer;
  readonly committed: boolean;
  readonly coordinatorEpoch: number;
}

export interface MarkerTargets {
  readonly env: Pick<Env, 'clock'>;
  readonly logger: Logger;
  readonly topics: Topics;
  readonly groups: GroupCoordinator;
}

/**
 * Resolves when the markers are durable. Partitions of topics that are gone need none.
 * @throws {MillraceError} ML_DISK_FULL (retriable), ML_LOG_FAILED: some partitions may have their marker already
 */
export async function writeMarkers(
  targets: MarkerTargets,
  partitions: TransactionPartitions,
  marker: Marker,
): Promise<void> {
  const waits: Promise<void>[] = [];
  let failure: MillraceError | undefined;
  for (const [topic, indexes] of partitions) {
    if (topic === OFFSETS_TOPIC) {
      waits.push(
        targets.groups.completeTransaction(
          marker.producer,
          marker.committed,
          marker.coordinatorEpoch,
        ),
      );
      continue;
    }
    for (const index of indexes) {
      const log = targets.topics.partition(topic, index);
      if (log === undefined) continue;
      const appended = appendMarker(targets, log, marker);
      if (appended.error === 'NONE') waits.push(log.whenDurable(appended.endOffset));
      else if (appended.error === 'KAFKA_STORAGE_ERROR') {
        failure = new MillraceError(
          'ML_DISK_FULL',
          `no room for a transaction marker in ${topic}-${index}`,
        );
      } else {
        // A newer producer or coordinator has been here: what this marker would end is over.
        targets.logger.warn('a transaction marker is not needed any more', {
          topic,
          partition: index,
          producerId: marker.producer.producerId,
          error: appended.error,
        });
      }
    }
  }
  await Promise.all(waits);
  if (failure !== undefined) throw failure;
}

/** Appends one marker; the caller waits until the log is durable up to `endOffset`. */
export function appendMarker(
  targets: Pick<MarkerTargets, 'env'>,
  log: PartitionLog,
  marker: Marker,
): { readonly error: ErrorName; readonly endOffset: number } {
  const batch = encodeEndTransactionMarker(
    { ...marker.producer, commit: marker.committed, coordinatorEpoch: marker.coordinatorEpoch },
    { timestampMs: targets.env.clock.nowMs() },
  );
  const appended = log.append(batch, { origin: 'control' });
  return appended.ok
    ? { error: 'NONE', endOffset: appended.lastOffset + 1 }
    : { error: appended.error, endOffset: -1 };
}
