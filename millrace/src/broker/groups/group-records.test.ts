/** The bytes on disk: written by hand from Kafka's schemas, so that a change of ours shows. */
import { assert, integer, property, uint8Array } from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import {
  decodeGroup,
  decodeKey,
  decodeOffset,
  groupRecord,
  groupTombstone,
  offsetRecord,
  offsetTombstone,
} from './group-records.ts';

const OFFSET = {
  offset: 258,
  leaderEpoch: 7,
  metadata: 'm',
  commitTimestampMs: 1,
  expireTimestampMs: -1,
  topicId: '',
};
const KEY = { topic: 't', partition: 3 };

function faultOf(decode: () => unknown): string {
  try {
    decode();
    return 'none';
  } catch (error) {
    return error instanceof MillraceError ? error.code : String(error);
  }
}

/** Spaces are between fields. */
function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}

test('an offset is written as OffsetCommitKey v1 and OffsetCommitValue v3', () => {
  const { key, value } = offsetRecord('g', KEY, OFFSET);
  expect(key).toEqual(bytes('0001 000167 000174 00000003'));
  expect(value).toEqual(bytes('0003 0000000000000102 00000007 00016d 0000000000000001'));
  expect(decodeKey(key)).toEqual({ kind: 'offset', groupId: 'g', topic: 't', partition: 3 });
  expect(decodeOffset(value ?? Buffer.alloc(0))).toEqual(OFFSET);
});

test('with an expiry time as v1, with the id of its topic as v4', () => {
  const expiring = offsetRecord('g', KEY, { ...OFFSET, expireTimestampMs: 2 }).value;
  expect(expiring).toEqual(bytes('0001 0000000000000102 00016d 0000000000000001 0000000000000002'));
  const topicId = '00010203-0405-0607-0809-0a0b0c0d0e0f';
  const identified = offsetRecord('g', KEY, { ...OFFSET, topicId }).value;
  expect(identified).toEqual(
    bytes(
      '0004 0000000000000102 00000007 026d 0000000000000001 010010 000102030405060708090a0b0c0d0e0f',
    ),
  );
  expect(decodeOffset(identified ?? Buffer.alloc(0))).toEqual({ ...OFFSET, topicId });
});

test('a group is written as GroupMetadataKey v2 and GroupMetadataValue v3', () => {
  const group = {
    groupId: 'g',
    protocolType: 'c',
    generation: 5,
    protocolName: 'p',
    leaderId: 'm',
    stateTimestampMs: 9,
    members: [
      {
        memberId: 'm',
        instanceId: null,
        clientId: 'i',
        clientHost: 'h',
        rebalanceTimeoutMs: 2,
        sessionTimeoutMs: 1,
        subscription: Buffer.from([1]),
        assignment: Buffer.from([2]),
      },
    ],
  };
  const { key, value } = groupRecord(group);
  expect(key).toEqual(bytes('0002 000167'));
  expect(value).toEqual(
    bytes(
      '0003 000163 00000005 000170 00016d 0000000000000009 00000001 00016d ffff 000169 000168 00000002 00000001 0000000101 0000000102',
    ),
  );
  expect(decodeKey(key)).toEqual({ kind: 'group', groupId: 'g' });
  expect(decodeGroup('g', value ?? Buffer.alloc(0))).toEqual(group);
});

test('records that Kafka wrote in older versions are read', () => {
  const noRebalanceTimeout = bytes(
    '0000 000163 00000005 000170 00016d 00000001 00016d 000169 000168 00000064 0000000101 0000000102',
  );
  expect(decodeGroup('g', noRebalanceTimeout)).toMatchObject({
    stateTimestampMs: -1,
    members: [{ instanceId: null, sessionTimeoutMs: 100, rebalanceTimeoutMs: 100 }],
  });
  expect(decodeKey(bytes('0000 000167 000174 00000003'))).toMatchObject({
    kind: 'offset',
  });
  expect(decodeKey(bytes('0003 0267'))).toEqual({ kind: 'unknown', version: 3 });
});

test('tombstones have the same keys and no value', () => {
  expect(offsetTombstone('g', KEY)).toEqual({ ...offsetRecord('g', KEY, OFFSET), value: null });
  expect(groupTombstone('g').value).toBeNull();
});

test('bytes that are no record give an error of ours and nothing else', () => {
  const decoders = [decodeKey, decodeOffset, (value: Buffer) => decodeGroup('g', value)];
  const versions = integer({ min: -1, max: 6 });
  assert(
    property(versions, uint8Array({ maxLength: 80 }), (version, body) => {
      const head = Buffer.alloc(2);
      head.writeInt16BE(version);
      const faults = decoders.map((decode) => faultOf(() => decode(Buffer.concat([head, body]))));
      expect(faults.filter((fault) => fault !== 'ML_WIRE_MALFORMED' && fault !== 'none')).toEqual(
        [],
      );
    }),
    { numRuns: 2_000 },
  );
});
