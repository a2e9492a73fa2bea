import { expect, test } from 'vitest';
import { Background } from './background.ts';

test('a failure is reported once, under its name', async () => {
  const failures: [string, unknown][] = [];
  const background = new Background((error, name) => failures.push([name, error]));
  const error = new Error('broken');
  background.run('fails', Promise.reject(error));
  background.run('works', Promise.resolve(1));
  await background.settled();
  expect(failures).toEqual([['fails', error]]);
});

test('settled waits for tasks that tasks start, and counts what runs', async () => {
  const background = new Background(() => {});
  const finished: string[] = [];
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const outer = gate.then(() => {
    background.run(
      'inner',
      new Promise<void>((resolve) => {
        setImmediate(() => {
          finished.push('inner');
          resolve();
        });
      }),
    );
    finished.push('outer');
  });
  background.run('outer', outer);
  expect(background.count).toBe(1);
  release();
  await background.settled();
  expect(finished).toEqual(['outer', 'inner']);
  expect(background.count).toBe(0);
  await background.settled();
});
