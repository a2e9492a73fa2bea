import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageArbitrary, mutated } from '../../../test/wire/message-arbitrary.ts';
import { MillraceError } from '../../core/errors.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { encodeResponse } from './frames.ts';
import {
  produceRequest,
  type ProduceRequest,
  type ProduceResponseInput,
} from './messages/00-produce.ts';
import {
  decodeProduceRequest,
  encodeProduceResponse,
  type FlatProduceRequest,
  type ProduceResult,
} from './produce-codec.ts';
import { messages } from './registry.ts';

const VERSIONS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
const RUNS = 40;

const result: fc.Arbitrary<ProduceResult> = fc.record({
  errorCode: fc.integer({ min: -0x8000, max: 0x7fff }),
  baseOffset: fc.maxSafeInteger(),
  logAppendTimeMs: fc.maxSafeInteger(),
  logStartOffset: fc.maxSafeInteger(),
  recordErrors: fc.array(
    fc.record({
      batchIndex: fc.integer(),
      batchIndexErrorMessage: fc.option(fc.string({ unit: 'grapheme', maxLength: 140 })),
    }),
    { maxLength: 3 },
  ),
  errorMessage: fc.option(fc.string({ unit: 'grapheme', maxLength: 140 })),
});

/** The nested form of the table, from the flat one. */
function nested(flat: FlatProduceRequest): ProduceRequest {
  return {
    transactionalId: flat.transactionalId,
    acks: flat.acks,
    timeoutMs: flat.timeoutMs,
    topicData: flat.topics.map(({ name, topicId, firstPartition, partitionCount }) => ({
      name,
      topicId,
      partitionData: flat.partitions
        .slice(firstPartition, firstPartition + partitionCount)
        .map(({ index, recordsStart, recordsEnd }) => ({
          index,
          records: recordsStart < 0 ? null : flat.frame.subarray(recordsStart, recordsEnd),
        })),
    })),
  };
}

describe.each(VERSIONS)('Produce v%i', (version) => {
  test('decodes what the table decodes', () => {
    fc.assert(
      fc.property(
        messageArbitrary(produceRequest, version),
        fc.uint8Array({ maxLength: 9 }),
        (value, header) => {
          const body = encodeMessage(produceRequest, version, value as unknown as ProduceRequest);
          const frame = Buffer.concat([header, body]);
          const flat = decodeProduceRequest(frame, version, header.length);
          expect(nested(flat)).toEqual(value);
          expect(flat.partitions.map(({ topic }) => topic)).toEqual(
            flat.topics.flatMap((topic, index) =>
              Array.from({ length: topic.partitionCount }, () => index),
            ),
          );
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('refuses what the table refuses, with the same error, and accepts the rest', () => {
    const bytes = messageArbitrary(produceRequest, version).chain((value) =>
      mutated(encodeMessage(produceRequest, version, value as unknown as ProduceRequest)),
    );
    fc.assert(
      fc.property(bytes, (frame) => {
        const byTable = outcome(() =>
          decodeMessage(produceRequest, version, frame, { leftover: 'ignore' }),
        );
        const byHand = outcome(() => nested(decodeProduceRequest(frame, version, 0)));
        expect(byHand).toEqual(byTable);
      }),
      { numRuns: RUNS * 5 },
    );
  });

  test('encodes the bytes that the table encodes', () => {
    fc.assert(
      fc.property(
        messageArbitrary(produceRequest, version),
        fc.array(result, { minLength: 9, maxLength: 9 }),
        fc.integer(),
        fc.integer(),
        (value, results, correlationId, throttleTimeMs) => {
          const request = encodeMessage(
            produceRequest,
            version,
            value as unknown as ProduceRequest,
          );
          const { topics, partitions } = decodeProduceRequest(request, version, 0);
          const used = results.slice(0, partitions.length);
          const body: ProduceResponseInput = {
            throttleTimeMs,
            responses: topics.map(({ name, topicId, firstPartition, partitionCount }) => ({
              name,
              topicId,
              partitionResponses: used
                .slice(firstPartition, firstPartition + partitionCount)
                .map((answer, index) => ({
                  ...answer,
                  recordErrors: version < 8 ? [] : answer.recordErrors,
                  index: partitions[firstPartition + index]?.index ?? -1,
                })),
            })),
          };
          const header = { apiVersion: version, correlationId };
          expect(
            encodeProduceResponse({ ...header, throttleTimeMs, topics, partitions, results: used }),
          ).toEqual(encodeResponse(messages[0], header, body));
        },
      ),
      { numRuns: RUNS },
    );
  });
});

test('copies nothing of a request but strings', () => {
  const records = Buffer.from('a record batch, as far as anyone here knows');
  const body = encodeMessage(produceRequest, 9, {
    acks: -1,
    timeoutMs: 100,
    topicData: [
      {
        name: 'words',
        partitionData: [
          { index: 4, records },
          { index: 5, records: null },
        ],
      },
    ],
  });
  const { frame, partitions } = decodeProduceRequest(body, 9, 0);
  expect(frame).toBe(body);
  expect(frame.subarray(partitions[0]?.recordsStart, partitions[0]?.recordsEnd)).toEqual(records);
  expect(partitions[1]).toEqual({ topic: 0, index: 5, recordsStart: -1, recordsEnd: -1 });
});

test('wants one result for each partition', () => {
  const partitions = [{ topic: 0, index: 0, recordsStart: 0, recordsEnd: 0 }];
  const topics = [{ name: 't', topicId: '', firstPartition: 0, partitionCount: 1 }];
  const parts = { apiVersion: 9, correlationId: 1, throttleTimeMs: 0, topics, partitions };
  expect(() => encodeProduceResponse({ ...parts, results: [] })).toThrow('0 results for 1');
});

/** A value, or the error's code and place: what two decoders must agree on. */
function outcome(run: () => unknown): unknown {
  try {
    return { value: run() };
  } catch (error) {
    if (error instanceof MillraceError && error.code !== 'ML_ASSERT') {
      return { code: error.code, message: error.message, fields: error.fields };
    }
    throw error;
  }
}
