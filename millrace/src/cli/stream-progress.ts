/**
 * What a flow without end says while it runs: one line that rewrites itself on a terminal; plain lines elsewhere, of what happens and
 * now and then of how it goes; or one JSON event a line.
 */
import type { Env, Timer } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import type { FlowEvent, FlowMetrics } from '../engine/stream/runner/flow-types.ts';
import { taskName } from '../engine/stream/worker/assign-tasks.ts';
import type { WorkerEvent } from '../engine/stream/worker/worker-types.ts';
import { LiveLine } from './live-line.ts';
import { formatBytes, formatCount, formatDuration } from './numbers.ts';
import { StreamTally, type StreamTotals } from './stream-tally.ts';

const TERMINAL_INTERVAL_MS = 250;
const PLAIN_INTERVAL_MS = 10_000;
/** Rates are those of the last so many milliseconds. */
const RATE_MS = 3_000;
/** One JSON event about what is restored in so long, for each store. */
const RESTORING_INTERVAL_MS = 1_000;
/** The last millisecond that a Date can hold. */
const DATE_MS_MAX = 8.64e15;

export interface StreamProgressOptions {
  readonly env: Env;
  readonly flow: string;
  /** Where its topics are, for people. */
  readonly where: string;
  readonly workers: number;
  readonly style: 'terminal' | 'plain' | 'json' | 'quiet';
  readonly write: (text: string) => void;
  readonly columns: () => number;
  /** Takes events when they are wanted as JSON. */
  readonly emit: (event: StreamEvent) => void;
}

/** A line of `--json`. NOTE: public. */
export type StreamEvent = { readonly event: string; readonly time: string } & Readonly<
  Record<string, unknown>
>;

interface Sample {
  readonly atMs: number;
  readonly totals: StreamTotals;
}

export class StreamProgress {
  readonly #options: StreamProgressOptions;
  readonly #line: LiveLine;
  readonly #tally = new StreamTally();
  readonly #startedMs: number;
  #metrics: (() => FlowMetrics) | undefined;
  #phase = 'starting';
  /** Tasks of each worker that processes. */
  readonly #running = new Map<number, number>();
  #restoredRecords = 0;
  readonly #restoring = new Map<string, { done: number; total: number; toldMs: number }>();
  #samples: Sample[] = [];
  #timer: Timer | undefined;

  constructor(options: StreamProgressOptions) {
    this.#options = options;
    this.#line = new LiveLine(options);
    this.#startedMs = options.env.clock.monotonicMs();
  }

  /** The flow is started; from here on its numbers are shown. */
  start(metrics: () => FlowMetrics): void {
    const { flow, where, workers } = this.#options;
    this.#metrics = metrics;
    const how = workers === 0 ? 'in one thread' : `in ${formatCount(workers, 'worker thread')}`;
    this.#tell(`${flow}: started on ${where}, ${how}`, 'started', { log: where, workers });
    this.#schedule();
  }

  take(event: FlowEvent): void {
    if (event.kind === 'worker') {
      this.#takeWorker(event.worker, event.event);
      return;
    }
    const { topics } = event;
    this.#phase = `waiting for ${topics.map((name) => `topic ${name}`).join(', ')}`;
    this.#tell(`${this.#phase}: millrace topic create makes one`, 'waiting', { topics });
  }

  /** A line for the person, whatever is shown else. */
  say(line: string): void {
    this.#line.say(line);
  }

  /** Nothing is shown any more. Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#line.erase();
  }

  /** The flow has ended in order. */
  stopped(): void {
    this.close();
    const metrics = this.#measure();
    const { totals } = this.#tally;
    const elapsedMs = this.#options.env.clock.monotonicMs() - this.#startedMs;
    const text = `${this.#options.flow}: stopped after ${formatDuration(elapsedMs)}: ${totalsText(totals)}`;
    this.#tell(text, 'stopped', {
      ...totals,
      elapsedMs: Math.round(elapsedMs),
      ...stateOf(metrics),
    });
  }

  /** The line of a terminal, as it would be drawn now. */
  line(): string {
    const { flow } = this.#options;
    const metrics = this.#measure();
    if (this.#phase !== 'running' || metrics === undefined) return `${flow}: ${this.#phaseText()}`;
    const { recordsIn, recordsOut } = this.#rates();
    const { late, skipped } = this.#tally.totals;
    const commitMs = Math.max(0, ...metrics.workers.map((worker) => worker.commitMs));
    return [
      `${flow}: ${rateText(recordsIn)} in, ${rateText(recordsOut)} out`,
      `lag ${metrics.lagRecords.toLocaleString('en-US')}`,
      `time ${timeText(metrics.watermark)}`,
      `commit ${Math.round(commitMs)} ms`,
      ...(late > 0 ? [`late ${late.toLocaleString('en-US')}`] : []),
      ...(skipped > 0 ? [`skipped ${skipped.toLocaleString('en-US')}`] : []),
    ].join('  ');
  }

  #takeWorker(worker: number, event: WorkerEvent): void {
    switch (event.kind) {
      case 'joining':
        this.#running.delete(worker);
        this.#phase = 'joining the group';
        break;
      case 'assigned':
        this.#running.delete(worker);
        this.#json('assigned', {
          worker,
          generation: event.generation,
          tasks: event.tasks.map((task) => taskName(task)),
        });
        break;
      case 'restoring':
        this.#restores(worker, event);
        break;
      case 'running':
        this.#runs(worker, event.tasks, event.restoredRecords);
        break;
      case 'retrying':
        this.#warn('retrying', event.error, {
          worker,
          words: `it is tried again in ${formatDuration(event.delayMs)}`,
        });
        break;
      case 'lost':
        this.#warn('lost', event.error, {
          worker,
          words: `the group went on without worker ${worker}, which joins again`,
        });
        break;
      case 'purgeFailed':
        this.#warn('purgeFailed', event.error, {
          worker,
          words: 'records that all have read could not be deleted; it is tried again',
        });
        break;
      case 'committed':
        // A task that is closed takes its numbers with it.
        this.#measure();
        break;
    }
  }

  #restores(worker: number, event: WorkerEvent & { readonly kind: 'restoring' }): void {
    const { task, store, done, total } = event;
    const name = `${taskName(task)} ${store}`;
    const nowMs = this.#options.env.clock.monotonicMs();
    const known = this.#restoring.get(name);
    const isFirst = this.#restoring.size === 0;
    const isTold = known !== undefined && nowMs - known.toldMs < RESTORING_INTERVAL_MS;
    const toldMs = isTold && done < total ? known.toldMs : nowMs;
    this.#restoring.set(name, { done, total, toldMs });
    this.#phase = 'restoring';
    if (toldMs === nowMs)
      this.#json('restoring', { worker, task: taskName(task), store, done, total });
    if (isFirst && this.#options.style === 'plain')
      this.#line.say(`${this.#options.flow}: ${this.#phaseText()}`);
  }

  #runs(worker: number, tasks: number, restoredRecords: number): void {
    this.#running.set(worker, tasks);
    this.#restoredRecords += restoredRecords;
    if (this.#running.size < Math.max(1, this.#options.workers)) return;
    this.#phase = 'running';
    this.#restoring.clear();
    const all = [...this.#running.values()].reduce((sum, count) => sum + count, 0);
    const readyMs = this.#options.env.clock.monotonicMs() - this.#startedMs;
    const restored = this.#restoredRecords;
    const what = restored > 0 ? `, after ${formatCount(restored, 'record')} of state` : '';
    this.#tell(`${this.#options.flow}: running ${formatCount(all, 'task')}${what}`, 'running', {
      tasks: all,
      restoredRecords: restored,
      readyMs: Math.round(readyMs),
    });
    this.#restoredRecords = 0;
  }

  #warn(
    event: string,
    error: unknown,
    what: { readonly worker: number; readonly words: string },
  ): void {
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof MillraceError ? { code: error.code } : {};
    this.#json(event, { worker: what.worker, message: reason, ...code });
    const { style } = this.#options;
    if (style !== 'json') this.#line.say(`warning: ${reason}; ${what.words}`);
  }

  #phaseText(): string {
    if (this.#phase !== 'restoring') return this.#phase;
    let done = 0;
    let total = 0;
    for (const each of this.#restoring.values()) {
      done += each.done;
      total += each.total;
    }
    const share = total > 0 ? ` ${Math.floor((100 * done) / total)} %` : '';
    const names = [...new Set([...this.#restoring.keys()].map((name) => name.split(' ')[1] ?? ''))];
    return `restoring ${names.join(', ')}${share}`;
  }

  #schedule(): void {
    const { env, style } = this.#options;
    if (style === 'quiet') return;
    const everyMs = style === 'terminal' ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS;
    this.#timer = env.timers.after(everyMs, () => {
      this.#draw();
      this.#schedule();
    });
  }

  #draw(): void {
    const { style } = this.#options;
    if (style === 'terminal') {
      this.#line.show(this.line());
      return;
    }
    const before = this.#tally.totals;
    const metrics = this.#measure();
    if (metrics === undefined) return;
    const { totals } = this.#tally;
    const perSecond = (count: number): number => Math.round((count * 1_000) / PLAIN_INTERVAL_MS);
    const recordsIn = totals.recordsIn - before.recordsIn;
    if (style === 'json') {
      this.#json('summary', {
        phase: this.#phaseText(),
        ...totals,
        recordsInPerSecond: perSecond(recordsIn),
        recordsOutPerSecond: perSecond(totals.recordsOut - before.recordsOut),
        ...stateOf(metrics),
      });
      return;
    }
    const rate = rateText(perSecond(recordsIn));
    const text = `${this.#phaseText()}: ${totalsText(totals)} (${rate} in), lag ${metrics.lagRecords.toLocaleString('en-US')}, time ${timeText(metrics.watermark)}, state ${formatBytes(metrics.stateBytes)}`;
    this.#line.say(`${this.#options.flow}: ${text}`);
  }

  #measure(): FlowMetrics | undefined {
    const metrics = this.#metrics?.();
    if (metrics !== undefined) this.#tally.take(metrics);
    return metrics;
  }

  /** Per second, of the last moments. */
  #rates(): { readonly recordsIn: number; readonly recordsOut: number } {
    const atMs = this.#options.env.clock.monotonicMs();
    const { totals } = this.#tally;
    this.#samples = this.#samples.filter((sample) => atMs - sample.atMs <= RATE_MS);
    this.#samples.push({ atMs, totals });
    const [first] = this.#samples;
    if (first === undefined || first.atMs === atMs) return { recordsIn: 0, recordsOut: 0 };
    const seconds = (atMs - first.atMs) / 1_000;
    return {
      recordsIn: (totals.recordsIn - first.totals.recordsIn) / seconds,
      recordsOut: (totals.recordsOut - first.totals.recordsOut) / seconds,
    };
  }

  #tell(text: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    const { style } = this.#options;
    this.#json(event, fields);
    if (style === 'plain' || style === 'terminal') this.#line.say(text);
  }

  #json(event: string, fields: Readonly<Record<string, unknown>>): void {
    const { style, emit, env, flow } = this.#options;
    if (style !== 'json') return;
    emit({ event, time: new Date(env.clock.nowMs()).toISOString(), flow, ...fields });
  }
}

function stateOf(metrics: FlowMetrics | undefined): Readonly<Record<string, unknown>> {
  if (metrics === undefined) return {};
  const { lagRecords, watermark, stateBytes } = metrics;
  return { lagRecords, watermark: isoTime(watermark) ?? null, stateBytes };
}

function totalsText({ recordsIn, recordsOut, late, skipped, commits }: StreamTotals): string {
  return [
    `${formatCount(recordsIn, 'record')} in`,
    `${recordsOut.toLocaleString('en-US')} out`,
    ...(late > 0 ? [`${late.toLocaleString('en-US')} late`] : []),
    ...(skipped > 0 ? [`${skipped.toLocaleString('en-US')} skipped`] : []),
    formatCount(commits, 'commit'),
  ].join(', ');
}

function rateText(perSecond: number): string {
  return `${Math.round(perSecond).toLocaleString('en-US')} records/s`;
}

/** Event time for people: to the second, in UTC. */
function timeText(ms: number): string {
  return isoTime(ms)?.slice(0, 19).replace('T', ' ') ?? 'not known yet';
}

function isoTime(ms: number): string | undefined {
  return Math.abs(ms) <= DATE_MS_MAX ? new Date(ms).toISOString() : undefined;
}
