/**
 * One run of the simulated crash test of queues, from one seed: a whole broker on one machine, in several lives, that loses power or is
 * killed at any step, also while it starts. Producers and workers use its virtual host as the AMQP server does. The history of all lives
 * together is judged by `queue-checker.ts`.
 */
import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open-broker.ts';
import { parseSettings } from '../../src/broker/settings.ts';
import type { Env } from '../../src/core/env.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import { SimRandom } from '../../src/core/sim/sim-random.ts';
import { QueueChecker, type QueueReport } from './queue-checker.ts';
import type { QueueEvent } from './queue-history.ts';
import { DEAD_LETTERS, QueueLife } from './queue-life.ts';

export interface QueueCrashOptions {
  readonly seed: number;
  /** Changes the broker after its start: a bug of ours. */
  readonly plant?: (broker: Broker) => void;
  /** Puts a fault of ours between the broker and the machine. */
  readonly wrapEnv?: (env: Env) => Env;
  /** Number of lives; drawn when it is not said. */
  readonly lives?: number;
  readonly keepsTrace?: boolean;
}

export interface QueueCrashRun extends QueueReport {
  readonly seed: number;
  readonly error: unknown;
  readonly traceHash: string;
  readonly powerCuts: number;
  readonly kills: number;
  readonly cutsDuringStart: number;
  readonly events: readonly QueueEvent[];
}

/** Where the broker keeps its data. */
const DATA = '/data/broker';
/** A start takes about this many steps. */
const START_STEPS = 250;
/** Settled so long before a crash, it is written. */
const FORGETS_MS = 1_500;

export async function queueCrashRun(options: QueueCrashOptions): Promise<QueueCrashRun> {
  const run = new Run(options);
  let error: unknown;
  try {
    await run.all();
  } catch (thrown) {
    error = thrown;
  }
  const { counts, machine, events } = run;
  const report = run.checker.report();
  return {
    ...report,
    // What is left is known only when it came to its end.
    anomalies:
      error === undefined
        ? report.anomalies
        : report.anomalies.filter(({ name }) => name !== 'lost'),
    seed: options.seed,
    error,
    traceHash: machine.trace.hash(),
    ...counts,
    events,
  };
}

/** What is wrong with a run, with the way to see it again; empty when nothing is. */
export function queueFailureOf(run: QueueCrashRun): string {
  if (run.error === undefined && run.anomalies.length === 0) return '';
  const { error } = run;
  const thrown = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const lines = [
    ...(error === undefined ? [] : [`threw ${thrown}`]),
    ...run.anomalies.slice(0, 5).map(({ name, id, detail }) => `${name} ${id}: ${detail}`),
    `again: MILLRACE_SEED=${run.seed} npx vitest run millrace/test/crash/sim-queues.test.ts`,
  ];
  return `seed ${run.seed}: ${lines.join('\n  ')}`;
}

class Run {
  readonly machine: SimMachine;
  readonly checker = new QueueChecker({
    deadLetters: DEAD_LETTERS,
    forgetsMs: FORGETS_MS,
    unordered: ['ranked'],
  });
  readonly counts = { powerCuts: 0, kills: 0, cutsDuringStart: 0 };
  readonly events: QueueEvent[] = [];
  private readonly options: QueueCrashOptions;
  private readonly random: SimRandom;
  private readonly names = { message: 0, consumer: 0 };
  private hasPower = true;

  constructor(options: QueueCrashOptions) {
    this.options = options;
    this.machine = new SimMachine(options.seed, { keepsTrace: options.keepsTrace ?? false });
    this.random = new SimRandom(options.seed * 2 + 1);
  }

  async all(): Promise<void> {
    const lives = this.options.lives ?? 2 + this.random.below(4);
    for (let index = 0; index < lives; index++) {
      await this.life(index === lives - 1);
      if (this.checker.anomalies.length > 0) return;
    }
  }

  private async life(isLast: boolean): Promise<void> {
    const { machine, random } = this;
    const env = this.hasPower ? machine.boot() : machine.reboot();
    this.hasPower = true;
    const startStep = machine.stepCount;
    const kind = random.chance(0.7) ? 'power' : 'kill';
    if (!isLast) {
      const steps = 1 + random.below(random.chance(0.25) ? START_STEPS : 1_500);
      machine.cutAtStep(startStep + steps, kind);
    }
    const life = new QueueLife({
      env,
      random,
      names: this.names,
      operations: 30 + random.below(120),
      isLast,
      record: (event) => this.record(event),
    });
    try {
      await machine.run(this.program(env, life));
      // It came to its end before the cut.
      machine.kill();
      if (!isLast) this.crashed('kill', life);
    } catch (error) {
      if (!(error instanceof SimPowerCut)) throw error;
      if (machine.stepCount - startStep < START_STEPS) this.counts.cutsDuringStart++;
      if (kind === 'power') machine.powerCut();
      else machine.kill();
      this.hasPower = kind !== 'power';
      this.crashed(kind, life);
    }
  }

  private async program(env: Env, life: QueueLife): Promise<void> {
    const broker = await openSmallBroker(this.options.wrapEnv?.(env) ?? env);
    this.options.plant?.(broker);
    await life.run(broker);
    await broker.close();
  }

  private crashed(kind: 'power' | 'kill', life: QueueLife): void {
    life.over();
    this.record({ kind: 'crash', power: kind === 'power' });
    if (kind === 'power') this.counts.powerCuts++;
    else this.counts.kills++;
  }

  private record(event: QueueEvent): void {
    this.events.push(event);
    this.checker.observe({ ...event, atMs: this.machine.wallMs() });
  }
}

/** Everything small, so that segments roll, the journal is recycled, and checkpoints never stop. */
export function openSmallBroker(env: Env, logger = new CollectingLogger()): Promise<Broker> {
  return openBroker(env, {
    dataDir: DATA,
    settings: parseSettings({}),
    logger,
    store: {
      journalFileBytes: 64 * 1024,
      journalBytesMax: 512 * 1024,
      checkpointJournalBytes: 128 * 1024,
      checkpointIntervalMs: 300,
      reserveBytes: 64 * 1024,
      retentionIntervalMs: 250,
      compactionIntervalMs: 250,
      openSegmentsMax: 8,
    },
    // A cut of the power also looks like a failing disk to what is dying.
    onFatal: (error) => {
      if (!(error instanceof SimPowerCut)) throw error;
    },
  });
}
