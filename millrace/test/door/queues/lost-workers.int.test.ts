/** Workers that die, and brokers that go: what was not done is done by somebody else, or later. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { connectMillrace, type Millrace, openMillrace } from '../../../src/index.ts';

const WORKER = fileURLToPath(new URL('./worker-process.ts', import.meta.url));

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-lost-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone())
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
}

function portOf(address: string | undefined): number {
  return Number(address?.split(':').at(-1));
}

test('what a process was handling that is killed is given to another worker', async () => {
  await using millrace = await openMillrace({ dir: temporaryDirectory(), kafka: {}, amqp: {} });
  const jobs = millrace.queue('jobs');
  await jobs.enqueueMany([{ value: 'a' }, { value: 'b' }, { value: 'c' }]);
  const child = spawn(
    process.execPath,
    [WORKER, millrace.amqp ?? '', 'jobs', millrace.kafka ?? ''],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let given = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (given += text));
  await until(() => given.split('\n').length > 2);
  expect(await jobs.stats()).toMatchObject({ ready: 1, unacknowledged: 2 });
  child.kill('SIGKILL');
  await once(child, 'exit');
  const seen: unknown[] = [];
  await using worker = jobs.work((value, { attempt }) => seen.push([value, attempt]));
  await until(() => worker.stats().handled === 3);
  expect(seen.map(String).toSorted()).toEqual(['a,2', 'b,2', 'c,1']);
  expect(await jobs.size()).toBe(0);
});

test('a broker that is started again finds its workers back, and gets what was enqueued meanwhile', async () => {
  const dir = temporaryDirectory();
  const open = (ports: { readonly kafka: number; readonly amqp: number }): Promise<Millrace> =>
    openMillrace({ dir, kafka: { port: ports.kafka }, amqp: { port: ports.amqp } });
  const first = await open({ kafka: 0, amqp: 0 });
  const ports = { kafka: portOf(first.kafka), amqp: portOf(first.amqp) };
  await using remote = await connectMillrace({
    brokers: first.kafka ?? '',
    amqp: first.amqp ?? '',
    dir: temporaryDirectory(),
  });
  const jobs = remote.queue('jobs', { dedupe: '1 hour' });
  const seen: unknown[] = [];
  let isHeld = true;
  await using worker = jobs.work(
    async (value, { signal }) => {
      if (isHeld) await once(signal, 'abort');
      else seen.push(value);
    },
    { concurrency: 4 },
  );
  await jobs.enqueue('before', { dedupeKey: 'before' });
  await until(() => worker.stats().running === 1);
  await first.close();
  isHeld = false;
  await until(() => worker.stats().lost === 1);
  const waiting = jobs.enqueue('meanwhile', { dedupeKey: 'meanwhile' });
  await using second = await open(ports);
  await waiting;
  await until(() => worker.stats().handled === 2);
  expect(new Set(seen)).toEqual(new Set(['before', 'meanwhile']));
  expect(await second.queue('jobs').size()).toBe(0);
});
