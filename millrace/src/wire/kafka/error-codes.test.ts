import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import {
  KAFKA_ERRORS,
  errorCode,
  errorName,
  errorSummary,
  isRetriable,
  type ErrorName,
} from './error-codes.ts';

interface ForeignError {
  readonly type: string;
  readonly code: number;
  readonly retriable: boolean;
}

const { errorCodes } = createRequire(import.meta.url)('kafkajs/src/protocol/error.js') as {
  readonly errorCodes: readonly ForeignError[];
};

/** What kafkajs still calls by an old name. */
const RENAMED = new Map<string, ErrorName>([
  ['UNKNOWN', 'UNKNOWN_SERVER_ERROR'],
  ['NOT_LEADER_FOR_PARTITION', 'NOT_LEADER_OR_FOLLOWER'],
  ['GROUP_LOAD_IN_PROGRESS', 'COORDINATOR_LOAD_IN_PROGRESS'],
  ['GROUP_COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE'],
  ['NOT_COORDINATOR_FOR_GROUP', 'NOT_COORDINATOR'],
]);

test('codes are dense, and names and codes are one to one', () => {
  expect(KAFKA_ERRORS.map(({ code }) => code)).toEqual(
    Array.from({ length: KAFKA_ERRORS.length }, (_, index) => index - 1),
  );
  for (const { name, code, retriable, summary } of KAFKA_ERRORS) {
    expect(errorCode(name)).toBe(code);
    expect(errorName(code)).toBe(name);
    expect(isRetriable(name)).toBe(retriable);
    expect(errorSummary(name)).toBe(summary);
    expect(summary).toMatch(/[^.]$/);
  }
});

test('kafkajs has the same names for the same codes, and tries the same ones again', () => {
  expect(errorCodes.length).toBeGreaterThan(80);
  for (const { type, code, retriable } of errorCodes) {
    const name = errorName(code);
    expect(name).toBe(RENAMED.get(type) ?? type);
    expect({ name, retriable: isRetriable(name) }).toEqual({ name, retriable });
  }
});

test('an unknown code is an unknown error', () => {
  expect(errorName(9999)).toBe('UNKNOWN_SERVER_ERROR' satisfies ErrorName);
});
