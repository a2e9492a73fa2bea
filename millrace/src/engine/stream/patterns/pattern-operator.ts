/**
 * Patterns over the records of a key in the order of their times. Records wait until T has passed their time, since earlier ones may come until
 * then; those of the same time keep the order in which they came. A record is late when T, which counts it already, is behind its time: what
 * has that time may be matched already.
 *
 *   record ─▶ waiting (key, time) ── T > time ──▶ matches (key) ─▶ output, timedOut
 *          ╰▶ late
 *
 * The time of a result is that of its last record; of one that ran out of time, and of a match that had to wait for its end, the first record's
 * plus the time of the pattern. Times are whole milliseconds.
 *
 * Source: Flink's CepOperator.
 */
import type { PatternNode } from '../../../flow/stream-nodes.ts';
import { copyData } from '../operators/copy-data.ts';
import type { Operator, OperatorContext, Receiver } from '../operators/operator.ts';
import { QuietOperator } from '../operators/quiet-operator.ts';
import type { Store } from '../state/store.ts';
import { compilePattern } from './compile-pattern.ts';
import { END_OF_TIME, emptyState, type MatchState } from './match-state.ts';
import { type Found, Matcher } from './matcher.ts';

/**
 * Stores: `<name>-waiting`, records by key and time; `<name>`, what is known of each key.
 * @throws {MillraceError} ML_FLOW_INVALID
 */
export function createPattern(context: OperatorContext<PatternNode>): Operator {
  return new PatternOperator(context);
}

class PatternOperator extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  private readonly context: OperatorContext<PatternNode>;
  private readonly node: PatternNode;
  private readonly matcher: Matcher;
  private readonly waiting: Store<unknown[]>;
  private readonly states: Store<MatchState>;

  constructor(context: OperatorContext<PatternNode>) {
    super();
    const { node } = context;
    this.context = context;
    this.node = node;
    this.matcher = new Matcher(node.name, compilePattern(node.name, node.pattern));
    // Due when T is past their time: the next whole millisecond.
    this.waiting = context.store({
      name: `${node.name}-waiting`,
      dueOf: (_values, time) => time + 1,
    });
    this.states = context.store({ name: node.name, dueOf: ({ due }) => due });
  }

  override get nextDue(): number {
    return Math.min(this.waiting.nextDue, this.states.nextDue);
  }

  receive(key: unknown, value: unknown, time: number): void {
    if (time < this.context.time()) {
      if (this.context.late === undefined) this.context.droppedLate();
      else this.context.late.receive(key, value, time, undefined);
      return;
    }
    const values = this.waiting.get(key, time) ?? [];
    values.push(copyData(value));
    this.waiting.put(key, time, values, time);
  }

  override advance(): void {
    // At the end of a bounded run T is Infinity, and so is what is never due.
    const until = Math.min(this.context.time(), END_OF_TIME);
    this.waiting.due(until, (key, time, values) => {
      this.waiting.put(key, time, undefined, time);
      for (const value of values) this.match(key, value, time);
    });
    this.states.due(until, (key, _sub, state) => {
      const found: Found[] = [];
      this.matcher.expire(state, until, found);
      this.put(key, state, until);
      this.give(key, found);
    });
  }

  private match(key: unknown, value: unknown, time: number): void {
    const known = this.states.get(key, 0);
    const state = known ?? emptyState();
    const found: Found[] = [];
    this.matcher.expire(state, time, found);
    try {
      this.matcher.take(state, value, key, time, found);
    } catch (error) {
      this.context.failed(error, value, key);
    }
    if (known !== undefined || state.partials.length > 0) this.put(key, state, time);
    this.give(key, found);
  }

  /** A key of which nothing is known has no entry. */
  private put(key: unknown, state: MatchState, time: number): void {
    this.states.put(key, 0, state.partials.length === 0 ? undefined : state, time);
  }

  private give(key: unknown, found: readonly Found[]): void {
    for (const { kind, matched, time } of found) {
      const isMatch = kind === 'match';
      const output = isMatch ? this.context.output : this.context.timedOut;
      if (output === undefined) continue;
      let value: unknown;
      try {
        value = isMatch ? this.node.select(matched, key) : this.node.selectTimedOut(matched, key);
      } catch (error) {
        this.context.failed(error, matched, key);
        continue;
      }
      output.receive(key, value, time, undefined);
    }
  }
}
