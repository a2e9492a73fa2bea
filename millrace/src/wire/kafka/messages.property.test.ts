/** Every message in every version: what is encoded is decoded as it was, through the table alone. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageArbitrary } from '../../../test/wire/message-arbitrary.ts';
import { MillraceError } from '../../core/errors.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import {
  correlationIdOf,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from './frames.ts';
import { INTERNAL_MESSAGES } from './internal/registry.ts';
import { apiMessages, messages } from './registry.ts';
import type { Message } from './schema.ts';

const APIS = Object.values(messages).map((api) => apiMessages(api.key) ?? expect.fail(api.name));
const ALL: readonly Message[] = [
  ...APIS.flatMap((api) => [api.request, api.response]),
  ...INTERNAL_MESSAGES,
];
const RUNS = 12;

function versionsOf(message: Message): number[] {
  return Array.from(
    { length: message.maxVersion - message.minVersion + 1 },
    (_, index) => message.minVersion + index,
  );
}

test('the table holds every API, and request and response agree on their versions', () => {
  expect(APIS.length).toBe(42);
  for (const { name, request, response } of APIS) {
    expect(request.name).toBe(`${name}Request`);
    expect(response.name).toBe(`${name}Response`);
    expect(response.minVersion).toBe(request.minVersion);
    expect(response.maxVersion).toBe(request.maxVersion);
    expect(response.flexibleSince).toBe(request.flexibleSince);
  }
});

describe.each(ALL.map((message) => ({ name: message.name, message })))('$name', ({ message }) => {
  test.each(versionsOf(message))('v%i decodes what it encodes', (version) => {
    fc.assert(
      fc.property(messageArbitrary(message, version), (value) => {
        const bytes = encodeMessage(message, version, value);
        expect(decodeMessage(message, version, bytes)).toEqual(value);
      }),
      { numRuns: RUNS },
    );
  });

  test('refuses every message that is cut short', () => {
    const version = message.maxVersion;
    fc.assert(
      fc.property(messageArbitrary(message, version), fc.nat(), (value, cut) => {
        const bytes = encodeMessage(message, version, value);
        const short = bytes.subarray(0, cut % bytes.length);
        expect(codeOf(() => decodeMessage(message, version, short))).toBe('ML_WIRE_MALFORMED');
      }),
      { numRuns: RUNS },
    );
  });

  test('refuses bytes after the end unless told to ignore them', () => {
    const version = message.maxVersion;
    fc.assert(
      fc.property(messageArbitrary(message, version), (value) => {
        const bytes = encodeMessage(message, version, value);
        const long = Buffer.concat([bytes, Buffer.from([1])]);
        expect(codeOf(() => decodeMessage(message, version, long))).toBe('ML_WIRE_MALFORMED');
        expect(decodeMessage(message, version, long, { leftover: 'ignore' })).toEqual(value);
      }),
      { numRuns: 3 },
    );
  });
});

describe.each(APIS)('$name in frames', (api) => {
  test.each(versionsOf(api.request))('v%i', (apiVersion) => {
    fc.assert(
      fc.property(
        messageArbitrary(api.request, apiVersion),
        messageArbitrary(api.response, apiVersion),
        fc.integer(),
        fc.option(fc.string({ maxLength: 20 })),
        (request, response, correlationId, clientId) => {
          const frame = encodeRequest(api, { apiVersion, correlationId, clientId }, request);
          expect(frame.readInt32BE(0)).toBe(frame.length - 4);
          const body = frame.subarray(4);
          const header = decodeRequestHeader(body, apiMessages);
          expect(header).toMatchObject({ apiKey: api.key, apiVersion, correlationId, clientId });
          expect(decodeMessage(api.request, apiVersion, body, { start: header.bodyStart })).toEqual(
            request,
          );

          const answer = encodeResponse(api, { apiVersion, correlationId }, response).subarray(4);
          expect(correlationIdOf(answer)).toBe(correlationId);
          expect(decodeResponse(api, apiVersion, answer)).toEqual(response);
        },
      ),
      { numRuns: 3 },
    );
  });
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}
