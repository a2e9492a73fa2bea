/**
 * One program, one input, the same bytes: however many workers there are, however the input is cut, however little memory there is, and whoever is
 * killed when. `identical-runs.ts` does the same for as long as one likes.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { builtMillrace } from '../start/built-millrace.ts';
import { digests, leftovers, runWay, type Command, type Way } from './identical-runs.ts';
import { RICH_PROGRAMS, writeRich } from './rich-programs.ts';

const millrace = builtMillrace();
const ROWS = 9_000;

const WAYS: readonly Way[] = [
  { workers: 0, memory: '17MB' },
  { workers: 3, splitSize: '61kB', memory: '20MB' },
];
const PROGRAMS = Object.keys(RICH_PROGRAMS);

test.runIf(process.platform === 'linux').concurrent.each(PROGRAMS)(
  '%s gives the same bytes in every way, also when workers or the driver are killed',
  async (program) => {
    const directory = await millrace.directory();
    await writeRich(directory, ROWS);
    const command: Command = { command: [process.execPath, millrace.bin], directory };
    const out = join(directory, 'out');
    const first = await runWay(command, program, { workers: 1 });
    expect(first.code, first.stderr).toBe(0);
    const expected = digests(out);
    expect(Object.keys(expected).length).toBeGreaterThan(1);
    let takesMs = 0;
    for (const way of WAYS) {
      const startMs = performance.now();
      const { code, stderr } = await runWay(command, program, way);
      takesMs = performance.now() - startMs;
      expect(code, stderr).toBe(0);
      expect(digests(out), JSON.stringify(way)).toEqual(expected);
    }
    const killed = await runWay(command, program, {
      workers: 2,
      splitSize: '100kB',
      killsAfterMs: [0.3 * takesMs, 0.2 * takesMs, 0.2 * takesMs],
    });
    expect(killed.code, killed.stderr).toBe(0);
    expect(killed.killed).toBeGreaterThan(0);
    expect(digests(out)).toEqual(expected);
    // At another moment in each program.
    const share = (PROGRAMS.indexOf(program) + 1) / (PROGRAMS.length + 1);
    await runWay(command, program, { workers: 2, endsAfterMs: share * takesMs });
    const again = await runWay(command, program, { workers: 2 });
    expect(again.code, again.stderr).toBe(0);
    expect(digests(out)).toEqual(expected);
    expect(leftovers(directory)).toEqual([]);
  },
);
