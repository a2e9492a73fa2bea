/**
 * The records of `__consumer_offsets`: what a group and its offsets are on disk, in Kafka's own schemas, so that Kafka's
 * tools read them.
 *
 *   key                                   value
 *   OffsetCommitKey v1 (v0 is equal)      OffsetCommitValue: v1 with an expiry time, v4 with the topic's id, else v3
 *   GroupMetadataKey v2                   GroupMetadataValue v3
 *
 * A null value is a tombstone. Records of other versions are somebody else's (newer group protocols): they are kept
 * and not understood.
 *
 * NOTE: persistent format, do not change what is written.
 * Source: OffsetCommitKey/Value and GroupMetadataKey/Value of Kafka's group coordinator; KIP-915 (v4 may be read by
 * Kafka since 3.5, which skips tags that it does not know).
 */
import type { InternalRecord } from '../internal-log.ts';
import type { CommittedOffset, GroupMetadata } from './group-types.ts';
export interface PartitionKey {
  readonly topic: string;
  readonly partition: number;
}
/** A committed offset and the topic it is about: one that was deleted and created again is another topic. */
export interface OffsetValue extends CommittedOffset {
  /** '' = unknown. */
  readonly topicId: string;
}
export type StoredKey =
  | ({
      readonly kind: 'offset';
      readonly groupId: string;
    } & PartitionKey)
  | {
      readonly kind: 'group';
      readonly groupId: string;
    }
  | {
      readonly kind: 'unknown';
      readonly version: number;
    };
export declare function offsetRecord(
  groupId: string,
  key: PartitionKey,
  value: OffsetValue,
): InternalRecord;
export declare function offsetTombstone(groupId: string, key: PartitionKey): InternalRecord;
export declare function groupRecord(metadata: GroupMetadata): InternalRecord;
export declare function groupTombstone(groupId: string): InternalRecord;
/** @throws {MillraceError} ML_WIRE_MALFORMED */
export declare function decodeKey(key: Buffer): StoredKey;
/** @throws {MillraceError} ML_WIRE_MALFORMED */
export declare function decodeOffset(value: Buffer): OffsetValue;
/** Buffers in the result are views of `value`. @throws {MillraceError} ML_WIRE_MALFORMED */
export declare function decodeGroup(groupId: string, value: Buffer): GroupMetadata;
