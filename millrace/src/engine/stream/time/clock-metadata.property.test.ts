import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import { CLOCK_WRITERS_MAX, OFFSET_METADATA_BYTES_MAX } from '../../../core/stream-limits.ts';
import { decodeClock, encodeClock, type SavedClock } from './clock-metadata.ts';

const time = fc.oneof(
  fc.constant(Number.NEGATIVE_INFINITY),
  fc.integer({ min: -4e12, max: 2 ** 50 - 1 }),
  fc.integer({ min: 1.7e12, max: 1.8e12 }),
);
const counting = fc.constantFrom('counts' as const, 'absent' as const, 'clock' as const);
const writer = fc.tuple(time, counting, time).map(([at, counts, until]) => ({
  time: at,
  counting: counts,
  until: counts === 'clock' && until > -Infinity ? until : Infinity,
}));
const clock: fc.Arbitrary<SavedClock> = fc.record({
  now: time,
  inputs: fc.array(fc.record({ seen: time, writers: fc.array(writer, { maxLength: 20 }) }), {
    maxLength: 3,
  }),
});

test('clocks come back as they were', () => {
  fc.assert(
    fc.property(clock, (given) => {
      expect(decodeClock(encodeClock(given))).toEqual(given);
    }),
  );
});

test('the times of all writers fit into what a broker takes, however far apart they are', () => {
  const writers = Array.from({ length: CLOCK_WRITERS_MAX }, (_, index) => ({
    time: index % 2 === 0 ? -4e12 : 2 ** 50 - 1,
    counting: 'clock' as const,
    until: 2 ** 50 - 1,
  }));
  const text = encodeClock({ now: 2 ** 50 - 1, inputs: [{ seen: 2 ** 50 - 1, writers }] });
  expect(text.length).toBeLessThanOrEqual(OFFSET_METADATA_BYTES_MAX);
  expect(decodeClock(text)?.inputs[0]?.writers).toEqual(writers);
});

test('more writers than fit are left to a store', () => {
  const writers = Array.from({ length: CLOCK_WRITERS_MAX + 1 }, () => ({
    time: 5,
    counting: 'counts' as const,
    until: Infinity,
  }));
  const text = encodeClock({ now: 5, inputs: [{ seen: 5, writers }] });
  expect(decodeClock(text)).toEqual({ now: 5, inputs: [{ seen: 5, writers: [] }] });
});

test('an offset that somebody else has set has no clock', () => {
  expect(decodeClock('')).toBeUndefined();
});

test('whatever the metadata say, only a clock or an error comes out', () => {
  const bytes = fc.uint8Array({ maxLength: 60 }).map((data) => Buffer.from(data));
  const texts = fc.oneof(
    fc.string(),
    bytes.map((data) => data.toString('base64')),
    bytes.map((data) => Buffer.concat([Buffer.from([1]), data]).toString('base64')),
    clock.map((given) => encodeClock(given).slice(0, -4)),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        decodeClock(text);
      } catch (error) {
        expect(error).toBeInstanceOf(MillraceError);
        expect((error as MillraceError).code).toBe('ML_FLOW_CHANGED');
      }
    }),
    { numRuns: 500 },
  );
});
