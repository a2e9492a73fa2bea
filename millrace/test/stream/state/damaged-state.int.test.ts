/** Directories of state that are not as they were left. */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realEnv } from '../../../src/core/real-env.ts';
import { openLmdb } from '../../../src/engine/stream/state/lmdb-environment.ts';
import { openTaskState } from '../../../src/engine/stream/state/open-task-state.ts';
import type { TaskState } from '../../../src/engine/stream/state/store.ts';

const env = realEnv();
let directory = '';
let path = '';
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-state-'));
  path = join(directory, 'flows/orders/1-3');
  const state = await open();
  const store = state.store({ name: 'counts' });
  for (let index = 0; index < 2_000; index++) store.put(`key ${index}`, 0, { count: index }, 1);
  state.flush(() => undefined);
  state.committed(new Map([['counts', 2_000]]));
  await state.close();
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function open(): Promise<TaskState> {
  return openTaskState({ kind: 'disk', env, path });
}

async function put(key: Buffer, value: Buffer): Promise<void> {
  const { rows, lock } = await openLmdb(env, path);
  await rows.put(key, value);
  await rows.close();
  lock.release();
}

const damaged = (): object => ({
  code: 'ML_TASK_STATE_DAMAGED',
  message: expect.stringContaining(path) as string,
  hint: expect.stringContaining(`rm -r ${path}`) as string,
});

test('a file that was cut is named, with the way out, and that way leads on', async () => {
  const file = `${path}/data.mdb`;
  for (const bytes of [statSync(file).size - 4096, 8_192, 5_000, 100]) {
    truncateSync(file, bytes);
    await expect(open()).rejects.toMatchObject(damaged());
  }
  rmSync(path, { recursive: true });
  const state = await open();
  state.store({ name: 'counts' });
  expect(state.checkpoint('counts')).toBeUndefined();
  await state.close();
});

test('a file that is something else is named', async () => {
  writeFileSync(`${path}/data.mdb`, Buffer.alloc(100_000, 'not a database'));
  await expect(open()).rejects.toMatchObject(damaged());
});

test('a file whose pages were overwritten with zeros at their beginning is named', async () => {
  const bytes = readFileSync(`${path}/data.mdb`);
  bytes.fill(0, 4_096, 8_192);
  writeFileSync(`${path}/data.mdb`, bytes);
  await expect(open()).rejects.toMatchObject(damaged());
});

test('a newer format is refused', async () => {
  await put(Buffer.from([0, 0]), Buffer.from('MRTS\x02'));
  await expect(open()).rejects.toMatchObject({
    code: 'ML_DATA_NEWER',
    message: `the state in ${path} has format 2; this Millrace reads up to 1`,
  });
});

test('rows that are not as they should be are named', async () => {
  await put(Buffer.from([0, 0]), Buffer.from('nonsense'));
  await expect(open()).rejects.toMatchObject(damaged());
  await put(Buffer.from([0, 0]), Buffer.from('MRTS\x01'));
  await put(Buffer.from('\x00\x01counts'), Buffer.from([0xff, 1]));
  await expect(open()).rejects.toMatchObject(damaged());
});

test('a key that LMDB cannot take is refused before anything is changed', async () => {
  const state = await open();
  const store = state.store({ name: 'counts' });
  expect(() => store.put('x'.repeat(2_000), 0, 1, 1)).toThrow(
    expect.objectContaining({ code: 'ML_KEY_INVALID' }) as Error,
  );
  expect(() => store.put('x'.repeat(1_940), 0, 1, 1)).not.toThrow();
  state.flush(() => undefined);
  state.committed(new Map());
  await state.close();
});
