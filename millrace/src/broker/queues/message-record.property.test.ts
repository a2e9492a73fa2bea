/** Messages as records: both ways, and whatever others may have written. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { decodeProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import { encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import { NO_PROPERTIES, PROPERTIES_HEADER, type QueueMessage } from './message.ts';
import { factsOf } from './message-facts.ts';
import { copyMessage, encodeMessages, MessageDecoder } from './message-record.ts';

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const text = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: 'grapheme', maxLength });

const properties = fc.oneof(
  fc.constant(NO_PROPERTIES),
  fc
    .record(
      {
        contentType: fc.string({ maxLength: 20, unit: 'grapheme-ascii' }),
        headers: fc.dictionary(
          fc.string({ maxLength: 8, unit: 'grapheme-ascii' }),
          fc.oneof(fc.integer(), fc.string({ maxLength: 9 }), fc.constant(null)),
        ),
        deliveryMode: fc.integer({ min: 1, max: 2 }),
        priority: fc.integer({ min: 0, max: 255 }),
        expiration: fc.nat().map(String),
      },
      { requiredKeys: [] },
    )
    .map(encodeProperties),
);

const message: fc.Arbitrary<QueueMessage> = fc.record({
  key: fc.option(bytes(10), { nil: null }),
  exchange: text(12),
  routingKey: text(12),
  properties,
  body: bytes(60),
  timestampMs: fc.nat({ max: 2 ** 40 }),
});

function decodeAll(batch: Buffer, name = 'work'): QueueMessage[] {
  const reader = new RecordReader();
  const decoder = new MessageDecoder(name);
  const found: QueueMessage[] = [];
  reader.open(batch, 0, batch.length);
  while (reader.next()) found.push(decoder.decode(reader));
  return found;
}

test('what goes in comes out', () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 8 }), (messages) => {
      const decoded = decodeAll(encodeMessages(messages));
      expect(decoded).toEqual(messages);
      expect(decoded.map(copyMessage)).toEqual(messages);
    }),
  );
});

test('records of others become messages with defaults and text headers', () => {
  const header = (key: string, value: string | null): { key: string; value: string | null } => ({
    key,
    value,
  });
  const [plain, withHeaders] = decodeAll(
    encodeBatch([
      { timestamp: 5, key: 'k', value: null },
      {
        timestamp: 6,
        key: null,
        value: 'v',
        headers: [header('a', 'ä'), header('none', null), header('x-delay', '1500')],
      },
    ]),
  );
  expect(plain).toEqual({
    key: Buffer.from('k'),
    exchange: '',
    routingKey: 'work',
    properties: NO_PROPERTIES,
    body: Buffer.alloc(0),
    timestampMs: 5,
  });
  expect(decodeProperties(withHeaders?.properties ?? NO_PROPERTIES)).toEqual({
    headers: { a: 'ä', none: null, 'x-delay': 1500 },
  });
  expect(factsOf(withHeaders?.properties ?? NO_PROPERTIES).delayMs).toBe(1500);
});

test('whatever others have written as headers, only good properties come out', () => {
  const name = fc.oneof(
    fc.constantFrom(PROPERTIES_HEADER, 'amqp.exchange', 'amqp.routing-key', 'x-delay', '__proto__'),
    text(300),
  );
  const header = fc.record({ key: name, value: fc.option(bytes(400), { nil: null }) });
  fc.assert(
    fc.property(fc.array(header, { maxLength: 5 }), bytes(20), (headers, value) => {
      const [decoded] = decodeAll(encodeBatch([{ timestamp: 1, key: null, value, headers }]));
      expect(decoded?.body).toEqual(value);
      expect(() => decodeProperties(decoded?.properties ?? NO_PROPERTIES)).not.toThrow();
      expect(factsOf(decoded?.properties ?? NO_PROPERTIES).delayMs).toBeGreaterThanOrEqual(0);
    }),
  );
});

test('bytes that were changed give messages or an error of ours', () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 3 }),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
      (messages, changes) => {
        const batch = encodeMessages(messages);
        for (const [at, value] of changes) batch[61 + (at % (batch.length - 61))] = value;
        try {
          decodeAll(batch);
        } catch (error) {
          expect(error).toBeInstanceOf(MillraceError);
        }
      },
    ),
    { numRuns: 300 },
  );
});
