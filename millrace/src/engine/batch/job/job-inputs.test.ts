import { expect, test } from 'vitest';
import { SPLIT_UNIT_BYTES, TASK_BYTES_MAX } from '../../../core/limits.ts';
import { packBytes } from './job-inputs.ts';

const MEGABYTE = 1e6;
const options = { wanted: undefined, inputBytes: 700 * MEGABYTE, sourceBytes: 700 * MEGABYTE };

test('what a task reads for an output follows from the input alone', () => {
  const sizes = [1, 2, 16].map((workers) => packBytes({ ...options, writes: true, workers }));
  expect(new Set(sizes).size).toBe(1);
});

test('in front of an exchange each worker gets a few large tasks, without a rest', () => {
  for (const workers of [1, 2, 3, 7]) {
    const pack = packBytes({ ...options, writes: false, workers });
    const splitCount = Math.round(options.sourceBytes / SPLIT_UNIT_BYTES);
    const splitsOfTask = Math.floor(pack / (options.sourceBytes / splitCount));
    const tasks = Math.ceil(splitCount / splitsOfTask);
    expect(pack).toBeLessThanOrEqual(TASK_BYTES_MAX);
    expect(tasks, `${workers} workers`).toBeLessThanOrEqual(Math.max(2 * workers, 3));
  }
});

test('what the user asks for is what a task reads', () => {
  expect(packBytes({ ...options, wanted: 123, writes: false, workers: 2 })).toBe(123);
});
