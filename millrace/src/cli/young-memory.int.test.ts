import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const MODULE = new URL('young-memory.ts', import.meta.url).href;
const MIB = 1024 * 1024;

/** Grows the young generation to 16 MiB, looks when `looks` says so, and fills it again many times. @returns its sizes */
async function sizes(looks: boolean): Promise<{ readonly before: number; readonly after: number }> {
  const program = `
    import { getHeapSpaceStatistics } from 'node:v8';
    import { boundYoungMemory } from '${MODULE}';
    let look = () => {};
    boundYoungMemory({ after: (_, callback) => { look = callback; return { cancel() {} }; } });
    const size = () => getHeapSpaceStatistics().find((each) => each.space_name === 'new_space').space_size;
    const alive = Array.from({ length: 100_000 }, () => undefined);
    let at = 0;
    const fill = () => {
      for (let count = 0; count < 20_000; count++)
        alive[at++ % alive.length] = { numbers: [at, at, at, at, at, at, at, at] };
    };
    for (let count = 0; count < 2_000 && size() < ${16 * MIB}; count++) fill();
    const before = size();
    if (${looks}) look();
    for (let count = 0; count < 30; count++) fill();
    console.log(JSON.stringify({ before, after: size() }));`;
  const args = ['--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as { before: number; after: number };
}

test('the young generation stops to grow where a broker wants it to', async () => {
  const [bounded, free] = await Promise.all([sizes(true), sizes(false)]);
  for (const { before } of [bounded, free]) expect(before).toBeGreaterThanOrEqual(16 * MIB);
  expect(bounded.after).toBeLessThanOrEqual(bounded.before);
  expect(free.after).toBeGreaterThan(free.before);
});
