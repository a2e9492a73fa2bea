/**
 * T of each operator of a task. All would have the task's, but for three things:
 *
 * - T comes to what is behind after the results that it has brought about: those of a timer are from the time between the T before and
 *   this one, and in time for a window behind it.
 * - Results of windows come late: one that is closed at T has the time of its last record. Whoever is behind has a T that is as much
 *   smaller as such results can be late, so that none of them is too late there (a window over windows, in the same task or behind an
 *   exchange).
 * - Behind records that wait for promises T stays where it was when they came (`Operator.timeBehind`).
 *
 * Operators with the same T share a level. Levels are in the order of the records.
 *
 * @hot
 * Source: watermark holds, Akidau et al., "The Dataflow Model" (2015); a window's results are never late for the next one, as in Flink.
 */
import type { PlanNode } from '../../../flow/plan.ts';
import type { Operator } from '../operators/operator.ts';

export class TimeLevel {
  /** T here. */
  now = Number.NEGATIVE_INFINITY;
  /** How much later than at the inputs of the task. */
  readonly delayMs: number;
  /** So many operators are before it, one behind the other, that put something out when T comes. */
  readonly depth: number;
  /** What is before it, and may have records that wait. */
  readonly holders: readonly Operator[];
  /** What has something to do when T comes. */
  readonly timed: Operator[] = [];

  constructor(delayMs: number, depth: number, holders: readonly Operator[]) {
    this.delayMs = delayMs;
    this.depth = depth;
    this.holders = holders;
  }

  /** What T may be here. */
  target(time: number): number {
    let target = time;
    for (const { timeBehind } of this.holders)
      if (timeBehind !== undefined && timeBehind < target) target = timeBehind;
    return target - this.delayMs;
  }
}

export class StageTime {
  /** T of the task. */
  now = Number.NEGATIVE_INFINITY;
  /** Records wait somewhere. */
  isWaiting = false;
  /** Something was due since it was asked last. */
  hasAdvanced = false;
  readonly #levels: TimeLevel[] = [];
  /** Those to which T comes with the record. */
  readonly #direct: TimeLevel[] = [];

  /** Levels are asked for in the order of the records. */
  level(delayMs: number, depth: number, holders: readonly Operator[]): TimeLevel {
    const known = this.#levels.find(
      (level) =>
        level.delayMs === delayMs &&
        level.depth === depth &&
        level.holders.length === holders.length &&
        level.holders.every((holder) => holders.includes(holder)),
    );
    if (known !== undefined) return known;
    const level = new TimeLevel(delayMs, depth, holders);
    this.#levels.push(level);
    this.#levels.sort(
      (a, b) => a.delayMs - b.delayMs || a.depth - b.depth || a.holders.length - b.holders.length,
    );
    if (depth === 0) this.#direct.push(level);
    return level;
  }

  /** T of the inputs is `time` from now on, and so it is before a record that has brought it. */
  raise(time: number): void {
    this.now = time;
    for (const level of this.#direct) {
      const target = this.isWaiting ? level.target(time) : time;
      if (target > level.now) level.now = target;
    }
  }

  /** T is what it was at a commit, when nothing waited and nothing was due. */
  restore(time: number): void {
    this.now = time;
    for (const level of this.#levels) level.now = time - level.delayMs;
  }

  /** Behind a record, or whatever else has happened: does what is due, in the order of the records. */
  settle(): void {
    for (const level of this.#levels) {
      if (this.isWaiting || level.depth > 0) {
        const target = level.target(this.now);
        if (target > level.now) level.now = target;
      }
      for (const operator of level.timed) {
        if (operator.nextDue > level.now) continue;
        this.hasAdvanced = true;
        operator.advance();
      }
    }
  }

  /** The T of the task at which something is due; Infinity: nothing waits. */
  get wanted(): number {
    let wanted = Number.POSITIVE_INFINITY;
    for (const level of this.#levels)
      for (const operator of level.timed)
        wanted = Math.min(wanted, operator.nextDue + level.delayMs);
    return wanted;
  }
}

/** How much older than T before it the results of a node can be that were not late themselves. Milliseconds. */
export function resultDelayMs(node: PlanNode): number {
  if (node.kind === 'windowAggregate') {
    const { window, emit } = node;
    if (emit.kind === 'changes') return 0;
    return window.graceMs + (window.kind === 'session' ? window.gapMs : window.sizeMs);
  }
  if (node.kind === 'windowJoin' && node.type !== 'inner')
    return Math.max(node.beforeMs, node.afterMs) + node.graceMs;
  // What has a time waits until T has passed that.
  return node.kind === 'pattern' ? Math.max(node.pattern.withinMs ?? 0, 1) : 0;
}

/** Whether a node puts something out when T comes to it. */
export function hasTimedResults(node: PlanNode): boolean {
  if (node.kind === 'process') return node.onTimer !== undefined;
  if (node.kind === 'table') return node.ttlMs !== undefined;
  return resultDelayMs(node) > 0;
}
