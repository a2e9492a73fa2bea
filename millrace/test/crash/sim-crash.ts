/**
 * One run of the simulated crash test, from one seed: several lives of a log store on one machine that loses power, is
 * killed, or stops the store by a failed sync, at any step, also while it recovers. The history of all lives together
 * is judged by `log-checker.ts`.
 */
import type { Env } from '../../src/core/env.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import type { LogStore } from '../../src/log/types.ts';
import { LogChecker } from './log-checker.ts';
import type { LogAnomaly, LogEvent } from './log-history.ts';
import { Life, type LifeEnd } from './life.ts';
import { World } from './world.ts';

export interface CrashRunOptions {
  readonly seed: number;
  /** Opens the store under test. */
  readonly open: (env: Env, onFatal: (error: unknown) => void) => Promise<LogStore>;
  /** Puts a fault of ours between the store and the machine. */
  readonly wrapEnv?: (env: Env) => Env;
  /** Keep the history and every line of the machine's trace. Default false. */
  readonly keeps?: boolean;
  /** Chance that a sync fails in a life. 0 to 1, default 0.2. */
  readonly syncFailureChance?: number;
  /** Share of logs that are not flushed at every commit. Default 0.3. */
  readonly lossyChance?: number;
}

export interface CrashRun {
  readonly seed: number;
  readonly anomalies: readonly LogAnomaly[];
  /** What the store threw where it must not, or undefined. */
  readonly error: unknown;
  /** Differs when anything that happened differs. */
  readonly traceHash: string;
  readonly traceLines: readonly string[];
  readonly events: readonly LogEvent[];
  readonly lives: number;
  readonly powerCuts: number;
  readonly kills: number;
  readonly fatals: number;
  readonly cutsDuringRecovery: number;
  readonly steps: number;
}

const LIVES_MAX = 6;
/** A start takes about this many steps: a cut within them hits the recovery. */
const RECOVERY_STEPS = 80;

export async function crashRun(options: CrashRunOptions): Promise<CrashRun> {
  const machine = new SimMachine(options.seed, { keepsTrace: options.keeps ?? false });
  const checker = new LogChecker();
  const events: LogEvent[] = [];
  const world = new World({
    seed: options.seed,
    lossyChance: options.lossyChance ?? 0.3,
    record: (event) => {
      if (options.keeps === true) events.push(event);
      checker.observe(event);
    },
    hasFailed: () => checker.anomalies.length > 0,
  });
  const run = new Run(machine, world, options);
  let error: unknown;
  try {
    await run.all();
  } catch (thrown) {
    error = thrown;
  }
  return {
    seed: options.seed,
    anomalies: checker.anomalies,
    error,
    traceHash: machine.trace.hash(),
    traceLines: machine.trace.lines,
    events,
    ...run.counts,
    steps: machine.stepCount,
  };
}

/** What is wrong with a run, with the way to see it again; empty when nothing is. */
export function failureOf(run: CrashRun): string {
  if (run.error === undefined && run.anomalies.length === 0) return '';
  const { error } = run;
  const thrown = error instanceof Error ? (error.stack ?? error.message) : error;
  const lines = [
    ...(error === undefined ? [] : [`threw ${String(thrown)}`]),
    ...run.anomalies.slice(0, 5).map(({ name, log, event, detail }) => {
      return `${name} of ${log} at event ${event}: ${detail}`;
    }),
    `again: MILLRACE_SEED=${run.seed} npx vitest run millrace/test/crash/sim-crash.test.ts`,
  ];
  return `seed ${run.seed}: ${lines.join('\n  ')}`;
}

class Run {
  readonly counts = { lives: 0, powerCuts: 0, kills: 0, fatals: 0, cutsDuringRecovery: 0 };
  private readonly machine: SimMachine;
  private readonly world: World;
  private readonly options: CrashRunOptions;
  private wasClosed = false;
  private hasPower = true;
  /** Since the last start that came to its end. */
  private powerWasCut = false;
  /** What the planned cut of this life does. */
  private cutKind: 'power' | 'kill' = 'power';

  constructor(machine: SimMachine, world: World, options: CrashRunOptions) {
    this.machine = machine;
    this.world = world;
    this.options = options;
  }

  async all(): Promise<void> {
    const count = 2 + this.world.random.below(LIVES_MAX - 1);
    for (let index = 0; index < count; index++) {
      await this.life(index === count - 1, this.operations());
      if (this.world.hasFailed()) return;
    }
    // And once more after the clean stop: everything is still there.
    await this.life(true, 0);
  }

  /** Mostly short lives: most faults need few steps and many tries. */
  private operations(): number {
    const { random } = this.world;
    return 5 + random.below(random.chance(0.15) ? 250 : 45);
  }

  private async life(isLast: boolean, operations: number): Promise<void> {
    const { machine, world } = this;
    const { random } = world;
    this.counts.lives++;
    const env = this.boot(isLast);
    const startStep = machine.stepCount;
    const life = new Life({
      world,
      machine,
      env: this.options.wrapEnv?.(env) ?? env,
      open: this.options.open,
      operations,
      expectsCleanStart: this.wasClosed,
      powerWasCut: this.powerWasCut,
      isLast,
    });
    if (!isLast) {
      const steps = 1 + random.below(random.chance(0.3) ? RECOVERY_STEPS : 2_500);
      this.cutKind = random.chance(0.7) ? 'power' : 'kill';
      machine.cutAtStep(startStep + steps, this.cutKind);
    }
    this.wasClosed = false;
    let end: LifeEnd | 'cut';
    try {
      end = await machine.run(life.run());
    } catch (error) {
      if (!(error instanceof SimPowerCut)) throw error;
      end = 'cut';
    }
    life.over();
    if (life.hasRecovered) this.powerWasCut = false;
    this.end(end, startStep);
  }

  private boot(isLast: boolean): Env {
    const { machine, world } = this;
    const { random } = world;
    machine.setCapacity(2 ** 40);
    machine.faults.heal();
    if (!isLast) {
      if (random.chance(0.3)) machine.faults.shortWriteProbability = 0.1;
      if (random.chance(0.2)) machine.faults.shortReadProbability = 0.1;
      if (random.chance(this.options.syncFailureChance ?? 0.2))
        machine.faults.failSyncAtStep(machine.stepCount + 1 + random.below(1_500));
    }
    if (this.hasPower) return machine.boot();
    this.hasPower = true;
    return machine.reboot();
  }

  private end(end: LifeEnd | 'cut', startStep: number): void {
    const { machine, world } = this;
    const { random } = world;
    if (end === 'fatal') this.counts.fatals++;
    if (end === 'cut' && machine.stepCount - startStep < RECOVERY_STEPS)
      this.counts.cutsDuringRecovery++;
    if (end === 'closed') this.wasClosed = true;
    // When the process ends by itself, the power sometimes goes right after it.
    // After a failed sync it mostly stays on: then the page cache shows what the disk does not have.
    const chance = end === 'fatal' ? 0.25 : 0.5;
    const power = end === 'cut' ? this.cutKind === 'power' : random.chance(chance);
    if (power) machine.powerCut();
    else machine.kill();
    this.hasPower = !power;
    this.powerWasCut ||= power;
    if (power) this.counts.powerCuts++;
    else this.counts.kills++;
    world.record({ kind: 'cut', power, atMs: machine.wallMs() });
  }
}
