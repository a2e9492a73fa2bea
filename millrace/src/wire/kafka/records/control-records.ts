/**
 * Control batches: the records that a transaction coordinator writes into a partition to end a transaction there.
 *
 *   key    version i16 (0) │ type i16: 0 = abort, 1 = commit
 *   value  version i16 (0) │ coordinator epoch i32
 *
 * Owns: writing and reading these markers. A marker is one record in a batch of its own, which is transactional and
 * control, carries producer id and epoch, and has no sequence number.
 * Source: KIP-98, "Control messages".
 */
import { encodeBatch } from './record-batch-builder.ts';
import { attributes, isControl, NO_SEQUENCE, producerEpoch, producerId } from './record-batch.ts';
import { RecordReader } from './record-reader.ts';

// NOTE: persistent format, do not renumber.
export const CONTROL_ABORT = 0;
export const CONTROL_COMMIT = 1;
const KEY_VERSION = 0;
const VALUE_VERSION = 0;
const KEY_BYTES = 4;
const VALUE_BYTES = 6;

export interface EndTransactionMarker {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly commit: boolean;
  /** Grows with every change of transaction coordinator; an older one is fenced. */
  readonly coordinatorEpoch: number;
}

export interface MarkerPlace {
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
  /** Default 0: the log writes the real one. */
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
}

/** The control batch that ends a transaction in one partition. */
export function encodeEndTransactionMarker(
  marker: EndTransactionMarker,
  place: MarkerPlace,
): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key.writeInt16BE(KEY_VERSION, 0);
  key.writeInt16BE(marker.commit ? CONTROL_COMMIT : CONTROL_ABORT, 2);
  const value = Buffer.allocUnsafe(VALUE_BYTES);
  value.writeInt16BE(VALUE_VERSION, 0);
  value.writeInt32BE(marker.coordinatorEpoch, 2);
  return encodeBatch([{ timestamp: place.timestampMs, key, value }], {
    baseOffset: place.baseOffset ?? 0,
    leaderEpoch: place.leaderEpoch ?? 0,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    baseSequence: NO_SEQUENCE,
    transactional: true,
    control: true,
  });
}

/**
 * The marker in the batch at `position`; undefined when the batch is not a control batch, is one that compaction has
 * emptied, or holds a control record of another kind (leader changes and the like are not ours, and are passed over).
 * Later versions of key and value only add fields at the end, so they are read as well.
 * @throws {MillraceError} ML_RECORDS_MALFORMED when the records cannot be decoded.
 */
export function readEndTransactionMarker(
  buffer: Buffer,
  position: number,
  end: number,
): EndTransactionMarker | undefined {
  if (!isControl(attributes(buffer, position))) return undefined;
  const reader = new RecordReader();
  reader.open(buffer, position, end);
  if (!reader.next()) return undefined;
  const { data, keyStart, keyEnd, valueStart, valueEnd } = reader;
  if (keyStart < 0 || keyEnd - keyStart < KEY_BYTES) return undefined;
  if (data.readInt16BE(keyStart) < KEY_VERSION) return undefined;
  const type = data.readInt16BE(keyStart + 2);
  if (type !== CONTROL_ABORT && type !== CONTROL_COMMIT) return undefined;
  if (valueStart < 0 || valueEnd - valueStart < VALUE_BYTES) return undefined;
  return {
    producerId: producerId(buffer, position),
    producerEpoch: producerEpoch(buffer, position),
    commit: type === CONTROL_COMMIT,
    coordinatorEpoch: data.readInt32BE(valueStart + 2),
  };
}
