import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import { decodeKey } from '../../../core/key-codec.ts';
import { decodedEnd, decodeValue, decodeValueAt } from '../../../core/value-codec.ts';
import { decodeMarker, encodeMarker, RepartitionEncoder } from './repartition-record.ts';

const keys = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.constant(undefined),
  fc.constant(null),
  fc.record({ key: fc.string(), start: fc.nat(), end: fc.nat() }),
);
const values = fc.oneof(fc.constant(undefined), fc.jsonValue());

test('key, value and old value come back', () => {
  const encoder = new RepartitionEncoder();
  fc.assert(
    fc.property(keys, values, values, (key, value, old) => {
      encoder.encode(key, value, old);
      const { buffer, length } = encoder.writer;
      expect(encoder.keyEnd).toBeGreaterThan(0);
      expect(decodeKey(buffer, 0, encoder.keyEnd)).toEqual(key);
      expect(decodeValueAt(buffer, encoder.keyEnd, length)).toEqual(value);
      const at = decodedEnd();
      expect(at === length ? undefined : decodeValue(buffer, at, length)).toEqual(old);
    }),
  );
});

test('markers come back', () => {
  const markers = fc.record({
    writer: fc.nat(0xffff_ffff),
    time: fc.oneof(fc.constant(Number.NEGATIVE_INFINITY), fc.integer()),
    counting: fc.constantFrom('counts' as const, 'absent' as const, 'clock' as const),
    until: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer()),
  });
  fc.assert(
    fc.property(markers, (marker) => {
      const bytes = encodeMarker(marker);
      expect(decodeMarker(bytes, 0, bytes.length)).toEqual(marker);
    }),
  );
});

test('whatever the bytes are, only a marker or an error comes out', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(20), (data, start) => {
      const bytes = Buffer.from(data);
      try {
        const { time } = decodeMarker(bytes, Math.min(start, bytes.length), bytes.length);
        expect(time < Number.POSITIVE_INFINITY).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(MillraceError);
      }
    }),
    { numRuns: 300 },
  );
});
