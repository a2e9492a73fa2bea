/** The same flow on the log of a directory, on a Millrace over TCP, and on the broker that `npm run test:kafka` names. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMillrace, openMillrace } from 'millrace';
import { testFlow } from 'millrace/testing';
import { startBroker } from '../millrace/src/broker.ts';
import { counts, countWords, lines, wordCounts } from './both-brokers.ts';

const TEXT = ['to be or not to be', 'that is the question', 'or not'];
const COUNTS = { to: 2, be: 2, or: 2, not: 2, that: 1, is: 1, the: 1, question: 1 };
const given = process.env['MILLRACE_TEST_BROKER'];

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-brokers-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const isDone = (latest: ReadonlyMap<string, number>): boolean =>
  Object.entries(COUNTS).every(([word, count]) => latest.get(word) === count);

test('in a directory', async () => {
  await using millrace = await openMillrace({ dir: join(directory, 'log') });
  expect(Object.fromEntries(await countWords(millrace, TEXT, isDone))).toEqual(COUNTS);
});

test('over the network', async () => {
  const data = join(directory, 'broker');
  const broker = given === undefined ? await startBroker({ data, kafka: { port: 0 } }) : undefined;
  const brokers = given ?? `${broker?.host}:${broker?.port}`;
  {
    await using millrace = await connectMillrace({ brokers, dir: join(directory, 'state') });
    expect(Object.fromEntries(await countWords(millrace, TEXT, isDone))).toEqual(COUNTS);
  }
  await broker?.close();
});

test('under test', async () => {
  await using driver = await testFlow(wordCounts, { workers: 2 });
  await driver.send(
    lines,
    TEXT.map((value, partition) => ({ value, partition: partition % 2 })),
  );
  await driver.redeliver();
  const latest = new Map(driver.outputs(counts).map(({ key, value }) => [key, value]));
  expect(Object.fromEntries(latest)).toEqual(COUNTS);
});
