/**
 * The commit under power cuts and kills, at every step that touches the disk: each output is wholly old or wholly new, all of them
 * agree once somebody has looked, a rerun works, and leaves nothing behind. Planted mistakes show that the test would notice.
 */
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test/runs.ts';
import type { Env, FileSystem } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readWholeFile, writeFully } from '../../../core/files.ts';
import { SimMachine, SimPowerCut } from '../../../core/sim/sim-machine.ts';
import type { Part, Sink, SinkTarget } from '../../../flow/sink.ts';
import type { CommitOptions } from './commit.ts';
import { OutputCommit, recoverOutput } from './commit.ts';

const WORK = '/data/work';

interface Scenario {
  readonly name: string;
  readonly targets: readonly SinkTarget[];
  /** What is there before: the outputs of an earlier job, directories that no job has made, or nothing. */
  readonly before: 'job' | 'foreign' | 'nothing';
  /** How the job ends that is stopped. Default: it commits. */
  readonly ends?: 'abort';
}

const file = (path: string): SinkTarget => ({ kind: 'file', path });
const directory = (path: string): SinkTarget => ({ kind: 'directory', path, extension: '.txt' });

const SCENARIOS: readonly Scenario[] = [
  { name: 'one new file', targets: [file('a.txt')], before: 'nothing' },
  { name: 'one file replaced', targets: [file('a.txt')], before: 'job' },
  { name: 'one new directory', targets: [directory('sub/d')], before: 'nothing' },
  { name: 'one directory replaced', targets: [directory('d')], before: 'job' },
  { name: 'a foreign directory replaced', targets: [directory('d')], before: 'foreign' },
  {
    name: 'two replaced, in other directories',
    targets: [directory('x/d'), file('y/a.txt')],
    before: 'job',
  },
  {
    name: 'a job that is aborted',
    targets: [file('z.txt'), directory('d')],
    before: 'job',
    ends: 'abort',
  },
  {
    name: 'three new',
    targets: [file('z.txt'), directory('d'), file('a.txt')],
    before: 'nothing',
  },
];

function sinkTo(target: SinkTarget): Sink {
  return {
    kind: 'sink',
    format: 'lines',
    label: 'lines',
    target,
    arrangement: 'any',
    partBytes: undefined,
    open: () => {
      throw new Error('the parts of these tests are written by hand');
    },
  };
}

function optionsFor(targets: readonly SinkTarget[], overwrite: boolean): CommitOptions {
  return {
    jobId: 'job',
    directory: WORK,
    outputs: targets.map((target, node) => ({ node, sink: sinkTo(target) })),
    inputs: [],
    overwrite,
    describe: { pid: 1, startedMs: 0 },
    scratch: '/data/scratch',
  };
}

/** More than a page, so that half of it can be lost. */
const contentOf = (generation: string, part: number): string =>
  `${`${generation}-${part} `.repeat(700)}\n`;

/** Parts of a directory are synced by their writers; what becomes one file is synced by the commit. */
async function writePart(env: Env, path: string, text: string, isSynced = true): Promise<Part> {
  const opened = env.fs.open(path, 'create');
  const bytes = Buffer.from(text);
  writeFully(opened, bytes, 0, bytes.length, 0);
  if (isSynced) await opened.sync();
  opened.close();
  return { path, bytes: bytes.length, records: 1 };
}

async function runJob(
  env: Env,
  targets: readonly SinkTarget[],
  generation: string,
  ends: 'commit' | 'abort' = 'commit',
): Promise<void> {
  const commit = await OutputCommit.begin(env, optionsFor(targets, true));
  try {
    const parts = new Map<number, Part[]>();
    for (const node of targets.keys()) {
      const list: Part[] = [];
      for (const task of [0, 1]) {
        const path = `${commit.attemptDirectory(node, 0, task, 0)}/p`;
        const isSynced = targets[node]?.kind === 'directory';
        list.push(await writePart(env, path, contentOf(generation, task), isSynced));
      }
      parts.set(node, list);
    }
    if (ends === 'commit') await commit.commit(parts, async () => {});
  } finally {
    await commit.abort();
  }
}

/** Which generation an output is of; throws when it is a mix. */
function generationOf({ fs }: Env, target: SinkTarget): string {
  if (target.kind === 'stdout' || target.kind === 'topic') throw new Error('no file');
  const path = `${WORK}/${target.path}`;
  if (fs.readLink(path) === undefined && fs.stat(path) === undefined) return 'nothing';
  const read = (name: string): string => readWholeFile(fs, name).toString();
  if (target.kind === 'file') return generationIn(read(path));
  if (fs.stat(`${path}/foreign`) !== undefined) return 'foreign';
  const manifest = JSON.parse(read(`${path}/_manifest.json`)) as { files: { name: string }[] };
  expect(fs.list(path)).toEqual(['_manifest.json', ...manifest.files.map(({ name }) => name)]);
  return generationIn(manifest.files.map(({ name }) => read(`${path}/${name}`)).join(''));
}

function generationIn(text: string): string {
  const generation = text.slice(0, text.indexOf('-'));
  // Not the texts themselves: they are long, and are compared tens of thousands of times.
  const isWhole = text === contentOf(generation, 0) + contentOf(generation, 1);
  expect(isWhole, `all parts of '${generation}'`).toBe(true);
  return generation;
}

function leftOvers({ fs }: Env, path = WORK): string[] {
  return fs.list(path).flatMap((name) => {
    const below = `${path}/${name}`;
    const isDirectory = fs.readLink(below) === undefined && fs.stat(below)?.kind === 'directory';
    if (!name.startsWith('.')) return isDirectory ? leftOvers({ fs } as Env, below) : [];
    const output = `${path}/${name.slice(1, -'.millrace'.length)}`;
    const live = fs.readLink(output)?.split('/')[1];
    const kept = fs.list(below).filter((entry) => entry !== live && entry !== 'lock.db');
    return live === undefined ? [below] : kept.map((entry) => `${below}/${entry}`);
  });
}

type Plant = (env: Env) => Env;

async function prepare(scenario: Scenario, seed: number): Promise<SimMachine> {
  const machine = new SimMachine(seed, { directories: [WORK] });
  const env = machine.boot();
  const { before, targets } = scenario;
  if (before === 'job') await machine.run(runJob(env, targets, 'old'));
  if (before === 'foreign')
    for (const target of targets) {
      if (target.kind === 'stdout' || target.kind === 'topic') continue;
      env.fs.makeDirectory(`${WORK}/${target.path}`);
      await machine.run(writePart(env, `${WORK}/${target.path}/foreign`, 'foreign\n'));
      // A copy of an output: other directories are not replaced.
      await machine.run(writePart(env, `${WORK}/${target.path}/_manifest.json`, '{}\n'));
    }
  machine.kill();
  machine.disk.settle();
  return machine;
}

/** Runs the scenario, stopped at a step; then what must hold. Returns false when the step was behind the end. */
async function stopAt(
  scenario: Scenario,
  step: number,
  kind: 'power' | 'kill',
  plant: Plant,
): Promise<boolean> {
  const { before, targets } = scenario;
  const machine = await prepare(scenario, step * 7 + (kind === 'power' ? 1 : 2));
  const at = `${scenario.name}, ${kind} at step ${step}`;
  const old = before === 'job' ? 'old' : before;
  const env = plant(machine.boot());
  machine.cutAtStep(machine.stepCount + step, kind);
  const wasCut = await isCut(machine, () => runJob(env, targets, 'new', scenario.ends));
  let after = kind === 'power' || !wasCut ? machine.reboot() : machine.boot();
  if (wasCut && step % 3 === 0) {
    // Stopped a second time, while the first stop is being repaired.
    machine.cutAtStep(machine.stepCount + 1 + ((step * 13) % 60));
    await isCut(machine, () => refusedJob(after, targets));
    after = machine.reboot();
  }
  const seen = targets.map((target) => generationOf(after, target));
  for (const generation of seen) {
    // Only a directory that no job has made may be gone for a moment.
    const allowed = before === 'foreign' ? [old, 'new', 'nothing'] : [old, 'new'];
    expect(allowed, `${at}: ${seen.join()}`).toContain(generation);
  }
  const last = scenario.ends === 'abort' ? old : 'new';
  if (!wasCut) expect(new Set(seen), at).toEqual(new Set([last]));
  if (last === old) expect(seen, at).not.toContain('new');
  // A reader that looks at one of them makes all agree…
  if (step % 2 === 0) {
    const [reader] = targets.toReversed();
    if (reader?.kind === 'file' || reader?.kind === 'directory')
      await machine.run(recoverOutput(after, `${WORK}/${reader.path}`));
  } else {
    // …and so does the next job, also one that then refuses.
    await machine.run(refusedJob(after, targets));
  }
  const agreed = targets.map((target) => generationOf(after, target));
  expect(new Set(agreed).size, `${at}: ${agreed.join()}`).toBe(1);
  expect([old, 'new'], at).toContain(agreed[0]);
  if (seen.includes('new')) expect(agreed[0], at).toBe('new');
  await machine.run(runJob(after, targets, 'newer'));
  for (const target of targets) expect(generationOf(after, target), at).toBe('newer');
  expect(leftOvers(after), at).toEqual([]);
  machine.kill();
  return wasCut;
}

async function isCut(machine: SimMachine, work: () => Promise<void>): Promise<boolean> {
  try {
    await machine.run(work());
  } catch (error) {
    if (error instanceof SimPowerCut) return true;
    throw error;
  }
  return false;
}

async function refusedJob(env: Env, targets: readonly SinkTarget[]): Promise<void> {
  try {
    const commit = await OutputCommit.begin(env, optionsFor(targets, false));
    await commit.abort();
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ML_OUTPUT_EXISTS') throw error;
  }
}

/** Returns how many steps there are: at the last one nothing was left to be cut. */
async function everyStep(scenario: Scenario, plant: Plant = (env) => env): Promise<number> {
  let step = 1;
  for (const kind of ['power', 'kill'] as const) {
    for (step = 1; await stopAt(scenario, step, kind, plant); ) step++;
  }
  return step;
}

test.each(SCENARIOS)(
  '$name: whole outputs, wherever it is stopped',
  async (scenario) => {
    expect(await everyStep(scenario)).toBeGreaterThan(40);
  },
  120_000,
);

test('a decision that was killed before it was durable is carried out whole, or not at all', async () => {
  const scenario = SCENARIOS.find(({ targets }) => targets.length === 2);
  if (scenario === undefined) throw new Error('there is one');
  const { targets } = scenario;
  const record = `${WORK}/x/.d.millrace/commit.json`;
  /** A machine whose job was killed at a step, with the seed of its losses. */
  const killedAt = async (step: number, seed: number): Promise<SimMachine> => {
    const machine = await prepare(scenario, seed);
    const env = machine.boot();
    machine.cutAtStep(machine.stepCount + step, 'kill');
    expect(await isCut(machine, () => runJob(env, targets, 'new'))).toBe(true);
    return machine;
  };
  let step = 1;
  while ((await killedAt(step, 1)).disk.find(record) === undefined) step++;
  let lost = 0;
  let kept = 0;
  for (let cut = 1, isDone = false; !isDone; cut++) {
    for (let seed = 1; seed <= runs(3); seed++) {
      const machine = await killedAt(step, seed);
      const env = machine.boot();
      machine.cutAtStep(machine.stepCount + cut);
      isDone = !(await isCut(machine, () => recoverOutput(env, `${WORK}/y/a.txt`)));
      const after = machine.reboot();
      await machine.run(refusedJob(after, targets));
      const seen = targets.map((target) => generationOf(after, target));
      expect(new Set(seen).size, `cut ${cut}, seed ${seed}: ${seen.join()}`).toBe(1);
      if (seen[0] === 'new') kept++;
      else lost++;
    }
  }
  // Both happen: before the record was synced it may be gone, afterwards never.
  expect(lost).toBeGreaterThan(0);
  expect(kept).toBeGreaterThan(0);
}, 120_000);

test('a sync that fails leaves all outputs old or all new, and the error says which', async () => {
  const scenario = SCENARIOS.find(({ targets }) => targets.length === 2);
  if (scenario === undefined) throw new Error('there is one');
  let failures = 0;
  for (let step = 1; ; step++) {
    const machine = await prepare(scenario, step);
    const env = machine.boot();
    machine.faults.failSyncAtStep(machine.stepCount + step);
    let message = '';
    try {
      await machine.run(runJob(env, scenario.targets, 'new'));
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      expect(error.code).toBe('ML_FSYNC_FAILED');
      ({ message } = error);
      failures++;
    }
    machine.faults.heal();
    const again = step % 2 === 0 ? machine.reboot() : env;
    await machine.run(refusedJob(again, scenario.targets));
    const seen = scenario.targets.map((target) => generationOf(again, target));
    const isCommitted = message === '' || message.includes('is committed');
    expect(seen, `${step}: ${message}`).toEqual(isCommitted ? ['new', 'new'] : ['old', 'old']);
    await machine.run(runJob(again, scenario.targets, 'newer'));
    expect(leftOvers(again)).toEqual([]);
    if (message === '' && step > 150) break;
  }
  expect(failures).toBeGreaterThan(10);
}, 120_000);

/** Mistakes that the commit could have, as what the machine then gets to see. */
const PLANTED: Readonly<Record<string, (fs: FileSystem) => Partial<FileSystem>>> = {
  'the decision is not durable before the swaps': (fs) => ({
    syncDirectory: async (path) => {
      if (!path.endsWith('.millrace')) await fs.syncDirectory(path);
    },
  }),
  'a version is not synced before it is decided': (fs) => ({
    syncDirectory: async (path) => {
      if (!path.includes('/v-')) await fs.syncDirectory(path);
    },
  }),
  'the outputs are swapped before there is a decision': (fs) => ({
    rename: (from, to) => {
      if (to.endsWith('/commit.json')) {
        const { swaps } = JSON.parse(readWholeFile(fs, from).toString()) as {
          swaps: { path: string; from: string }[];
        };
        const base = to.slice(0, -'/commit.json'.length);
        for (const swap of swaps)
          fs.rename(
            new URL(swap.from, `file://${base}/`).pathname,
            new URL(swap.path, `file://${base}/`).pathname,
          );
      }
      fs.rename(from, to);
    },
  }),
  'the decision is forgotten before the swaps are durable': (fs) => ({
    syncDirectory: async (path) => {
      if (!path.endsWith('/x') && !path.endsWith('/y')) await fs.syncDirectory(path);
    },
  }),
  'a put-together file is not synced': (fs) => ({
    open: (path, mode) => {
      const opened = fs.open(path, mode);
      if (mode === 'write') opened.sync = async () => {};
      return opened;
    },
  }),
  'the notes do not tell where the decision is': (fs) => ({
    rename: (from, to) => {
      if (!to.endsWith('/job.json')) fs.rename(from, to);
    },
  }),
};

describe('a mistake is noticed', () => {
  const [, , , , , two] = SCENARIOS;
  test.each(Object.keys(PLANTED))(
    '%s',
    async (name) => {
      const plant: Plant = (env) => {
        const fs = Object.create(env.fs) as FileSystem;
        return { ...env, fs: Object.assign(fs, PLANTED[name]?.(env.fs)) };
      };
      expect(two).toBeDefined();
      if (two !== undefined) await expect(everyStep(two, plant)).rejects.toThrow(/ENOENT|to be/);
    },
    120_000,
  );
});
