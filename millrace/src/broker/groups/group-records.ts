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
import { groupMetadataKey, groupMetadataValue } from '../../wire/kafka/internal/group-metadata.ts';
import { offsetCommitKey, offsetCommitValue } from '../../wire/kafka/internal/offset-commit.ts';
import { ZERO_UUID } from '../../wire/kafka/schema.ts';
import { decodeVersioned, encodeVersioned, versionOf } from '../../wire/kafka/versioned.ts';
import type { CommittedOffset, GroupMetadata } from './group-types.ts';

const OFFSET_KEY = 1;
const OFFSET_VALUE_WITH_EXPIRY = 1;
const OFFSET_VALUE = 3;
const OFFSET_VALUE_WITH_TOPIC_ID = 4;
const GROUP_KEY = 2;
const GROUP_VALUE = 3;

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
  | ({ readonly kind: 'offset'; readonly groupId: string } & PartitionKey)
  | { readonly kind: 'group'; readonly groupId: string }
  | { readonly kind: 'unknown'; readonly version: number };

export function offsetRecord(
  groupId: string,
  key: PartitionKey,
  value: OffsetValue,
): InternalRecord {
  return {
    key: encodeOffsetKey(groupId, key),
    value: encodeVersioned(offsetCommitValue, offsetVersion(value), {
      offset: value.offset,
      leaderEpoch: value.leaderEpoch,
      metadata: value.metadata,
      commitTimestamp: value.commitTimestampMs,
      expireTimestamp: value.expireTimestampMs,
      topicId: value.topicId === '' ? ZERO_UUID : value.topicId,
    }),
  };
}

export function offsetTombstone(groupId: string, key: PartitionKey): InternalRecord {
  return { key: encodeOffsetKey(groupId, key), value: null };
}

export function groupRecord(metadata: GroupMetadata): InternalRecord {
  return {
    key: encodeGroupKey(metadata.groupId),
    value: encodeVersioned(groupMetadataValue, GROUP_VALUE, {
      protocolType: metadata.protocolType,
      generation: metadata.generation,
      protocol: metadata.protocolName,
      leader: metadata.leaderId,
      currentStateTimestamp: metadata.stateTimestampMs,
      members: metadata.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.sessionTimeoutMs,
        subscription: member.subscription,
        assignment: member.assignment,
      })),
    }),
  };
}

export function groupTombstone(groupId: string): InternalRecord {
  return { key: encodeGroupKey(groupId), value: null };
}

/** @throws {MillraceError} ML_WIRE_MALFORMED */
export function decodeKey(key: Buffer): StoredKey {
  const version = versionOf(key);
  if (version <= OFFSET_KEY && version >= 0) {
    const { group, topic, partition } = decodeVersioned(offsetCommitKey, key).value;
    return { kind: 'offset', groupId: group, topic, partition };
  }
  if (version === GROUP_KEY) {
    return { kind: 'group', groupId: decodeVersioned(groupMetadataKey, key).value.group };
  }
  return { kind: 'unknown', version };
}

/** @throws {MillraceError} ML_WIRE_MALFORMED */
export function decodeOffset(value: Buffer): OffsetValue {
  const decoded = decodeVersioned(offsetCommitValue, value).value;
  return {
    offset: decoded.offset,
    leaderEpoch: decoded.leaderEpoch,
    metadata: decoded.metadata,
    commitTimestampMs: decoded.commitTimestamp,
    expireTimestampMs: decoded.expireTimestamp,
    topicId: decoded.topicId === ZERO_UUID ? '' : decoded.topicId,
  };
}

/** Buffers in the result are views of `value`. @throws {MillraceError} ML_WIRE_MALFORMED */
export function decodeGroup(groupId: string, value: Buffer): GroupMetadata {
  const decoded = decodeVersioned(groupMetadataValue, value).value;
  return {
    groupId,
    protocolType: decoded.protocolType,
    generation: decoded.generation,
    protocolName: decoded.protocol,
    leaderId: decoded.leader,
    stateTimestampMs: decoded.currentStateTimestamp,
    members: decoded.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs:
        member.rebalanceTimeout < 0 ? member.sessionTimeout : member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      subscription: member.subscription,
      assignment: member.assignment,
    })),
  };
}

function offsetVersion(value: OffsetValue): number {
  if (value.expireTimestampMs >= 0) return OFFSET_VALUE_WITH_EXPIRY;
  return value.topicId === '' ? OFFSET_VALUE : OFFSET_VALUE_WITH_TOPIC_ID;
}

function encodeOffsetKey(groupId: string, { topic, partition }: PartitionKey): Buffer {
  return encodeVersioned(offsetCommitKey, OFFSET_KEY, { group: groupId, topic, partition });
}

function encodeGroupKey(groupId: string): Buffer {
  return encodeVersioned(groupMetadataKey, GROUP_KEY, { group: groupId });
}
