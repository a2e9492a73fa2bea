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
const ROWS = 3_000;

const MANY: Way = { workers: 3, splitSize: '20kB', memory: '20MB' };
const ONE: Way = { workers: 1 };
const NONE: Way = { workers: 0, memory: '17MB' };
const PROGRAMS = Object.keys(RICH_PROGRAMS);

test.runIf(process.platform === 'linux').concurrent.each(PROGRAMS)(
  '%s gives the same bytes in every way, also when workers or the driver are killed',
  async (program) => {
    const directory = await millrace.directory();
    await writeRich(directory, ROWS);
    const command: Command = { command: [process.execPath, millrace.bin], directory };
    const out = join(directory, 'out');
    const startMs = performance.now();
    const first = await runWay(command, program, MANY);
    const takesMs = performance.now() - startMs;
    expect(first.code, first.stderr).toBe(0);
    const expected = digests(out);
    expect(Object.keys(expected).length).toBeGreaterThan(1);
    const killed = await runWay(command, program, {
      workers: 2,
      splitSize: '33kB',
      killsAfterMs: [0.2 * takesMs, 0.3 * takesMs],
    });
    expect(killed.code, killed.stderr).toBe(0);
    expect(killed.killed).toBeGreaterThan(0);
    expect(digests(out)).toEqual(expected);
    // At another moment in each program.
    const share = (PROGRAMS.indexOf(program) + 1) / (PROGRAMS.length + 1);
    await runWay(command, program, { workers: 2, endsAfterMs: share * takesMs });
    for (const way of [ONE, NONE]) {
      const { code, stderr } = await runWay(command, program, way);
      expect(code, stderr).toBe(0);
      expect(digests(out), JSON.stringify(way)).toEqual(expected);
    }
    expect(leftovers(directory)).toEqual([]);
  },
);
