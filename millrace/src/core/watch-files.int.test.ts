import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realEnv } from './real-env.ts';
import { markFiles, whenChanged } from './watch-files.ts';

const env = realEnv();
const never = new AbortController().signal;
let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-watch-'));
  path = join(directory, 'a');
  await writeFile(path, 'one');
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test.each<readonly [string, () => Promise<void>]>([
  ['written to', () => writeFile(path, 'three')],
  ['touched', () => utimes(path, 1, 1)],
  ['removed', () => rm(path)],
  [
    'replaced by one of the same size and time',
    async () => {
      await writeFile(`${path}.new`, 'two');
      await rename(`${path}.new`, path);
    },
  ],
])('a file that is %s has changed', async (_name, change) => {
  const marks = markFiles(env.fs, [join(directory, 'b'), path]);
  const changed = whenChanged(env, marks, never);
  await change();
  expect(await changed).toBe(path);
});

test('a file that was not there and is made has changed, also before anybody waits', async () => {
  const marks = markFiles(env.fs, [path, join(directory, 'b')]);
  await writeFile(join(directory, 'b'), '');
  expect(await whenChanged(env, marks, never)).toBe(join(directory, 'b'));
});

test('waiting can be given up', async () => {
  const stop = new AbortController();
  const changed = whenChanged(env, markFiles(env.fs, [path]), stop.signal);
  stop.abort();
  await expect(changed).rejects.toMatchObject({ code: 'ML_ABORTED' });
});
