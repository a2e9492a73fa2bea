import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeRequest } from '../../wire/kafka/frames.ts';
import { messages } from '../../wire/kafka/registry.ts';
import { byTopic } from './partition-leaders.ts';
import { encodeProduceRequest } from './produce-request.ts';

const batch = fc.record({
  topic: fc.string({ maxLength: 300 }),
  partition: fc.nat(1_000_000),
  bytes: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
});

test('the buffers of a Produce request are the frame that the definition of the message gives', () => {
  fc.assert(
    fc.property(
      fc.record({
        apiVersion: fc.integer({ min: 3, max: 12 }),
        correlationId: fc.nat(),
        clientId: fc.option(fc.string({ maxLength: 20 })),
      }),
      fc.record({
        transactionalId: fc.option(fc.string({ maxLength: 200 })),
        acks: fc.constantFrom(-1, 0, 1),
        timeoutMs: fc.nat(),
        batches: fc.array(batch, { maxLength: 20 }),
      }),
      (header, request) => {
        const { batches, ...rest } = request;
        const topicData = [...byTopic(batches)].map(([name, some]) => ({
          name,
          partitionData: some.map(({ partition, bytes }) => ({ index: partition, records: bytes })),
        }));
        const wanted = encodeRequest(messages[0], header, { ...rest, topicData });
        expect(Buffer.concat(encodeProduceRequest(header, request)).equals(wanted)).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test('batches are not copied', () => {
  const bytes = Buffer.alloc(100_000);
  const header = { apiVersion: 9, correlationId: 1, clientId: null };
  const request = { transactionalId: null, acks: -1, timeoutMs: 1 };
  const batches = [{ topic: 't', partition: 0, bytes }];
  expect(encodeProduceRequest(header, { ...request, batches })).toContain(bytes);
});
