/**
 * One life of a program on a simulated machine, from its start to a power cut or a kill. It counts its steps and
 * stops everything at the step where the power goes.
 *
 * Invariant: once `isAlive` is false no event of the process runs and no call of it reaches the disk or the network.
 */

import { assert, MillraceError } from '../errors.ts';
import { systemError } from '../system-error.ts';
import type { SimDisk } from './sim-disk.ts';
import { SimDiskError } from './sim-disk.ts';
import type { SimEvents } from './sim-events.ts';
import type { SimFaults } from './sim-faults.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimTrace } from './sim-trace.ts';

/** Thrown out of calls of a process that the machine has stopped, and out of `SimMachine.run`. Not an error of the
 * program: nothing may catch it and go on, and nothing that does has any effect. */
export class SimPowerCut extends Error {
  override readonly name = 'SimPowerCut';
}

/** What a process shares with the machine that it runs on. */
export interface SimCore {
  readonly disk: SimDisk;
  readonly events: SimEvents;
  readonly faults: SimFaults;
  readonly trace: SimTrace;
  /** Decides what happens to bytes and names. */
  readonly diskRandom: SimRandom;
  /** Decides how long things take. */
  readonly timeRandom: SimRandom;
  /** Directories that the running process has locked. */
  readonly locks: Set<string>;
  /** Steps of all processes so far. */
  readonly stepCount: number;
  /** Counts a step; the power may go at it, and `isAlive` of the process with it. */
  countStep(what: string): void;
  /** The wall clock. */
  wallMs(): number;
}

/** How long a call takes: the shortest and the longest, in milliseconds. */
const CALL_MS = {
  metadata: [0.02, 0.5],
  read: [0.02, 2],
  write: [0.02, 2],
  sync: [0.1, 4],
} as const satisfies Record<string, readonly [number, number]>;

export type SimCallKind = keyof typeof CALL_MS;

export class SimProcess {
  readonly core: SimCore;
  readonly pid: number;
  readonly startedMs: number;
  isAlive = true;

  constructor(core: SimCore, pid: number) {
    this.core = core;
    this.pid = pid;
    this.startedMs = core.events.nowMs;
  }

  /** Counts a step. @throws {SimPowerCut} when the process is dead, or dies at it */
  step(what: string): void {
    if (this.isAlive) this.core.countStep(what);
    if (!this.isAlive) throw new SimPowerCut(`no power at: ${what}`);
  }

  /** Runs a synchronous call. */
  call<T>(what: string, path: string, work: () => T): T {
    this.step(what);
    try {
      return work();
    } catch (error) {
      throw asSystemError(error, what, path);
    }
  }

  /**
   * Runs a call beside the event loop: `begin` now, what it returns after a while. The promise of a process that
   * dies meanwhile never settles.
   */
  callAsync<T>(what: string, path: string, kind: SimCallKind, begin: () => () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.takesStep(what)) return;
      let finish: () => T;
      try {
        finish = begin();
      } catch (error) {
        reject(asSystemError(error, what, path));
        return;
      }
      this.core.events.after(this.durationMs(kind), this, () => {
        if (!this.takesStep(`${what} ends`)) return;
        try {
          resolve(finish());
        } catch (error) {
          reject(asSystemError(error, what, path));
        }
      });
    });
  }

  private takesStep(what: string): boolean {
    if (this.isAlive) this.core.countStep(what);
    return this.isAlive;
  }

  private durationMs(kind: SimCallKind): number {
    const { faults, timeRandom } = this.core;
    if (kind === 'sync' && timeRandom.chance(faults.slowSyncProbability)) return faults.slowSyncMs;
    const [min, max] = CALL_MS[kind];
    return timeRandom.between(min, max);
  }
}

/** Errors of the disk look as those of a real one; others pass. */
function asSystemError(error: unknown, what: string, path: string): unknown {
  if (error instanceof SimPowerCut || error instanceof MillraceError) return error;
  assert(error instanceof SimDiskError, `a mistake in the simulated machine: ${String(error)}`);
  return systemError(error, what, undefined, { path });
}
