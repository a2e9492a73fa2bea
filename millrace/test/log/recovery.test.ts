/**
 * Power cuts and kills at every single step of a small workload. The oracle is the list of what was appended, and up to
 * where it was acknowledged: what comes back is a prefix of it that holds everything acknowledged.
 */
import { expect, test } from 'vitest';
import type { Env } from '../../src/core/env.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import { openLogStore } from '../../src/log/log-store.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import type { LogConfig } from '../../src/log/types.ts';
import { append, batchOf, DIRECTORY, logId, readAll, SMALL, SMALL_STORE } from './fixture.ts';

interface LogHistory {
  /** Values in the order of their offsets, as far as `append` has accepted them. */
  readonly appended: string[];
  acknowledged: number;
}

interface History {
  readonly logs: LogHistory[];
  starts: number;
}

const LOGS = 2;

async function openAll(
  env: Env,
  config: LogConfig,
): Promise<{ logs: DiskLog[]; close: () => Promise<void>; checkpoint: () => Promise<void> }> {
  const store = await openLogStore(env, {
    ...SMALL_STORE,
    directory: DIRECTORY,
    onFatal: () => {},
  });
  const logs = Array.from({ length: LOGS }, (_, number) =>
    store.openLog(logId(number + 1), config),
  );
  await store.finishRecovery();
  return { logs, close: () => store.close(), checkpoint: () => store.checkpoint() };
}

/** Appends in rounds, with a checkpoint in between; every log gets one or two batches a round. */
async function workload(
  env: Env,
  config: LogConfig,
  history: History,
  rounds: number,
): Promise<void> {
  history.starts++;
  const { logs, close, checkpoint } = await openAll(env, config);
  logs.forEach((log, number) => {
    const known = history.logs[number] as LogHistory;
    // A run begins with what the one before has left: cut the expectation to it.
    expect(log.highWatermark).toBeGreaterThanOrEqual(known.acknowledged);
    known.appended.length = log.highWatermark;
    known.acknowledged = log.highWatermark;
  });
  for (let round = 0; round < rounds; round++) {
    const waits = logs.map(async (log, number) => {
      const known = history.logs[number] as LogHistory;
      for (let count = 1 + ((round + number) % 2); count > 0; count--) {
        const value = `${history.starts}/${round}/${count} ${'y'.repeat(120 + 61 * (round % 5))}`;
        append(log, batchOf([value]));
        known.appended.push(value);
      }
      const end = log.logEndOffset;
      await log.whenDurable(end);
      known.acknowledged = Math.max(known.acknowledged, end);
    });
    await Promise.all(waits);
    if (round === 4) await checkpoint();
  }
  await close();
}

async function check(
  machine: SimMachine,
  env: Env,
  config: LogConfig,
  history: History,
): Promise<void> {
  const { logs, close } = await machine.run(openAll(env, config));
  for (const [number, log] of logs.entries()) {
    const { appended, acknowledged } = history.logs[number] as LogHistory;
    const found = await readAll(machine, log);
    expect(found.map(({ offset }) => offset)).toEqual(found.map((_, index) => index));
    expect(found.length).toBeGreaterThanOrEqual(acknowledged);
    expect(found.map(({ value }) => value)).toEqual(appended.slice(0, found.length));
    expect(found.length).toBe(log.highWatermark);
  }
  await machine.run(close());
}

function newHistory(): History {
  return {
    logs: Array.from({ length: LOGS }, () => ({ appended: [], acknowledged: 0 })),
    starts: 0,
  };
}

async function runCut(machine: SimMachine, run: Promise<void>): Promise<boolean> {
  try {
    await machine.run(run);
    return true;
  } catch (error) {
    if (error instanceof SimPowerCut) return false;
    throw error;
  }
}

/** Steps that the whole workload takes on an undisturbed machine. */
async function countSteps(config: LogConfig, rounds: number): Promise<number> {
  const machine = new SimMachine(7);
  await machine.run(workload(machine.boot(), config, newHistory(), rounds));
  return machine.stepCount;
}

test.each(['power', 'kill'] as const)(
  'a %s cut at any step loses nothing acknowledged and leaves a prefix',
  async (kind) => {
    const rounds = 8;
    const steps = await countSteps(SMALL, rounds);
    expect(steps).toBeGreaterThan(100);
    for (let step = 1; step <= steps; step++) {
      const machine = new SimMachine(1000 + step);
      const history = newHistory();
      machine.cutAtStep(step, kind);
      const isDone = await runCut(machine, workload(machine.boot(), SMALL, history, rounds));
      const env = kind === 'power' || isDone ? machine.reboot() : machine.boot();
      await check(machine, env, SMALL, history);
    }
  },
);

test('a cut during the recovery from a cut loses nothing either', async () => {
  const rounds = 8;
  const steps = await countSteps(SMALL, rounds);
  for (let step = 60; step <= steps; step += 37) {
    // How many steps the second start takes is not known before: cut ever later until it gets through. Each first cut begins elsewhere.
    for (let second = 1 + (step % 10); ; second += 10) {
      const machine = new SimMachine(2000 + step);
      const history = newHistory();
      machine.cutAtStep(step);
      if (await runCut(machine, workload(machine.boot(), SMALL, history, rounds))) break;
      const env = machine.reboot();
      machine.cutAtStep(machine.stepCount + second);
      const isDone = await runCut(machine, workload(env, SMALL, history, 2));
      await check(machine, machine.reboot(), SMALL, history);
      if (isDone) break;
    }
  }
});

test('a log with flush: os keeps a prefix after a power cut, and everything after a kill', async () => {
  const config: LogConfig = { ...SMALL, flush: 'os' };
  const steps = await countSteps(config, 8);
  for (let step = 1; step <= steps; step += 2) {
    for (const kind of ['power', 'kill'] as const) {
      const machine = new SimMachine(3000 + step);
      const history = newHistory();
      machine.cutAtStep(step, kind);
      const isDone = await runCut(machine, workload(machine.boot(), config, history, 8));
      // What is only in the page cache is lost with the power.
      if (kind === 'power') for (const log of history.logs) log.acknowledged = 0;
      const env = kind === 'power' || isDone ? machine.reboot() : machine.boot();
      await check(machine, env, config, history);
    }
  }
});
