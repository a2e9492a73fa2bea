/** Runs lives of a log store in processes of their own, ends them, and judges all of them as one history. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SimRandom } from '../../../src/core/sim/sim-random.ts';
import { LogChecker } from '../log-checker.ts';
import type { LogAnomaly, LogEvent } from '../log-history.ts';
import type { KnownLog } from '../world.ts';
import type { ChildMessage, ChildOptions } from './store-child.ts';

const CHILD = fileURLToPath(new URL('store-child.ts', import.meta.url));
/** Far apart, so that no two lives share a record or a producer. */
const IDS_PER_LIFE = 1_000_000;

export interface LifeEnding {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the process wrote to its standard error. */
  readonly errors: string;
}

/** How a life is to end. */
export interface LifePlan {
  /** SIGKILL after this many acknowledgements, or after `startMs` if it has not come up by then. Default: never. */
  readonly killAfterAcks?: number;
  /** SIGKILL this long after the start, whatever it is doing. Default: never. */
  readonly killAfterMs?: number;
  /** Operations of all clients; the store is closed after them. Default: more than there is time for. */
  readonly operations?: number;
  /** A command, with its arguments, that runs the process. Default: none. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class StoreRuns {
  readonly counts = { lives: 0, kills: 0, acks: 0, events: 0 };
  private readonly directory: string;
  private readonly random: SimRandom;
  private readonly checker = new LogChecker();
  private logs: readonly KnownLog[] = [];
  private intent: LogEvent | undefined;
  private wasClosed = false;
  private child: ChildProcess | undefined;

  constructor(directory: string, seed: number) {
    this.directory = directory;
    this.random = new SimRandom(seed);
  }

  get anomalies(): readonly LogAnomaly[] {
    return this.checker.anomalies;
  }

  /** Ends what still runs. */
  stop(): void {
    this.child?.kill('SIGKILL');
  }

  async life(plan: LifePlan): Promise<LifeEnding> {
    const [command, ...rest] = [...(plan.under ?? []), process.execPath, CHILD, this.options(plan)];
    this.counts.lives++;
    const child = spawn(command ?? process.execPath, rest, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...plan.env },
    });
    this.child = child;
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    const exited = new Promise<LifeEnding>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, errors }));
    });
    const timer =
      plan.killAfterMs === undefined
        ? undefined
        : setTimeout(() => child.kill('SIGKILL'), plan.killAfterMs);
    await this.listen(child, plan);
    const ending = await exited;
    clearTimeout(timer);
    this.ended(ending);
    return ending;
  }

  private options(plan: LifePlan): string {
    const options: ChildOptions = {
      directory: this.directory,
      seed: this.random.below(2 ** 31),
      firstId: (this.counts.lives + 1) * IDS_PER_LIFE,
      logs: this.logs,
      operations: plan.operations ?? 1_000_000,
      expectsCleanStart: this.wasClosed,
    };
    return JSON.stringify(options);
  }

  private async listen(child: ChildProcess, plan: LifePlan): Promise<void> {
    let acksLeft = plan.killAfterAcks ?? Number.POSITIVE_INFINITY;
    const lines = createInterface({ input: child.stdio[3] as Readable });
    for await (const line of lines) {
      // Of the last line the kill may have left only a part.
      const message = parse(line);
      if (message === undefined) continue;
      if (this.take(message)) acksLeft--;
      if (acksLeft <= 0) child.kill('SIGKILL');
    }
  }

  /** Returns whether it was an acknowledgement. */
  private take(message: ChildMessage): boolean {
    if (message.kind === 'logs') {
      this.logs = message.logs;
      return false;
    }
    if (message.kind === 'intent') {
      this.intent = message.event;
      return false;
    }
    this.intent = undefined;
    this.counts.events++;
    this.checker.observe(message.event);
    if (message.event.kind !== 'durable') return false;
    this.counts.acks++;
    return true;
  }

  private ended(ending: LifeEnding): void {
    this.child = undefined;
    if (ending.signal === 'SIGKILL') this.counts.kills++;
    this.wasClosed = ending.code === 0;
    // The process died in the middle of an append: it may be there or not.
    if (this.intent !== undefined) this.checker.observe(this.intent);
    this.intent = undefined;
    this.checker.observe({ kind: 'cut', power: false, atMs: Date.now() });
  }
}

function parse(line: string): ChildMessage | undefined {
  try {
    return JSON.parse(line) as ChildMessage;
  } catch {
    return undefined;
  }
}
