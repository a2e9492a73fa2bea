/**
 * The same scripts to Millrace and to RabbitMQ, and what their clients see. RabbitMQ's answers were recorded, so that the comparison needs
 * none; `npm run test:rabbitmq` plays them to it again, and random programs to both. MILLRACE_RECORD=1 there writes the recording anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '../../runs.ts';
import {
  type AmqpUnderTest,
  startAmqpUnderTest,
  startMillraceUnderTest,
} from '../amqp-under-test.ts';
import { play, type Script, type Seen } from './play.ts';
import { program } from './random-programs.ts';
import { SCRIPTS } from './scripts.ts';

const FILE = new URL('recorded.json', import.meta.url);
const isRecording = process.env['MILLRACE_RECORD'] !== undefined;
const recorded = JSON.parse(isRecording ? '{}' : readFileSync(FILE, 'utf8')) as Record<
  string,
  Seen
>;

let broker: AmqpUnderTest;
beforeAll(async () => {
  broker = await startAmqpUnderTest();
});
afterAll(async () => {
  await broker.stop();
  if (isRecording) writeFileSync(FILE, `${JSON.stringify(recorded, undefined, 2)}\n`);
});

/** What is to be seen: as recorded, but for what a step says of itself. */
function expectedOf(name: string, script: Script): Seen {
  return (recorded[name] ?? []).map((lines, index) => {
    const instead = script[index]?.instead;
    return broker.kind === 'millrace' && instead !== undefined ? instead.lines : lines;
  });
}

/** Steps and lines, for people who look for the first that differs. */
function told(script: Script, seen: Seen): string[] {
  return script.flatMap((step, index) => [
    `${index}: ${JSON.stringify({ ...step, instead: undefined })}`,
    ...(seen[index] ?? []).map((line) => `    ${line}`),
  ]);
}

describe('clients see what RabbitMQ would show them', () => {
  test.each(Object.entries(SCRIPTS))('%s', async (name, script) => {
    if (isRecording) recorded[name] = await play(broker, script);
    const expected = expectedOf(name, script);
    const seen = await play(broker, script, { expected });
    expect(told(script, seen)).toEqual(told(script, expected));
  });
});

/** Time in which RabbitMQ does what a step asks for. */
const QUIET_MS = 40;

// Needs both.
test.runIf(process.env['MILLRACE_TEST_AMQP'] !== undefined && !isRecording)(
  'clients of both see the same of random programs',
  async () => {
    const millrace = await startMillraceUnderTest();
    const check = fc.asyncProperty(program, async (script) => {
      const expected = await play(broker, script, { quietMs: QUIET_MS });
      const seen = await play(millrace, script, { expected });
      expect(told(script, seen)).toEqual(told(script, expected));
    });
    const seed = Number(process.env['MILLRACE_SEED'] ?? 1);
    try {
      await fc.assert(check, { numRuns: runs(60), seed, endOnFailure: false });
    } finally {
      await millrace.stop();
    }
  },
  3_600_000,
);
