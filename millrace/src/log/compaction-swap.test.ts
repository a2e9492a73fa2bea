/** At every step of putting a compacted segment in place, the power goes: the log is the old one or the new one. */
import { expect, test } from 'vitest';
import type { Env, FileSystem } from '../core/env.ts';
import { readWholeFile } from '../core/files.ts';
import { SimMachine, SimPowerCut } from '../core/sim/sim-machine.ts';
import { cleanedPath, finishSwaps, removeReplaced, swapPath } from './compaction-swap.ts';
import { LOG_SUFFIX, segmentPath } from './segment-files.ts';

const DIRECTORY = '/data/log';
const RANGE = { baseOffset: 0, endOffset: 30 };
const BASES = [0, 10, 20];
const OLD = 'old 0, old 10, old 20, old 30';
const NEW = 'compacted, old 30';

async function write(fs: FileSystem, path: string, text: string): Promise<void> {
  const file = fs.open(path, 'create');
  const bytes = Buffer.from(text);
  file.write(bytes, 0, bytes.length, 0);
  await file.sync();
  file.close();
}

async function prepare({ fs }: Env): Promise<void> {
  fs.makeDirectory(DIRECTORY);
  await fs.syncDirectory('/data');
  for (const base of [...BASES, 30]) {
    await write(fs, segmentPath(DIRECTORY, base) + LOG_SUFFIX, `old ${base}`);
    await write(fs, `${segmentPath(DIRECTORY, base)}.index`, 'index');
  }
  await fs.syncDirectory(DIRECTORY);
}

async function swap({ fs }: Env): Promise<void> {
  await write(fs, cleanedPath(DIRECTORY, RANGE), 'compacted');
  fs.rename(cleanedPath(DIRECTORY, RANGE), swapPath(DIRECTORY, RANGE));
  await fs.syncDirectory(DIRECTORY);
  await removeReplaced(fs, DIRECTORY, RANGE, BASES);
  fs.rename(swapPath(DIRECTORY, RANGE), segmentPath(DIRECTORY, 0) + LOG_SUFFIX);
  await fs.syncDirectory(DIRECTORY);
}

function content({ fs }: Env): string {
  return fs
    .list(DIRECTORY)
    .filter((name) => name.endsWith(LOG_SUFFIX))
    .map((name) => readWholeFile(fs, `${DIRECTORY}/${name}`).toString())
    .join(', ');
}

/** Runs until a step; tells whether it got through. */
async function upTo(
  machine: SimMachine,
  step: number,
  kind: 'power' | 'kill',
  work: () => Promise<void>,
): Promise<boolean> {
  machine.cutAtStep(machine.stepCount + step, kind);
  try {
    await machine.run(work());
    return true;
  } catch (error) {
    if (error instanceof SimPowerCut) return false;
    throw error;
  }
}

test('a power cut at any step, and at any step of the start after it, leaves all of the old or the new', async () => {
  const seen = new Set<string>();
  let isThrough = false;
  let through = '';
  for (let step = 1; !isThrough; step++) {
    for (let seed = 0; seed < 24; seed++) {
      const machine = new SimMachine(seed * 1000 + step);
      let env = machine.boot();
      await machine.run(prepare(env));
      const kind = seed % 2 === 0 ? 'power' : 'kill';
      isThrough = await upTo(machine, step, kind, () => swap(env));
      machine.kill();
      // A killed process leaves names that are there and not durable.
      env = kind === 'kill' && !isThrough ? machine.boot() : machine.reboot();
      if (isThrough) {
        through = content(env);
        break;
      }
      await upTo(machine, 1 + (seed % 9), 'power', () => finishSwaps(env.fs, DIRECTORY));
      env = machine.reboot();
      await machine.run(finishSwaps(env.fs, DIRECTORY));
      const live = content(env);
      expect([OLD, NEW], `step ${step}, seed ${seed}`).toContain(live);
      seen.add(live);
      // What the start has made of it is durable, and nothing else is left.
      env = machine.reboot();
      expect(content(env)).toBe(live);
      expect(env.fs.list(DIRECTORY).filter((name) => /swap|cleaned/.test(name))).toEqual([]);
    }
  }
  expect(through).toBe(NEW);
  expect(seen).toEqual(new Set([OLD, NEW]));
});

test('a start does not trust a name that a killed process left in the page cache', async () => {
  for (let step = 1; step < 20; step++)
    for (let seed = 0; seed < 20; seed++) {
      const machine = new SimMachine(seed * 1000 + step);
      let env = machine.boot();
      await machine.run(prepare(env));
      await machine.run(write(env.fs, cleanedPath(DIRECTORY, RANGE), 'compacted'));
      env.fs.rename(cleanedPath(DIRECTORY, RANGE), swapPath(DIRECTORY, RANGE));
      machine.kill();
      env = machine.boot();
      await upTo(machine, step, 'power', () => finishSwaps(env.fs, DIRECTORY));
      env = machine.reboot();
      await machine.run(finishSwaps(env.fs, DIRECTORY));
      expect([OLD, NEW], `step ${step}, seed ${seed}`).toContain(content(env));
    }
});

test('index files of segments that are gone do not stay', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  await machine.run(prepare(env));
  await machine.run(swap(env));
  expect(env.fs.list(DIRECTORY)).toEqual([
    '00000000000000000000.log',
    '00000000000000000030.index',
    '00000000000000000030.log',
  ]);
});
