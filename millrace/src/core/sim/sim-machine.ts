/**
 * A simulated machine: disk, clock, timers, random numbers and network, all decided by one seed. It runs whole
 * programs over `Env`, loses power at any step, and comes up again with what a real disk might hold.
 *
 * Invariant: the same seed, options and program give the same trace. The program must reach the world through `Env`
 * alone, and must not wait for real work beside the event loop (worker threads, asynchronous compression).
 *
 * @example
 * const machine = new SimMachine(seed, { keepsTrace: true });
 * machine.cutAtStep(120);
 * try {
 *   await machine.run(program(machine.boot()));
 * } catch (error) {
 *   if (!(error instanceof SimPowerCut)) throw error;
 * }
 * await machine.run(check(machine.reboot()));
 */

import type { Clock, Env, Timer, Timers } from '../env.ts';
import { assert, MillraceError } from '../errors.ts';
import { TIMER_DELAY_MS_MAX } from '../limits.ts';
import { SimDisk } from './sim-disk.ts';
import { SimEvents } from './sim-events.ts';
import { SimFaults } from './sim-faults.ts';
import { SimFileSystem } from './sim-files.ts';
import type { SimInode } from './sim-inode.ts';
import { SimNetwork } from './sim-net.ts';
import type { SimCore } from './sim-process.ts';
import { SimPowerCut, SimProcess } from './sim-process.ts';
import { SimRandom } from './sim-random.ts';
import { SimTrace } from './sim-trace.ts';

export { SimPowerCut } from './sim-process.ts';

export interface SimOptions {
  /** Size of the device. Default 1 TiB. */
  readonly capacityBytes?: number;
  /** Directories that exist, durably, before the first start. Default `/data`. */
  readonly directories?: readonly string[];
  /** Keep every entry of the trace, not only its hash. Default false. */
  readonly keepsTrace?: boolean;
  /** The wall clock at the start, milliseconds since 1970. Default 2026-01-01T00:00:00Z. */
  readonly startMs?: number;
}

export interface SimRunLimits {
  /** Virtual time after which a run that goes on counts as stuck. Default one hour. */
  readonly withinMs?: number;
  /** Events after which a run that goes on counts as stuck. Default ten million. */
  readonly eventsMax?: number;
}

/** A run that cannot end: nothing is left to happen, or too much has. */
export class SimStuck extends Error {
  override readonly name = 'SimStuck';
}

const ONE_TIB = 2 ** 40;
const DEFAULT_START_MS = Date.UTC(2026, 0, 1);
const BOOT_MS = 3_000;
const RUN_MS_MAX = 3_600_000;
const RUN_EVENTS_MAX = 10_000_000;
const TIMER_LATE_MS_MAX = 1;

export class SimMachine implements SimCore {
  readonly disk: SimDisk;
  readonly events = new SimEvents();
  readonly faults = new SimFaults();
  readonly trace: SimTrace;
  readonly diskRandom: SimRandom;
  readonly timeRandom: SimRandom;
  readonly locks = new Set<string>();
  stepCount = 0;
  private readonly programRandom: SimRandom;
  private readonly network: SimNetwork;
  private process: SimProcess | undefined;
  private hasPower = true;
  private cutStep: number | undefined;
  private cutKind: 'power' | 'kill' = 'power';
  private nextPid = 1000;
  private startMs: number;
  private isRunning = false;
  /** A step took the power, and no `run` has told yet. */
  private hasUntoldCut = false;

  constructor(seed: number, options: SimOptions = {}) {
    const random = new SimRandom(seed);
    this.diskRandom = random.fork();
    this.timeRandom = random.fork();
    this.programRandom = random.fork();
    this.trace = new SimTrace(options.keepsTrace ?? false);
    this.disk = new SimDisk(options.capacityBytes ?? ONE_TIB, this.diskRandom);
    this.startMs = options.startMs ?? DEFAULT_START_MS;
    this.network = new SimNetwork({
      events: this.events,
      faults: this.faults,
      trace: this.trace,
      random: random.fork(),
    });
    for (const path of options.directories ?? ['/data']) this.disk.makeDirectory(path);
    this.disk.settle();
  }

  /** Starts a program on the machine, which has power and runs none. */
  boot(): Env {
    assert(this.hasPower, 'a machine without power boots nothing: reboot it');
    assert(this.process === undefined, 'the machine runs a program already: kill it first');
    const process = new SimProcess(this, this.nextPid++);
    this.process = process;
    this.hasUntoldCut = false;
    this.trace.add(`boot ${process.pid}`);
    return { fs: new SimFileSystem(process), ...this.surroundings(process) };
  }

  /** The power comes back and the program starts, with what the disk holds. Cuts the power first if it is on. */
  reboot(): Env {
    if (this.hasPower) this.powerCut();
    this.hasPower = true;
    this.events.nowMs += BOOT_MS;
    return this.boot();
  }

  /** The program ends at once, as by `kill -9`; what it wrote stays in the page cache. Then `boot` starts it anew. */
  kill(): void {
    if (this.process === undefined) return;
    this.trace.add('kill');
    this.stopProcess();
    this.disk.closeAll();
  }

  /** The power goes, now: unsynced bytes and names survive by chance. Then `reboot`. */
  powerCut(): void {
    if (!this.hasPower) return;
    this.hasPower = false;
    this.trace.add('power cut');
    this.stopProcess();
    this.disk.cutPower();
  }

  /** The power goes (or the program is killed) at step `step`: the call that takes it, and all later ones, throw
   * `SimPowerCut` or never settle. Steps count from 1 over the life of the machine; see `stepCount`. A cut, a kill
   * or a reboot that comes before cancels it. */
  cutAtStep(step: number, kind: 'power' | 'kill' = 'power'): void {
    assert(step > this.stepCount, `step ${step} is past: the machine is at ${this.stepCount}`);
    this.cutStep = step;
    this.cutKind = kind;
  }

  /** What a computer beside the machine has: it reaches the machine over the network and lives through its cuts. */
  outside(): Omit<Env, 'fs'> {
    return this.surroundings(undefined);
  }

  /** The wall clock jumps; the monotonic one does not. */
  jumpClock(byMs: number): void {
    this.startMs += byMs;
  }

  /** Changes the size of the device. What is stored stays, also beyond it. */
  setCapacity(capacityBytes: number): void {
    this.disk.capacityBytes = capacityBytes;
  }

  /** One bit of a file rots. @param bit counts from the start of the file, 8 to the byte */
  flipBit(path: string, bit: number): void {
    const inode = this.file(path);
    assert(
      bit >= 0 && bit < inode.liveBytes * 8,
      `bit ${bit} of ${path} (${inode.liveBytes} bytes)`,
    );
    this.trace.add(`flip ${path} ${bit}`);
    inode.flipBit(bit);
  }

  /** Reads that touch [start, end) of the file fail with EIO. */
  failReads(path: string, start: number, end: number): void {
    this.faults.addUnreadable(this.file(path), start, end);
  }

  /** Breaks every connection. */
  resetConnections(): void {
    this.network.resetAll();
  }

  /**
   * Runs the machine until `promise` settles, and returns its value or throws its reason.
   * @throws {SimPowerCut} the program was stopped meanwhile, or at a step before; what runs `outside` goes on in the
   * next run
   * @throws {SimStuck} the promise cannot settle
   */
  async run<T>(promise: Promise<T>, limits: SimRunLimits = {}): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.runUntil(() => isSettled, limits);
    return promise;
  }

  /** Runs the machine until `isDone` says so, asked after every event. Throws as `run` does. */
  async runUntil(isDone: () => boolean, limits: SimRunLimits = {}): Promise<void> {
    assert(!this.isRunning, 'a machine is run by one caller at a time');
    this.isRunning = true;
    try {
      await this.turn(isDone, limits);
    } finally {
      this.isRunning = false;
    }
  }

  /** Runs the machine for `durationMs` of virtual time. */
  async runFor(durationMs: number): Promise<void> {
    let isDone = false;
    this.events.after(durationMs, undefined, () => {
      isDone = true;
    });
    await this.runUntil(() => isDone, { withinMs: durationMs + 1 });
  }

  countStep(what: string): void {
    this.stepCount++;
    this.trace.add(what);
    if (this.stepCount !== this.cutStep) return;
    if (this.cutKind === 'power') this.powerCut();
    else this.kill();
    this.hasUntoldCut = true;
  }

  wallMs(): number {
    return Math.floor(this.startMs + this.events.nowMs);
  }

  private async turn(isDone: () => boolean, limits: SimRunLimits): Promise<void> {
    const { events } = this;
    const { process } = this;
    const untilMs = events.nowMs + (limits.withinMs ?? RUN_MS_MAX);
    const untilCount = events.count + (limits.eventsMax ?? RUN_EVENTS_MAX);
    for (;;) {
      await events.drain();
      if (this.hasUntoldCut || process?.isAlive === false) {
        this.hasUntoldCut = false;
        throw new SimPowerCut('the program was stopped');
      }
      if (isDone()) return;
      const nextMs = events.nextMs();
      if (nextMs === undefined) throw new SimStuck('nothing is left that could happen');
      if (nextMs > untilMs) throw new SimStuck(`not done at ${untilMs} ms of virtual time`);
      if (events.count >= untilCount) throw new SimStuck(`not done after ${untilCount} events`);
      try {
        events.step();
      } catch (error) {
        if (!(error instanceof SimPowerCut)) throw error;
      }
    }
  }

  private stopProcess(): void {
    const { process } = this;
    if (process === undefined) return;
    process.isAlive = false;
    this.process = undefined;
    this.cutStep = undefined;
    this.locks.clear();
    this.network.forget(process);
  }

  private surroundings(process: SimProcess | undefined): Omit<Env, 'fs'> {
    return {
      clock: this.clockFor(process),
      timers: this.timersFor(process),
      random: this.programRandom.fork(),
      net: this.network.netFor(process),
    };
  }

  private clockFor(process: SimProcess | undefined): Clock {
    const bootedMs = process?.startedMs ?? 0;
    return {
      nowMs: () => this.wallMs(),
      monotonicMs: () => this.events.nowMs - bootedMs,
    };
  }

  private timersFor(process: SimProcess | undefined): Timers {
    const after = (delayMs: number, callback: () => void): Timer => {
      assert(delayMs >= 0 && delayMs <= TIMER_DELAY_MS_MAX, `a delay of ${delayMs} ms`);
      const lateMs = this.timeRandom.between(0, TIMER_LATE_MS_MAX);
      const event = this.events.after(delayMs + lateMs, process, callback);
      return { cancel: () => this.events.cancel(event) };
    };
    return {
      after,
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          const abort = (): void => {
            timer?.cancel();
            reject(
              new MillraceError('ML_ABORTED', 'a wait was cancelled', { cause: signal?.reason }),
            );
          };
          let timer: Timer | undefined;
          if (signal?.aborted === true) {
            abort();
            return;
          }
          timer = after(delayMs, () => {
            signal?.removeEventListener('abort', abort);
            resolve();
          });
          signal?.addEventListener('abort', abort, { once: true });
        }),
      immediate: (callback) => {
        this.events.after(0, process, callback);
      },
    };
  }

  private file(path: string): SimInode {
    const node = this.disk.find(path);
    assert(node?.kind === 'file', `no file at ${path}`);
    return node.inode;
  }
}
