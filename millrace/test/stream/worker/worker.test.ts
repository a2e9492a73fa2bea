/** Workers on a broker on a simulated machine: virtual time, faults at every step of a commit, and power cuts at any step at all. */
import { describe, expect, test } from 'vitest';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { SimMachine, SimPowerCut } from '../../../src/core/sim/sim-machine.ts';
import { type EmbeddedLog, openEmbedded } from '../../../src/embedded-log.ts';
import type { CommitStep, WorkerEvent } from '../../../src/engine/stream/worker/worker-types.ts';
import { runs } from '../../runs.ts';
import {
  counted,
  countingWorker,
  createTopics,
  faults,
  output,
  produce,
} from './counting-world.ts';

const STEPS: readonly CommitStep[] = ['prepared', 'flushed', 'committed'];

/** Runs a program on a machine with a broker, and returns what is wrong with the output. */
async function onBroker(
  words: number,
  program: (log: EmbeddedLog) => Promise<void>,
): Promise<string[]> {
  const machine = new SimMachine(1);
  const all = async (env: Env): Promise<string[]> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await createTopics(log);
    await program(log);
    const lines = await output(log);
    await log.close();
    return faults(lines, words);
  };
  return machine.run(all(machine.boot()));
}

/** A place to stop at. */
function gate(): { readonly wait: () => Promise<void>; readonly open: () => void } {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { wait: () => opened, open };
}

test('a worker counts all, and one that comes back goes on', async () => {
  const wrong = await onBroker(600, async (log) => {
    for (const round of [1, 2, 3]) {
      await produce(log, (round - 1) * 200, round * 200);
      const worker = countingWorker(log, { label: 'a-0' });
      const done = worker.run();
      await counted(log, round * 200);
      worker.stop();
      await done;
    }
  });
  expect(wrong).toEqual([]);
});

test('workers come and go: tasks move with their state, and every count is right', async () => {
  const wrong = await onBroker(800, async (log) => {
    const first = countingWorker(log, { label: 'a-0' });
    const firstDone = first.run();
    await produce(log, 0, 200);
    await counted(log, 200);
    const second = countingWorker(log, { label: 'b-0' });
    const secondDone = second.run();
    await produce(log, 200, 400);
    await counted(log, 400);
    const third = countingWorker(log, { label: 'c-0' });
    const thirdDone = third.run();
    await produce(log, 400, 600);
    first.stop();
    await firstDone;
    await counted(log, 600);
    await produce(log, 600, 800);
    await counted(log, 800);
    expect(second.status.tasks.length + third.status.tasks.length).toBe(4);
    second.stop();
    third.stop();
    await Promise.all([secondDone, thirdDone]);
  });
  expect(wrong).toEqual([]);
});

describe.each(STEPS)('at the step "%s" of a commit', (at) => {
  test('a failure that passes leads back to the last commit', async () => {
    const events: WorkerEvent[] = [];
    let commits = 0;
    const wrong = await onBroker(400, async (log) => {
      const worker = countingWorker(log, {
        label: 'a-0',
        // Behind the end of the transaction nothing fails any more but what ends the worker.
        atStep: (step) => {
          if (step === 'committed' || step !== at || commits++ % 2 === 0) return;
          throw new MillraceError('ML_CONNECTION_LOST', 'planted');
        },
        onEvent: (event) => events.push(event),
      });
      const done = worker.run();
      for (const round of [0, 1, 2, 3]) {
        await produce(log, round * 100, round * 100 + 100);
        await counted(log, round * 100 + 100);
      }
      worker.stop();
      await done;
    });
    expect(wrong).toEqual([]);
    expect(events.some(({ kind }) => kind === 'retrying')).toBe(at !== 'committed');
  });

  test('a worker that hangs is replaced by one of its name, and writes nothing when it wakes up', async () => {
    let end: unknown;
    const wrong = await onBroker(400, async (log) => {
      const asleep = gate();
      const sleeping = gate();
      let isAsleep = false;
      let mayHang = false;
      const zombie = countingWorker(log, {
        label: 'a-0',
        atStep: async (step) => {
          if (step !== at || isAsleep || !mayHang) return;
          isAsleep = true;
          sleeping.open();
          await asleep.wait();
        },
      });
      const zombieDone = zombie.run().catch((error: unknown) => error);
      await produce(log, 0, 100);
      await counted(log, 100);
      mayHang = true;
      await produce(log, 100, 200);
      await sleeping.wait();
      const heir = countingWorker(log, { label: 'a-0' });
      const heirDone = heir.run();
      await counted(log, 200);
      asleep.open();
      end = await zombieDone;
      await produce(log, 200, 400);
      await counted(log, 400);
      heir.stop();
      await heirDone;
    });
    expect(wrong).toEqual([]);
    expect(end).toBeInstanceOf(MillraceError);
    expect((end as MillraceError).code).toBe('ML_GROUP_FENCED');
  });
});

test('a worker that is silent for too long loses its tasks, and gets others when it is back', async () => {
  const events: WorkerEvent[] = [];
  const wrong = await onBroker(600, async (log) => {
    const asleep = gate();
    const sleeping = gate();
    let mayStop = false;
    let isAsleep = false;
    const first = countingWorker(log, {
      label: 'a-0',
      // The heartbeats go on: it is the broker that ends the member, for joining too late.
      atStep: async (step) => {
        if (step !== 'flushed' || isAsleep || !mayStop) return;
        isAsleep = true;
        sleeping.open();
        await asleep.wait();
      },
      onEvent: (event) => events.push(event),
    });
    const firstDone = first.run();
    await produce(log, 0, 200);
    await counted(log, 200);
    mayStop = true;
    await produce(log, 200, 400);
    await sleeping.wait();
    const second = countingWorker(log, { label: 'b-0' });
    const secondDone = second.run();
    await counted(log, 400);
    const isBack = (): boolean =>
      events.findLastIndex(({ kind }) => kind === 'running') >
      events.findIndex(({ kind }) => kind === 'lost');
    asleep.open();
    while (!events.some(({ kind }) => kind === 'lost') || !isBack()) await log.env.timers.sleep(50);
    expect(first.status.tasks.length).toBeGreaterThan(0);
    await produce(log, 400, 600);
    await counted(log, 600);
    first.stop();
    second.stop();
    await Promise.all([firstDone, secondDone]);
  });
  expect(wrong).toEqual([]);
  expect(events.map(({ kind }) => kind)).toContain('lost');
});

const WORDS = 160;
const CUTS = 3;

/** Lives of a broker and a worker on one machine, ended by power cuts and kills, the last one by itself. */
async function lives(
  seed: number,
): Promise<{ readonly commits: number; readonly wrong: string[] }> {
  const machine = new SimMachine(seed);
  const random = machine.outside().random;
  let commits = 0;
  let commitsCut = 0;
  // A machine without power tells the broker first; the end of the run tells the test.
  const open = (env: Env): Promise<EmbeddedLog> =>
    openEmbedded(env, { dataDir: '/data', onFatal: () => {} });
  const prepare = async (env: Env): Promise<void> => {
    const log = await open(env);
    await createTopics(log);
    await produce(log, 0, WORDS);
    await log.close();
  };
  const live = async (env: Env): Promise<string[]> => {
    const log = await open(env);
    const worker = countingWorker(log, {
      label: 'a-0',
      paceRecords: 2,
      onEvent: ({ kind }) => {
        if (kind === 'committed') commits++;
      },
    });
    const done = worker.run();
    await Promise.race([counted(log, WORDS), done]);
    worker.stop();
    await done;
    const lines = await output(log);
    await log.close();
    return faults(lines, WORDS);
  };
  await machine.run(prepare(machine.boot()));
  machine.kill();
  for (let cuts = 0; ; ) {
    if (cuts < CUTS) {
      const isKill = random.next() < 0.5;
      machine.cutAtStep(
        machine.stepCount + 300 + Math.floor(random.next() * 900),
        isKill ? 'kill' : 'power',
      );
    }
    try {
      const env = cuts === 0 ? machine.boot() : machine.reboot();
      commits = 0;
      const wrong = await machine.run(live(env));
      return { commits: commitsCut, wrong };
    } catch (error) {
      if (!(error instanceof SimPowerCut)) throw error;
      commitsCut += commits;
      cuts++;
    }
  }
}

test('whenever the power goes, every word is counted once', async () => {
  let commits = 0;
  const seeds = runs(3);
  for (let seed = 1; seed <= seeds; seed++) {
    const result = await lives(seed);
    expect(result.wrong, `seed ${seed}`).toEqual([]);
    commits += result.commits;
  }
  // Most lives got as far as to commit before they ended.
  expect(commits).toBeGreaterThan(4 * seeds);
});
