/** What the clients count while they work: the same for all of them. */
import { percentile } from '../statistics.ts';
import type { Bodies } from './bodies.ts';
import {
  type ConsumeFigures,
  type ConsumeTask,
  type Latencies,
  monotonicMs,
  type PublishFigures,
  type PublishTask,
} from './load-tasks.ts';

/** Beyond this many, latencies are left out: a percentile needs no more. */
const LATENCIES_MAX = 2_000_000;

class Window {
  inWindow = 0;
  private readonly fromMs: number;
  private readonly toMs: number;
  private readonly values = new Float64Array(LATENCIES_MAX);
  private count = 0;
  private cpuAtStart: NodeJS.CpuUsage | undefined;
  private cpuSeconds = 0;

  constructor({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }) {
    this.fromMs = fromMs;
    this.toMs = toMs;
  }

  add(nowMs: number, dueMs: number): void {
    if (nowMs < this.fromMs) return;
    this.cpuAtStart ??= process.cpuUsage();
    if (nowMs >= this.toMs) return;
    this.inWindow++;
    if ((this.inWindow & 255) === 0) {
      const { user, system } = process.cpuUsage(this.cpuAtStart);
      this.cpuSeconds = (user + system) / 1e6;
    }
    if (dueMs >= this.fromMs && this.count < LATENCIES_MAX)
      this.values[this.count++] = nowMs - dueMs;
  }

  figures(): { readonly latencies: Latencies; readonly cpuSeconds: number } {
    const values = [...this.values.subarray(0, this.count)];
    const latencies = {
      p50Ms: percentile(values, 0.5),
      p99Ms: percentile(values, 0.99),
      count: this.count,
    };
    return { latencies, cpuSeconds: this.cpuSeconds };
  }
}

/** Of a publisher: what is on its way, and what has come back. */
export class PublishTally {
  sent = 0;
  confirmed = 0;
  private readonly window: Window;
  private readonly task: PublishTask;
  /** When the messages that wait for their confirm were due, by their number. */
  private readonly due: Float64Array;
  private readonly startedMs = monotonicMs();

  constructor(task: PublishTask) {
    this.task = task;
    this.window = new Window(task);
    this.due = new Float64Array(1 << Math.ceil(Math.log2(task.open + 1)));
  }

  /** How many may be sent now. */
  allowance(nowMs: number): number {
    const { open, rate, count, toMs } = this.task;
    if (count === undefined && nowMs >= toMs) return 0;
    const free = open - (this.sent - this.confirmed);
    const left = (count ?? Number.POSITIVE_INFINITY) - this.sent;
    const due =
      rate === undefined
        ? Number.POSITIVE_INFINITY
        : Math.floor(((nowMs - this.startedMs) / 1000) * rate) - this.sent;
    return Math.max(0, Math.min(free, left, due));
  }

  /** When the next message is due: now, unless there is a rate. */
  nextDueMs(nowMs: number): number {
    const { rate } = this.task;
    return rate === undefined ? nowMs : this.startedMs + ((this.sent + 1) / rate) * 1000;
  }

  send(dueMs: number): void {
    this.due[this.sent++ & (this.due.length - 1)] = dueMs;
  }

  /** The next message in their order was confirmed. */
  confirm(nowMs: number): void {
    this.window.add(nowMs, this.due[this.confirmed++ & (this.due.length - 1)] ?? 0);
  }

  isDone(nowMs: number): boolean {
    const { count, toMs } = this.task;
    const isEnough = count === undefined ? nowMs >= toMs : this.sent >= count;
    return isEnough && this.confirmed === this.sent;
  }

  figures(): PublishFigures {
    return {
      kind: 'published',
      count: this.confirmed,
      inWindow: this.window.inWindow,
      seconds: (monotonicMs() - this.startedMs) / 1000,
      ...this.window.figures(),
    };
  }
}

export class ConsumeTally {
  count = 0;
  private sequenceSum = 0;
  private badCount = 0;
  private firstMs = 0;
  private lastMs = 0;
  private readonly window: Window;
  private readonly bodies: Bodies;

  constructor(task: ConsumeTask, bodies: Bodies) {
    this.window = new Window(task);
    this.bodies = bodies;
  }

  take(nowMs: number, bytes: Buffer, start: number, end: number): void {
    const { bodies } = this;
    if (this.count++ === 0) this.firstMs = nowMs;
    this.lastMs = nowMs;
    if (!bodies.isIntact(bytes, start, end)) {
      this.badCount++;
      return;
    }
    this.sequenceSum += bodies.sequence(bytes, start);
    this.window.add(nowMs, bodies.dueMs(bytes, start));
  }

  figures(): ConsumeFigures {
    return {
      kind: 'consumed',
      count: this.count,
      inWindow: this.window.inWindow,
      seconds: (this.lastMs - this.firstMs) / 1000,
      sequenceSum: this.sequenceSum,
      badCount: this.badCount,
      ...this.window.figures(),
    };
  }
}
