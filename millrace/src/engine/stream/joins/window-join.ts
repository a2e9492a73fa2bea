/**
 * Pairs of records of two streams with the same key and times that are near. Each side keeps its records for as long as they wait:
 *
 *   left at l    meets right records of [l - before, l + after]     waits until l + after + grace < T
 *   right at r   meets left records of  [r - after, r + before]     waits until r + before + grace < T
 *
 * Each pair comes out once, when the later of the two arrives. A record that has waited in vain comes out alone when its wait is over
 * (left, outer), and is forgotten, so it never comes out both alone and in a pair, and the pairs of an outer join are those of the inner
 * one. Records that are at most `grace` behind T find every partner. Of those that are later, each meets the partners that still wait;
 * when none can (time + before + after + grace < T, the retention of Kafka's window stores) it is late. In a self-join every record meets
 * itself, so it is late as soon as the shorter of its two waits is over.
 *
 * As in Kafka Streams: records without a value are dropped; a record without a key meets nothing, and comes out alone at once where its side
 * does so (KIP-962); what is given up comes out before the pairs of the record that moved T. Not as in Kafka Streams: there, segments
 * of stores outlive the retention, a record that arrives behind its window comes out alone before its grace is over, and the throttle of
 * KAFKA-10847 lets the wall clock decide.
 *
 * State: two stores, in each of which an entry (key, time) has the values of that time. It is due one millisecond behind its wait,
 * as times are whole milliseconds and `due` includes its bound.
 *
 * Source: KIP-633 (grace), KIP-962 (null keys); Kafka's KStreamKStreamJoin as of 4.x for the boundaries.
 *
 * @hot One scan of the other store and one put into the own for each record.
 */
import type { WindowJoinNode } from '../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext, Receiver } from '../operators/operator.ts';
import { QuietOperator } from '../operators/quiet-operator.ts';
import type { Store } from '../state/store.ts';
import { FAILED, JoinFunction } from './join-function.ts';
import { isUsableKey } from './join-key.ts';

/** The values of one key and time, in the order in which they came. Never changed in place: the base of a store is what was committed. */
interface Waiting {
  /** So many, from the first, have met somebody. Of a side whose records never come out alone: all. */
  readonly matched: number;
  readonly values: readonly unknown[];
}

/** Inputs: left, right. */
export function createWindowJoin(context: OperatorContext<WindowJoinNode>): Operator {
  return new WindowJoin(context);
}

class WindowJoin extends QuietOperator {
  readonly inputs: readonly Receiver[];
  private readonly left: Side;
  private readonly right: Side;
  private readonly context: OperatorContext<WindowJoinNode>;

  constructor(context: OperatorContext<WindowJoinNode>) {
    super();
    this.context = context;
    const { type } = context.node;
    this.left = new Side(this, context, { isLeft: true, comesAlone: type !== 'inner' });
    this.right = new Side(this, context, { isLeft: false, comesAlone: type === 'outer' });
    this.left.partner = this.right;
    this.right.partner = this.left;
    this.inputs = [this.left, this.right];
  }

  override get nextDue(): number {
    const left = this.left.store.nextDue;
    const right = this.right.store.nextDue;
    return left < right ? left : right;
  }

  override advance(): void {
    const now = this.context.time();
    this.left.giveUp(now);
    this.right.giveUp(now);
  }
}

interface Role {
  readonly isLeft: boolean;
  /** A record of this side that meets nobody comes out all the same. */
  readonly comesAlone: boolean;
}

class Side implements Receiver {
  readonly store: Store<Waiting>;
  partner: Side = this;
  private readonly join: WindowJoin;
  private readonly context: OperatorContext<WindowJoinNode>;
  private readonly fn: JoinFunction;
  private readonly isLeft: boolean;
  private readonly comesAlone: boolean;
  private readonly isSecondOfSelf: boolean;
  /** Partners are at most so much earlier and later. */
  private readonly earlierMs: number;
  private readonly laterMs: number;
  private readonly waitMs: number;
  private readonly lateMs: number;
  private readonly meetAll: (sub: number, waiting: Waiting) => boolean;
  private readonly emitAlone: (key: unknown, sub: number, waiting: Waiting) => void;

  // The record that is being processed, and what came of it: nothing leaves before its last partner was met, so that a record whose
  // function fails leaves no trace.
  private key: unknown;
  private value: unknown;
  private time = 0;
  private hasFailed = false;
  private readonly results: unknown[] = [];
  private readonly resultTimes: number[] = [];
  private readonly met: Waiting[] = [];
  private readonly metTimes: number[] = [];

  constructor(join: WindowJoin, context: OperatorContext<WindowJoinNode>, role: Role) {
    const { name, fn, beforeMs, afterMs, graceMs, inputs } = context.node;
    const { isLeft, comesAlone } = role;
    this.join = join;
    this.context = context;
    this.fn = new JoinFunction(fn, context);
    this.isLeft = isLeft;
    this.comesAlone = comesAlone;
    const isSelf = inputs[0] === inputs[1];
    this.isSecondOfSelf = isSelf && !isLeft;
    this.earlierMs = isLeft ? beforeMs : afterMs;
    this.laterMs = isLeft ? afterMs : beforeMs;
    this.waitMs = this.laterMs + graceMs;
    this.lateMs = (isSelf ? Math.min(beforeMs, afterMs) : beforeMs + afterMs) + graceMs;
    const dueAfterMs = this.waitMs + 1;
    this.store = context.store<Waiting>({
      name: `${name}-${isLeft ? 'left' : 'right'}`,
      dueOf: (_waiting, sub) => sub + dueAfterMs,
    });
    this.meetAll = (sub, waiting) => this.meet(sub, waiting);
    this.emitAlone = (key, sub, waiting) => this.endWait(key, sub, waiting);
  }

  receive(key: unknown, value: unknown, time: number): void {
    if (value === undefined || value === null) {
      this.context.droppedNull?.();
      return;
    }
    if (key === undefined || key === null) {
      if (this.comesAlone) this.putOutAlone(key, value, time);
      else this.context.droppedNull?.();
      return;
    }
    if (!isUsableKey(this.context, key, value)) return;
    const now = this.context.time();
    if (this.join.nextDue <= now) this.join.advance();
    if (time + this.lateMs < now) {
      this.dropLate(key, value, time);
      return;
    }
    const isMatched = this.meetPartners(key, value, time);
    if (this.hasFailed) return;
    if (time + this.waitMs >= now) this.wait(key, value, time, isMatched);
    else if (this.comesAlone && !isMatched) this.putOutAlone(key, value, time);
  }

  /** Ends the wait of every record for which it is over. */
  giveUp(now: number): void {
    if (this.store.nextDue <= now) this.store.due(now, this.emitAlone);
  }

  /** @returns whether there were any */
  private meetPartners(key: unknown, value: unknown, time: number): boolean {
    this.key = key;
    this.value = value;
    this.time = time;
    this.hasFailed = false;
    const { partner, results, resultTimes } = this;
    partner.store.scan(key, time - this.earlierMs, time + this.laterMs, this.meetAll);
    const isMatched = results.length > 0;
    if (isMatched && !this.hasFailed) {
      if (this.met.length > 0) partner.markMet(key, this.met, this.metTimes);
      for (let index = 0; index < results.length; index++)
        this.context.output.receive(key, results[index], resultTimes[index] as number, undefined);
    }
    if (isMatched || this.hasFailed) this.forgetResults();
    return isMatched;
  }

  private meet(sub: number, waiting: Waiting): boolean {
    const { key, value, time, results, resultTimes } = this;
    const { values } = waiting;
    const pairTime = sub > time ? sub : time;
    for (const other of values) {
      const left = this.isLeft ? value : other;
      const right = this.isLeft ? other : value;
      const result = this.fn.call(left, right, key, value);
      if (result === FAILED) {
        this.hasFailed = true;
        return false;
      }
      results.push(result);
      resultTimes.push(pairTime);
    }
    if (waiting.matched < values.length) {
      this.met.push(waiting);
      this.metTimes.push(sub);
    }
    return true;
  }

  private forgetResults(): void {
    this.key = undefined;
    this.value = undefined;
    this.results.length = 0;
    this.resultTimes.length = 0;
    this.met.length = 0;
    this.metTimes.length = 0;
  }

  /** These records of this side have met a record of the other. */
  private markMet(key: unknown, met: readonly Waiting[], times: readonly number[]): void {
    for (let index = 0; index < met.length; index++) {
      const { values } = met[index] as Waiting;
      const time = times[index] as number;
      this.store.put(key, time, { matched: values.length, values }, time);
    }
  }

  private wait(key: unknown, value: unknown, time: number, isMatched: boolean): void {
    const isDone = isMatched || !this.comesAlone;
    const before = this.store.get(key, time);
    this.store.put(
      key,
      time,
      before === undefined ? first(value, isDone) : more(before, value, isDone),
      time,
    );
  }

  private endWait(key: unknown, sub: number, waiting: Waiting): void {
    const { matched, values } = waiting;
    this.store.put(key, sub, undefined, sub);
    for (let index = matched; index < values.length; index++)
      this.putOutAlone(key, values[index], sub);
  }

  private putOutAlone(key: unknown, value: unknown, time: number): void {
    const result = this.isLeft
      ? this.fn.call(value, undefined, key, value)
      : this.fn.call(undefined, value, key, value);
    if (result !== FAILED) this.context.output.receive(key, result, time, undefined);
  }

  private dropLate(key: unknown, value: unknown, time: number): void {
    // It is one record, though it comes twice.
    if (this.isSecondOfSelf) return;
    if (this.context.late === undefined) this.context.droppedLate();
    else this.context.late.receive(key, value, time, undefined);
  }
}

function first(value: unknown, isDone: boolean): Waiting {
  return { matched: isDone ? 1 : 0, values: [value] };
}

/** Those that have met somebody stay in front. */
function more(before: Waiting, value: unknown, isDone: boolean): Waiting {
  const { matched, values } = before;
  if (!isDone) return { matched, values: [...values, value] };
  const front = values.slice(0, matched);
  return { matched: matched + 1, values: [...front, value, ...values.slice(matched)] };
}
