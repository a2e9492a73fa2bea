import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { consumerProtocolSubscription } from './internal/consumer-protocol.ts';
import { controlRecordKey, endTxnMarker } from './internal/control-record.ts';
import { groupMetadataKey } from './internal/group-metadata.ts';
import { offsetCommitKey, offsetCommitValue } from './internal/offset-commit.ts';
import { CONTROL_COMMIT } from './records/control-records.ts';
import { decodeVersioned, encodeVersioned, versionOf } from './versioned.ts';

test('keys of __consumer_offsets tell offsets from groups by their version', () => {
  const offset = encodeVersioned(offsetCommitKey, 1, { group: 'g', topic: 't', partition: 7 });
  expect(offset.toString('hex')).toBe('000100016700017400000007');
  expect(versionOf(offset)).toBe(1);
  expect(decodeVersioned(offsetCommitKey, offset).value).toEqual({
    group: 'g',
    topic: 't',
    partition: 7,
  });
  const group = encodeVersioned(groupMetadataKey, 2, { group: 'g' });
  expect(group.toString('hex')).toBe('0002000167');
});

test('values of any version are read, with defaults for what they lack', () => {
  const commit = { offset: 42, metadata: 'm', commitTimestamp: 1000 };
  for (const version of [0, 1, 2, 3, 4]) {
    const bytes = encodeVersioned(offsetCommitValue, version, { ...commit, leaderEpoch: 3 });
    expect(decodeVersioned(offsetCommitValue, bytes)).toEqual({
      version,
      value: {
        ...commit,
        leaderEpoch: version >= 3 ? 3 : -1,
        expireTimestamp: -1,
        topicId: '00000000-0000-0000-0000-000000000000',
      },
    });
  }
});

test('a commit marker is the bytes that Kafka writes', () => {
  const key = encodeVersioned(controlRecordKey, 0, { type: CONTROL_COMMIT });
  const value = encodeVersioned(endTxnMarker, 0, { coordinatorEpoch: 9 });
  expect(key.toString('hex')).toBe('00000001');
  expect(value.toString('hex')).toBe('000000000009');
});

test('a subscription of a newer version than is known can be read as far as it is known', () => {
  const bytes = encodeVersioned(consumerProtocolSubscription, 3, { topics: ['t'], rackId: 'r' });
  const newer = Buffer.concat([bytes, Buffer.from('more')]);
  expect(
    decodeVersioned(consumerProtocolSubscription, newer, { leftover: 'ignore' }).value,
  ).toMatchObject({ topics: ['t'], userData: null, rackId: 'r' });
});

test.each(['', '00', '0063', 'ffff'])('an unknown version is malformed: %s', (bytes) => {
  expect(() => decodeVersioned(offsetCommitKey, Buffer.from(bytes, 'hex'))).toThrow(MillraceError);
});
