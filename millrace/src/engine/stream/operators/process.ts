/**
 * State and timers of a key, as a function of the program keeps them. All of what one call does (state, timers, records) happens when it
 * returns, or, when it throws, not at all.
 *
 *   <name>          (key, 0) → [state, time it was touched]
 *   <name>-timers   (key, time) → true                        by event time
 *   <name>-clock    (key, time) → true                        by the wall clock
 *
 * A timer fires once, when T (or the clock) has come to its time, and is gone with the transaction in which it did. Timers fire by their
 * times; one that is set in a timer for a time that is not later than that timer's is not kept.
 */
import { MillraceError } from '../../../core/errors.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { ProcessContext, ProcessNode } from '../../../flow/stream-nodes.ts';
import type { Store } from '../state/store.ts';
import { copyData } from './copy-data.ts';
import type { OperatorContext, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';

type Kept = readonly [state: unknown, touchedAt: number];
type Timers = Store<true>;
type TimerKind = 'event' | 'wall';

const { POSITIVE_INFINITY } = Number;

export class Process extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  private readonly context: OperatorContext<ProcessNode>;
  private readonly states: Store<Kept>;
  private readonly eventTimers: Timers;
  private readonly wallTimers: Timers;
  private readonly call: Call;

  constructor(context: OperatorContext<ProcessNode>) {
    super();
    this.context = context;
    const { name, ttlMs } = context.node;
    this.states = context.store<Kept>({
      name,
      ...(ttlMs !== undefined && { dueOf: ([, touchedAt]) => touchedAt + ttlMs }),
    });
    const dueOf = (_value: true, time: number): number => time;
    this.eventTimers = context.store<true>({ name: `${name}-timers`, dueOf });
    this.wallTimers = context.store<true>({ name: `${name}-clock`, dueOf });
    this.call = new Call(context);
  }

  override get nextDue(): number {
    const { states, eventTimers } = this;
    return states.nextDue < eventTimers.nextDue ? states.nextDue : eventTimers.nextDue;
  }

  override get nextTick(): number {
    return this.wallTimers.nextDue;
  }

  receive(key: unknown, value: unknown, time: number): void {
    let state: unknown;
    try {
      state = this.stateOf(key, this.context.time());
    } catch (error) {
      recordFailed(this.context, error, value, key);
      return;
    }
    const { call } = this;
    call.begin(state, time, undefined);
    try {
      requireNothing(this.context.node.onRecord(value, call, key));
    } catch (error) {
      call.end();
      this.context.failed(error, value, key);
      return;
    }
    call.end();
    this.take(key, time, this.context.time());
  }

  override advance(): void {
    const now = this.context.time();
    this.fire(this.eventTimers, now, 'event');
    // The end of all time is for what waits: state that nobody has outlived stays.
    if (now === POSITIVE_INFINITY) return;
    this.states.due(now, (key, sub, [, touchedAt]) => {
      this.states.put(key, sub, undefined, touchedAt);
    });
  }

  override tick(nowMs: number): void {
    this.fire(this.wallTimers, nowMs, 'wall');
  }

  private fire(timers: Timers, until: number, kind: TimerKind): void {
    const last = Math.min(until, Number.MAX_VALUE);
    while (timers.nextDue <= last) {
      const due: [key: unknown, time: number][] = [];
      timers.due(last, (key, time) => {
        due.push([key, time]);
        timers.put(key, time, undefined, time);
      });
      for (const [key, time] of due) this.fireOne(key, time, kind);
      // Timers that set the next one would never end it.
      if (until === POSITIVE_INFINITY) return;
    }
  }

  private fireOne(key: unknown, time: number, kind: TimerKind): void {
    const { onTimer } = this.context.node;
    if (onTimer === undefined) return;
    const { call } = this;
    // T may have passed more than one timer: each finds the state of its own time.
    const now = kind === 'event' ? time : this.context.time();
    const state = this.stateOf(key, now);
    call.begin(state, time, kind);
    try {
      requireNothing(onTimer(call, key, kind));
    } catch (error) {
      call.end();
      this.context.failed(error, state, key);
      return;
    }
    call.end();
    this.take(key, time, now);
  }

  /** What has expired by `now` is gone, whether or not it was deleted. */
  private stateOf(key: unknown, now: number): unknown {
    const kept = this.states.get(key, 0);
    if (kept === undefined) return undefined;
    const { ttlMs } = this.context.node;
    if (ttlMs !== undefined && kept[1] + ttlMs <= now) return undefined;
    return kept[0];
  }

  /** Does what the function has asked for. */
  private take(key: unknown, time: number, now: number): void {
    const { call } = this;
    const { ttlMs } = this.context.node;
    if (call.isSet) {
      const kept = this.states.get(key, 0);
      const touchedAt = Math.max(time, kept?.[1] ?? time);
      const isGone = call.value === undefined;
      if (!isGone || kept !== undefined)
        this.states.put(key, 0, isGone ? undefined : [call.value, touchedAt], touchedAt);
    } else if (ttlMs !== undefined) this.touch(key, time, now);
    for (const { kind, at, isSet } of call.timers) {
      const timers = kind === 'event' ? this.eventTimers : this.wallTimers;
      timers.put(key, at, isSet ? true : undefined, time);
    }
    call.timers.length = 0;
    const { emitted } = call;
    for (let index = 0; index < emitted.length; index += 2)
      this.context.output.receive(key, emitted[index], emitted[index + 1] as number, undefined);
    emitted.length = 0;
  }

  private touch(key: unknown, time: number, now: number): void {
    const kept = this.states.get(key, 0);
    if (kept !== undefined && time > kept[1] && this.stateOf(key, now) !== undefined)
      this.states.put(key, 0, [kept[0], time], time);
  }
}

interface TimerChange {
  readonly kind: TimerKind;
  readonly at: number;
  readonly isSet: boolean;
}

/** What a function of the program gets: one for all calls, which collects what one of them asks for. */
class Call implements ProcessContext<unknown, unknown> {
  time = 0;
  value: unknown;
  isSet = false;
  readonly timers: TimerChange[] = [];
  /** Values and times in turn. */
  readonly emitted: unknown[] = [];
  private readonly context: OperatorContext<ProcessNode>;
  /** The timer that fires; undefined: it is a record. */
  private firing: TimerKind | undefined;
  private isCopied = false;
  private isOver = true;

  constructor(context: OperatorContext<ProcessNode>) {
    this.context = context;
  }

  begin(state: unknown, time: number, firing: TimerKind | undefined): void {
    this.time = time;
    this.value = state;
    this.firing = firing;
    this.isSet = false;
    this.isCopied = false;
    this.isOver = false;
    this.timers.length = 0;
    this.emitted.length = 0;
  }

  end(): void {
    this.isOver = true;
  }

  /** A copy, made when it is asked for: a call that changes it and throws has changed nothing. */
  get state(): unknown {
    this.check();
    if (this.isCopied) return this.value;
    this.isCopied = true;
    this.value = copyData(this.value);
    return this.value;
  }

  set state(state: unknown) {
    this.check();
    this.isSet = true;
    this.isCopied = true;
    this.value = state;
  }

  get watermark(): number {
    return this.context.time();
  }

  get now(): number {
    return this.context.clock.nowMs();
  }

  emit(value: unknown, time: number = this.time): void {
    this.check();
    this.emitted.push(value, requireTime('emit', time));
  }

  setTimer(time: number): void {
    this.change('event', requireTime('setTimer', time), true);
  }

  setWallTimer(time: number): void {
    this.change('wall', requireTime('setWallTimer', time), true);
  }

  clearTimer(time: number): void {
    this.change('event', requireTime('clearTimer', time), false);
  }

  clearWallTimer(time: number): void {
    this.change('wall', requireTime('clearWallTimer', time), false);
  }

  private change(kind: TimerKind, at: number, isSet: boolean): void {
    this.check();
    if (isSet && kind === this.firing && at <= this.time) return;
    this.timers.push({ kind, at, isSet });
  }

  private check(): void {
    if (this.isOver)
      throw new MillraceError('ML_USER_FUNCTION', 'the context of a call is used after it', {
        hint: 'Functions of process must not be async: use mapAsync before it for what has to wait',
      });
  }
}

function requireTime(what: string, time: unknown): number {
  if (typeof time === 'number' && Number.isFinite(time)) return Math.trunc(time);
  throw new MillraceError(
    'ML_USER_FUNCTION',
    `${what} needs a time in milliseconds, not ${String(time)}`,
    {
      hint: 'Give it milliseconds since 1970, as a number',
    },
  );
}

function requireNothing(result: unknown): void {
  if (!isThenable(result)) return;
  Promise.resolve(result).catch(() => {});
  throw new MillraceError('ML_USER_FUNCTION', 'a function of process returned a promise', {
    hint: 'Functions of process must not be async: use mapAsync before it for what has to wait',
  });
}
