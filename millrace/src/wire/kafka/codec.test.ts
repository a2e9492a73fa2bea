import { describe, expect, expectTypeOf, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { WIRE_ELEMENTS_MAX } from '../../core/limits.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { joinGroupRequest } from './messages/11-join-group.ts';
import { apiVersionsRequest, apiVersionsResponse } from './messages/18-api-versions.ts';
import { fetchRequest } from './messages/01-fetch.ts';
import {
  metadataRequest,
  type MetadataRequest,
  type MetadataRequestInput,
  type MetadataResponse,
} from './messages/03-metadata.ts';
import { describeTopicPartitionsRequest } from './messages/75-describe-topic-partitions.ts';
import {
  array,
  bytes,
  int32,
  int64,
  message,
  string,
  struct,
  uuid,
  type ElementOf,
  type Infer,
  type InferInput,
} from './schema.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

function errorOf(run: () => unknown): MillraceError {
  try {
    run();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  return expect.fail('nothing was thrown');
}

describe('bytes worked out by hand', () => {
  test('a classic request: arrays with 32-bit counts, strings with 16-bit lengths', () => {
    const expected = hex('00000002  0003 666f6f  0003 626172  00');
    const value = { topics: [{ name: 'foo' }, { name: 'bar' }], allowAutoTopicCreation: false };
    expect(encodeMessage(metadataRequest, 4, value)).toEqual(expected);
    expect(decodeMessage(metadataRequest, 4, expected)).toEqual({
      topics: [
        { topicId: '00000000-0000-0000-0000-000000000000', name: 'foo' },
        { topicId: '00000000-0000-0000-0000-000000000000', name: 'bar' },
      ],
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
  });

  test('null in a classic array is -1', () => {
    expect(encodeMessage(metadataRequest, 1, { topics: null })).toEqual(hex('ffffffff'));
    expect(decodeMessage(metadataRequest, 1, hex('ffffffff')).topics).toBeNull();
  });

  test('a flexible request: counts and lengths plus one, and tagged fields after every struct', () => {
    const expected = hex('04 666f6f  06 312e302e30  00');
    const value = { clientSoftwareName: 'foo', clientSoftwareVersion: '1.0.0' };
    expect(encodeMessage(apiVersionsRequest, 3, value)).toEqual(expected);
    expect(decodeMessage(apiVersionsRequest, 3, expected)).toEqual(value);
  });

  test('a uuid is 16 bytes, null in a flexible string is 0', () => {
    const topicId = '01234567-89ab-cdef-0123-456789abcdef';
    const expected = hex('02  0123456789abcdef0123456789abcdef 00 00  01 00  00');
    expect(encodeMessage(metadataRequest, 12, { topics: [{ topicId, name: null }] })).toEqual(
      expected,
    );
    expect(decodeMessage(metadataRequest, 12, expected).topics).toEqual([{ topicId, name: null }]);
  });

  test('tagged fields that differ from their default are written by ascending tag, with their size', () => {
    const response = {
      errorCode: 0,
      apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
      finalizedFeaturesEpoch: 7,
      zkMigrationReady: true,
    };
    const expected = hex(
      '0000  02 0012 0000 0004 00  00000000  02  01 08 0000000000000007  03 01 01',
    );
    expect(encodeMessage(apiVersionsResponse, 3, response)).toEqual(expected);
    expect(decodeMessage(apiVersionsResponse, 3, expected)).toMatchObject(response);
  });

  test('64-bit integers, positive and negative', () => {
    const offsets = message({
      name: 'Offsets',
      versions: '0',
      flexible: 'none',
      fields: { offsets: array('0+', 'int64') },
    });
    const expected = hex(`00000005
      ffffffffffffffff fffffffffffffffe 0000000100000000 001fffffffffffff ffe0000000000001`);
    const value = {
      offsets: [-1, -2, 4294967296, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    };
    expect(encodeMessage(offsets, 0, value)).toEqual(expected);
    expect(decodeMessage(offsets, 0, expected)).toEqual(value);
  });

  test('a nullable struct has a byte in front', () => {
    const start = '01  00000064';
    const none = hex(`${start} ff 00`);
    const some = hex(`${start} 01 02 61 00000005 00 00`);
    const value = { topics: [], responsePartitionLimit: 100 };
    const cursor = { topicName: 'a', partitionIndex: 5 };
    expect(encodeMessage(describeTopicPartitionsRequest, 0, { ...value, cursor: null })).toEqual(
      none,
    );
    expect(encodeMessage(describeTopicPartitionsRequest, 0, { ...value, cursor })).toEqual(some);
    expect(decodeMessage(describeTopicPartitionsRequest, 0, none).cursor).toBeNull();
    expect(decodeMessage(describeTopicPartitionsRequest, 0, some).cursor).toEqual(cursor);
  });

  test('lengths of 127 and more take two bytes in flexible versions', () => {
    const name = 'n'.repeat(127);
    const encoded = encodeMessage(apiVersionsRequest, 3, {
      clientSoftwareName: name,
      clientSoftwareVersion: '',
    });
    expect(encoded.subarray(0, 2)).toEqual(hex('8001'));
    expect(decodeMessage(apiVersionsRequest, 3, encoded).clientSoftwareName).toBe(name);
  });
});

describe('tagged fields', () => {
  test('unknown ones are skipped, between known ones too', () => {
    const bytes = hex('0000  01  00000000  03  01 08 0000000000000007  02 03 ffffff 2a 01 00');
    // Tag 2 is known as an array; 3 bytes of 0xff are not one.
    expect(errorOf(() => decodeMessage(apiVersionsResponse, 3, bytes)).code).toBe(
      'ML_WIRE_MALFORMED',
    );
    const skipped = hex('0000  01  00000000  02  01 08 0000000000000007  2a 03 ffffff');
    expect(decodeMessage(apiVersionsResponse, 3, skipped).finalizedFeaturesEpoch).toBe(7);
  });

  test.each([
    ['out of order', '02  03 01 01  01 08 0000000000000007', 'tag 1 after tag 3'],
    ['given twice', '02  03 01 01  03 01 01', 'tag 3 after tag 3'],
    ['longer than their content', '01  03 02 0100', '1 bytes after the tagged field'],
    ['shorter than their content', '01  01 07 00000000000007', '8 bytes needed, 7 left'],
    ['longer than the message', '01  01 7f 00000000000007', '127 bytes needed, 7 left'],
    ['more than there are', '7f  03 01 01', '1 bytes needed, 0 left'],
  ])('%s are refused', (_, tags, reason) => {
    const error = errorOf(() =>
      decodeMessage(apiVersionsResponse, 3, hex(`0000 01 00000000 ${tags}`)),
    );
    expect(error.code).toBe('ML_WIRE_MALFORMED');
    expect(error.message).toContain(reason);
  });
});

describe('a malformed message', () => {
  test('is reported with its name, version, path and position', () => {
    const error = errorOf(() =>
      decodeMessage(metadataRequest, 4, hex('00000002 0003 666f6f 0009 626172 00')),
    );
    expect(error.message).toBe(
      'malformed MetadataRequest v4 at byte 11, topics[1].name: a length of 9 with 4 bytes left',
    );
    expect(error.fields).toEqual({
      message: 'MetadataRequest',
      version: 4,
      path: 'topics[1].name',
      position: 11,
    });
  });

  test.each([
    ['a count beyond the bytes that are left', 4, '7fffffff', 'an array of 2147483647 elements'],
    ['a count of one more than can follow', 4, '00000003 0000 0000 00', '3 elements in 5 bytes'],
    ['a negative count', 4, 'fffffffe', 'an array of -2 elements'],
    ['null where it is not allowed', 0, 'ffffffff', 'null is not allowed'],
    ['a negative length', 4, '00000001 fffe', 'a length of -2'],
    ['a compact count beyond the bytes', 9, 'ffffffff0f', 'an array of 4294967294 elements'],
    ['a varint of more than 32 bits', 9, 'ffffffff1f', 'a varint of more than 32 bits'],
    ['a varint without an end', 9, 'ffffffffffff', 'a varint of more than 32 bits'],
    ['a varint that is cut', 9, 'ffff', '1 bytes needed, 0 left'],
    ['a string over the limit', 9, `02 818002${'61'.repeat(32_768)}`, 'over the limit of 32767'],
  ])('%s', (_, version, bytes, reason) => {
    const error = errorOf(() => decodeMessage(metadataRequest, version, hex(bytes)));
    expect(error.code).toBe('ML_WIRE_MALFORMED');
    expect(error.message).toContain(reason);
  });

  test('an int64 that no number can hold', () => {
    const request = encodeMessage(fetchRequest, 4, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [
        { topic: 't', partitions: [{ partition: 0, fetchOffset: 5, partitionMaxBytes: 1 }] },
      ],
    });
    request.writeBigInt64BE(2n ** 53n, request.length - 12);
    const error = errorOf(() => decodeMessage(fetchRequest, 4, request));
    expect(error.message).toContain(
      'topics[0].partitions[0].fetchOffset: a 64-bit integer beyond 2^53',
    );
  });

  test('more elements than one message may have, at all depths together', () => {
    const nested = message({
      name: 'Nested',
      versions: '0',
      flexible: '0+',
      fields: { outer: array('0+', { inner: array('0+', 'int8') }) },
    });
    const inner = Buffer.concat([hex('81897a'), Buffer.alloc(2_000_000), hex('00')]);
    expect(inner.readUInt8(0) & 0x80).toBe(0x80);
    const bytes = Buffer.concat([hex('03'), inner, inner, hex('00')]);
    expect(WIRE_ELEMENTS_MAX).toBeLessThan(4_000_000);
    const error = errorOf(() => decodeMessage(nested, 0, bytes));
    expect(error.message).toContain('elements is too many');
  });

  test('reads nothing before start and after end', () => {
    const bytes = hex('ffff 00000001 0003 666f6f 01 ffff');
    const range = { start: 2, end: bytes.length - 2 };
    expect(decodeMessage(metadataRequest, 4, bytes, range).topics).toMatchObject([{ name: 'foo' }]);
    const cut = errorOf(() => decodeMessage(metadataRequest, 4, bytes, { ...range, end: 11 }));
    expect(cut.fields['position']).toBe(11);
  });
});

describe('what a version cannot say', () => {
  test('a field of another version with a value that would be lost', () => {
    const request = {
      groupId: 'g',
      sessionTimeoutMs: 1,
      memberId: '',
      protocolType: 'consumer',
      protocols: [],
    };
    const error = errorOf(() =>
      encodeMessage(joinGroupRequest, 4, { ...request, groupInstanceId: 'static' }),
    );
    expect(error.code).toBe('ML_WIRE_UNREPRESENTABLE');
    expect(error.message).toBe(
      'cannot write JoinGroupRequest v4, groupInstanceId: this version does not have the field',
    );
    // Ignorable, and equal to the default: both pass.
    encodeMessage(joinGroupRequest, 4, { ...request, groupInstanceId: null, reason: 'why' });
  });

  test('null in a version where the field may not be null', () => {
    const error = errorOf(() => encodeMessage(metadataRequest, 0, { topics: null }));
    expect(error.message).toContain('topics: null is not allowed');
  });

  const Limits = message({
    name: 'Limits',
    versions: '0',
    flexible: 'none',
    fields: {
      number: int32('0+', { default: 0 }),
      large: int64('0+', { default: 0 }),
      text: string('0+', { default: '' }),
      id: uuid('0+', { default: '00000000-0000-0000-0000-000000000000' }),
    },
  });

  test.each([
    ['an integer out of range', { number: 2 ** 31 }, 'is not a 32-bit integer'],
    ['a fraction', { number: 1.5 }, 'is not a 32-bit integer'],
    ['not a number', { number: Number.NaN }, 'is not a 32-bit integer'],
    ['an unsafe integer', { large: 2 ** 53 }, 'is not a safe integer'],
    ['a string over the limit', { text: 'é'.repeat(16_384) }, 'is over the limit'],
    ['an upper-case uuid', { id: '0000000A-0000-0000-0000-000000000000' }, 'lower-case'],
  ])('%s', (_, value, reason) => {
    const error = errorOf(() => encodeMessage(Limits, 0, value));
    expect(error.code).toBe('ML_WIRE_UNREPRESENTABLE');
    expect(error.message).toContain(reason);
  });

  test('the longest string passes', () => {
    const value = {
      number: 0,
      large: 0,
      text: 'é'.repeat(16_383),
      id: Limits.fields.id.options.default,
    };
    expect(decodeMessage(Limits, 0, encodeMessage(Limits, 0, { text: value.text })).text).toBe(
      value.text,
    );
  });

  test('a version that there is not is a programming error', () => {
    expect(errorOf(() => encodeMessage(metadataRequest, 99, { topics: null })).code).toBe(
      'ML_ASSERT',
    );
  });
});

test('decoded bytes are views of the message, not copies', () => {
  const blob = message({
    name: 'Blob',
    versions: '0',
    flexible: 'none',
    fields: { blob: bytes('0+') },
  });
  const encoded = hex('00000003 616263');
  const decoded = decodeMessage(blob, 0, encoded);
  encoded[4] = 0x78;
  expect(decoded.blob.toString()).toBe('xbc');
});

test('every decoded object of a message has the same fields in the same order, in every version', () => {
  const request = { topics: [{ name: 'foo' }] };
  const shapes = [1, 5, 9, 13].map((version) =>
    Object.keys(
      decodeMessage(metadataRequest, version, encodeMessage(metadataRequest, version, request)),
    ),
  );
  expect(new Set(shapes.map((keys) => keys.join())).size).toBe(1);
});

test('types follow from the definitions', () => {
  expectTypeOf<MetadataRequest['topics']>().toEqualTypeOf<
    readonly { readonly topicId: string; readonly name: string | null }[] | null
  >();
  expectTypeOf<MetadataRequest['allowAutoTopicCreation']>().toEqualTypeOf<boolean>();
  expectTypeOf<MetadataRequestInput['allowAutoTopicCreation']>().toEqualTypeOf<
    boolean | undefined
  >();
  expectTypeOf<
    ElementOf<ElementOf<MetadataResponse['topics']>['partitions']>['leaderId']
  >().toEqualTypeOf<number>();

  const demo = message({
    name: 'Demo',
    versions: '0',
    flexible: '0+',
    fields: {
      must: int32('0+'),
      may: string('0+', { default: 'x' }),
      none: string('0+', { nullable: '0+' }),
      tagged: int64('0+', { tag: 0 }),
      nested: struct('0+', { blob: bytes('0+') }),
    },
  });
  expectTypeOf<Infer<typeof demo>>().toEqualTypeOf<{
    readonly must: number;
    readonly may: string;
    readonly none: string | null;
    readonly tagged: number;
    readonly nested: { readonly blob: Buffer };
  }>();
  expectTypeOf<InferInput<typeof demo>>().toEqualTypeOf<{
    readonly must: number;
    readonly may?: string | undefined;
    readonly none: string | null;
    readonly tagged?: number | undefined;
    readonly nested: { readonly blob: Buffer };
  }>();
  const value = { must: 1, none: null, nested: { blob: Buffer.from('b') } };
  expect(decodeMessage(demo, 0, encodeMessage(demo, 0, value))).toEqual({
    ...value,
    may: 'x',
    tagged: 0,
  });
});
