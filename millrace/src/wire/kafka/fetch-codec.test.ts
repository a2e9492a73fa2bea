import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageArbitrary, mutated } from '../../../test/wire/message-arbitrary.ts';
import { MillraceError } from '../../core/errors.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { decodeFetchRequest, encodeFetchResponse, type FetchBody } from './fetch-codec.ts';
import { encodeResponse } from './frames.ts';
import {
  fetchRequest,
  fetchResponse,
  type FetchRequest,
  type FetchResponse,
} from './messages/01-fetch.ts';
import { messages } from './registry.ts';

const VERSIONS = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
const RUNS = 30;

/** Without what the fast path never says: other leaders, and snapshots. */
function withoutLeaders({
  nodeEndpoints: _endpoints,
  responses,
  ...rest
}: FetchResponse): FetchBody {
  return {
    ...rest,
    responses: responses.map(({ partitions, ...topic }) => ({
      ...topic,
      partitions: partitions.map(
        ({ divergingEpoch: _epoch, currentLeader: _leader, snapshotId: _snapshot, ...partition }) =>
          partition,
      ),
    })),
  };
}

describe.each(VERSIONS)('Fetch v%i', (version) => {
  test('decodes what the table decodes', () => {
    fc.assert(
      fc.property(
        messageArbitrary(fetchRequest, version),
        fc.uint8Array({ maxLength: 9 }),
        (value, header) => {
          const body = encodeMessage(fetchRequest, version, value as unknown as FetchRequest);
          const frame = Buffer.concat([header, body]);
          expect(decodeFetchRequest(frame, version, header.length)).toEqual(value);
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('refuses what the table refuses, with the same error, and accepts the rest', () => {
    const bytes = messageArbitrary(fetchRequest, version).chain((value) =>
      mutated(encodeMessage(fetchRequest, version, value as unknown as FetchRequest)),
    );
    fc.assert(
      fc.property(bytes, (frame) => {
        const byTable = outcome(() =>
          decodeMessage(fetchRequest, version, frame, { leftover: 'ignore' }),
        );
        expect(outcome(() => decodeFetchRequest(frame, version, 0))).toEqual(byTable);
      }),
      { numRuns: RUNS * 5 },
    );
  });

  test('encodes the bytes that the table encodes, and passes records by reference', () => {
    fc.assert(
      fc.property(
        messageArbitrary(fetchResponse, version),
        fc.integer(),
        (value, correlationId) => {
          const body = withoutLeaders(value as unknown as FetchResponse);
          const header = { apiVersion: version, correlationId };
          const { buffers, bytes } = encodeFetchResponse(header, body);
          const whole = Buffer.concat(buffers);
          expect(whole).toEqual(encodeResponse(messages[1], header, body));
          expect(bytes).toBe(whole.length);
          const given = body.responses
            .flatMap(({ partitions }) => partitions.map(({ records }) => records))
            .filter((records) => records !== null && records.length > 0);
          // Every other buffer, and the very same object.
          const passed = buffers.filter((_, index) => index % 2 === 1);
          expect(passed.length).toBe(given.length);
          expect(passed.every((buffer, index) => buffer === given[index])).toBe(true);
        },
      ),
      { numRuns: RUNS },
    );
  });
});

test('a response without records is one buffer', () => {
  const header = { apiVersion: 13, correlationId: 7 };
  const { buffers } = encodeFetchResponse(header, { errorCode: 0, responses: [] });
  expect(buffers.length).toBe(1);
});

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
