/** A log that another thread has, over a message port. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realEnv } from '../../src/core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../src/embedded-log.ts';
import { codeOf, newTopic, readAll, signal, values } from './ways.ts';

const dir = mkdtempSync(join(tmpdir(), 'millrace-log-'));
let log: EmbeddedLog;

beforeAll(async () => {
  log = await openEmbedded(realEnv(), { dataDir: dir });
});

afterAll(async () => {
  await log.close();
  rmSync(dir, { recursive: true, force: true });
});

function startThread(topic: string, ending: 'commit' | 'hang' | 'join'): Worker {
  const port = log.port();
  return new Worker(new URL('thread.ts', import.meta.url), {
    workerData: { port, topic, ending },
    transferList: [port],
  });
}

test('a broker that listens nowhere serves threads', async () => {
  expect(log.broker.address).toBe(undefined);
  const topic = await newTopic(log);
  const threads = [startThread(topic, 'commit'), startThread(topic, 'commit')];
  await Promise.all(threads.map((thread) => once(thread, 'exit')));
  expect(values(await readAll(log, [topic]))).toEqual(['from a thread', 'from a thread']);
});

test('a thread that is ended in the middle of a transaction has its connections closed, and is fenced', async () => {
  const topic = await newTopic(log);
  const thread = startThread(topic, 'hang');
  await once(thread, 'message');
  expect(values(await readAll(log, [topic], { uncommitted: true }))).toEqual(['from a thread']);
  await thread.terminate();
  const heir = await log.producer({ transactionalId: `of ${topic}` });
  expect(values(await readAll(log, [topic]))).toEqual([]);
  await heir.close();
});

test('when the log closes, the log of a thread has lost its broker', async () => {
  const other = await openEmbedded(realEnv(), { dataDir: join(dir, 'other') });
  const { connectPort } = await import('../../src/client/port-log.ts');
  const ofThread = await connectPort(realEnv(), other.port());
  const topic = await newTopic(ofThread);
  const reader = ofThread.reader({ uncommitted: false });
  reader.assign([{ topic, partition: 0, offset: 0 }]);
  await reader.poll(5_000);
  await other.close();
  // A closed port tells it when this turn is over.
  expect(await codeOf(ofThread.topics())).toBe('ML_ABORTED');
  await ofThread.close();
  expect(await codeOf(reader.poll(0))).toBe('ML_ABORTED');
});

test('a thread that closes its log while it waits for a group ends, and does not wait for the group', async () => {
  const topic = await newTopic(log);
  const rebalance = signal();
  const member = log.member({
    group: topic,
    instanceId: 'first',
    // It is not to be given up for another reason.
    sessionMs: 60_000,
    protocols: ['none'],
    topics: () => [topic],
    userData: () => Buffer.alloc(0),
    assign: async () => new Map(),
    onRebalance: () => rebalance.give(),
  });
  await member.join();
  const { memberId } = member.identity;
  const thread = startThread(topic, 'join');
  await rebalance.given;
  const said = once(thread, 'message');
  const exited = once(thread, 'exit');
  thread.postMessage('go', []);
  expect(await said).toEqual(['given up']);
  await exited;
  // The group has waited for this one, and was not given up by it until the thread had gone.
  await member.join();
  expect(member.identity.memberId).toBe(memberId);
  await member.leave();
});
