/** Flows through the front door: without end, and up to now. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { files, type Flow, flow, json, openMillrace, topic, tumbling } from '../../src/index.ts';
import { collect, describeDoors } from './doors.ts';

const DAY = Date.parse('2026-01-31T00:00:00Z');

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-flows-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Counts words in `<name>-in` into `<name>-out`. */
function counting(name: string): Flow {
  return flow(name, (f) => {
    f.read(topic(`${name}-in`, { value: 'string' }))
      .keyBy((word) => word)
      .count('counts')
      .write(topic(`${name}-out`, { key: 'string', value: json(), create: { partitions: 1 } }));
  });
}

describeDoors('flows', ({ millrace, topicName }) => {
  test('a flow runs until it is stopped, and goes on where it was', async () => {
    const name = topicName('counting');
    await millrace().admin.createTopic(`${name}-in`, { partitions: 2 });
    const results = millrace().consume(
      topic(`${name}-out`, { key: 'string', value: json<number>(), create: { partitions: 1 } }),
      { group: `${name}-results` },
    );
    const last = new Map<string, number>();
    const reading = async (): Promise<void> => {
      for await (const { key, value } of results) {
        last.set(key, value);
        if (key === 'end') break;
      }
    };
    {
      await using running = millrace().run(counting(name), { commitInterval: '10ms' });
      await running.ready;
      await millrace().produce(`${name}-in`, [{ value: 'a' }, { value: 'b' }, { value: 'a' }]);
      const read = reading();
      await millrace().produce(`${name}-in`, { value: 'end' });
      await read;
      expect(running.name).toBe(name);
      expect(running.metrics()).toMatchObject({ flow: name, skipped: 0 });
    }
    // The one before has committed all that it was given, or this one does it.
    await millrace().produce(`${name}-in`, [{ value: 'a' }]);
    const again = millrace().run(counting(name));
    const numbers = topic(`${name}-out`, { key: 'string', value: json<number>() });
    for await (const { key, value } of millrace().consume(numbers)) {
      last.set(key, value);
      if (key === 'a' && value === 3) break;
    }
    expect(again.views.list()).toMatchObject([{ name: 'counts', kind: 'table' }]);
    // A view shows a commit a moment after readers of topics see it.
    for await (const event of again.views.changes('counts', { key: 'a' })) {
      if (event.kind === 'row' && event.row.value === 3) break;
      if (event.kind === 'change' && event.change.value === 3) break;
    }
    const { rows } = await again.views.get('counts', 'b');
    expect(rows).toMatchObject([{ key: 'b', value: 1 }]);
    await again.stop();
    await again.done;
    expect(Object.fromEntries(last)).toEqual({ a: 3, b: 1, end: 1 });
  });

  test('a flow that fails says why', async () => {
    const name = topicName('failing');
    await millrace().produce(`${name}-in`, { value: 'x', partition: 0 });
    const running = millrace().run(
      flow(name, (f) => {
        f.read(topic(`${name}-in`))
          .map((): string => {
            throw new Error('no');
          })
          .write(topic(`${name}-out`));
      }),
    );
    await expect(running.done).rejects.toMatchObject({ code: 'ML_USER_FUNCTION' });
    const missing = millrace().run(counting(`${name}-2`), { waitForTopics: false });
    await expect(missing.ready).rejects.toMatchObject({ code: 'ML_TOPIC_MISSING' });
    const overFiles = flow('files', (f) => {
      f.read(files.lines('a')).write(files.lines('b'));
    });
    expect(() => millrace().run(overFiles)).toThrow(/reads no topic/);
    expect(() => millrace().run(counting(name), { commitInterval: '1 hour' })).toThrow(
      /commitInterval is 1 ms to 10 s/,
    );
    expect(() => millrace().run(counting(name), { workers: 300 })).toThrow(/0 to 256 worker/);
  });

  test('a run up to now closes its windows, and can write files', async () => {
    const name = topicName('bounded');
    const directory = temporaryDirectory();
    const words = topic(name, { value: 'string', create: { partitions: 2 } });
    await millrace().produce(
      words,
      ['a', 'b', 'a'].map((value, at) => ({ value, timestamp: DAY + at })),
    );
    const perDay = topic(`${name}-days`, { key: json(), value: json<number>() });
    const summary = await millrace().runUntil(
      flow(name, (f) => {
        const input = f.read(words);
        const days = input.keyBy((word) => word).window(tumbling('1 day'));
        days.count('days').write(perDay);
        input.write(files.lines('words.txt'));
      }),
      { until: 'now', directory },
    );
    expect(summary).toMatchObject({ status: 'succeeded', flow: name });
    const days = await collect(millrace().consume(perDay, { until: 'now' }));
    expect(days.map(({ value }) => value).toSorted((a, b) => a - b)).toEqual([1, 2]);
    const lines = (): string[] =>
      readFileSync(join(directory, 'words.txt'), 'utf8').trimEnd().split('\n').toSorted();
    expect(lines()).toEqual(['a', 'a', 'b']);
    const again = flow(`${name}-again`, (f) => {
      f.read(words).write(files.lines('words.txt'));
    });
    await expect(millrace().runUntil(again, { directory })).rejects.toMatchObject({
      code: 'ML_OUTPUT_EXISTS',
    });
    const until = new Date(DAY + 1);
    await millrace().runUntil(again, { until, directory, overwrite: true });
    expect(lines()).toEqual(['a']);
    await millrace().runUntil(again, {
      until: { [name]: { 0: 0, 1: 0 } },
      directory,
      overwrite: true,
    });
    expect(lines()).toEqual(['']);
  });
});

test('views are served where one says, and a key is read there', async () => {
  const millrace = await openMillrace({ dir: join(temporaryDirectory(), 'log'), http: {} });
  onTestFinished(() => millrace.close());
  await millrace.produce('words-in', { value: 'a', partition: 0 });
  const running = millrace.run(counting('words'));
  await running.ready;
  for await (const event of running.views.changes('counts'))
    if (event.kind === 'row' || event.kind === 'change') break;
  const answer = await fetch(`http://${millrace.http}/flows/words/views/counts/a`);
  expect(await answer.text()).toContain('"value":1');
  await expect(
    openMillrace({ dir: join(temporaryDirectory(), 'other'), http: { host: '0.0.0.0' } }),
  ).rejects.toMatchObject({ code: 'ML_INSECURE_BIND' });
});

test('closing ends loops and flows, and what comes later is refused', async () => {
  const dir = join(temporaryDirectory(), 'log');
  const millrace = await openMillrace({ dir });
  await millrace.admin.createTopic('words-in', { partitions: 1 });
  expect(millrace.kafka).toBeUndefined();
  const loop = collect(millrace.consume('words-in', { group: 'g' }));
  const idle = millrace.consume('words-in');
  const running = millrace.run(counting('words'));
  await running.ready;
  const locked = openMillrace({ dir });
  await expect(locked).rejects.toMatchObject({ code: 'ML_DIR_LOCKED' });
  const { offset } = await millrace.produce('words-in', { value: 'a' });
  expect(offset).toBe(0);
  await millrace.close();
  await Promise.all([loop, running.done]);
  expect(await collect(idle)).toEqual([]);
  await expect(millrace.produce('words-in', { value: 'b' })).rejects.toMatchObject({
    code: 'ML_ABORTED',
  });
  expect(() => millrace.consume('words-in')).toThrow(/is closed/);
  await millrace.close();
  // The directory is free, and has what was acknowledged.
  await using again = await openMillrace({ dir });
  const values = await collect(again.consume('words-in', { until: 'now' }));
  expect(values.map(({ value }) => value)).toEqual(['a']);
});
