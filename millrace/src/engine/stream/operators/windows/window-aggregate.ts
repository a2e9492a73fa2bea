/**
 * What all kinds of windows have in common: an accumulator per key and window in one store, results when a window closes, at every change, or
 * every so often, records that are late. The results are a table whose keys are Windowed.
 *
 * With `emit: close` accumulators are changed in place. Otherwise `add` gets a copy, because results that were told must not change: a
 * change carries the result before. So it does where the flow skips records that fail, as nothing of those may stay.
 *
 * A window that is closed never opens again: T is part of every commit, and what is late is decided by T alone.
 */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { Windowed } from '../../../../flow/windows.ts';
import type { Store } from '../../state/store.ts';
import { copyData } from '../copy-data.ts';
import type { OperatorContext, ReadableTable, Receiver } from '../operator.ts';
import { QuietOperator } from '../quiet-operator.ts';
import { Untold } from './untold.ts';
import { hasFlag, IS_CLOSED, IS_UNTOLD, type WindowState } from './window-state.ts';

export abstract class WindowAggregate extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  /** With `emit: close` there is nothing to ask: a result is told when its window is forgotten. */
  readonly table: ReadableTable | undefined;
  protected readonly context: OperatorContext<WindowAggregateNode>;
  protected readonly node: WindowAggregateNode;
  protected readonly store: Store<WindowState>;
  /** Whether results come with those before… */
  protected readonly tellsChanges: boolean;
  /** …at every change. */
  protected readonly tellsAtOnce: boolean;
  /** Neither what was told may change, nor what a function leaves behind that throws. */
  private readonly addsToCopies: boolean;
  private readonly untold: Untold | undefined;
  private readonly isCount: boolean;

  private readonly visitDue = (key: unknown, start: number, state: WindowState): void => {
    this.closed(key, start, state);
  };

  /** @param dueOf T at which `closed` is called */
  constructor(
    context: OperatorContext<WindowAggregateNode>,
    dueOf: (state: WindowState, start: number) => number,
  ) {
    super();
    this.context = context;
    const { node } = context;
    this.node = node;
    this.store = context.store<WindowState>({ name: node.name, dueOf });
    this.tellsChanges = node.emit.kind !== 'close';
    this.tellsAtOnce = node.emit.kind === 'changes';
    this.addsToCopies = this.tellsChanges || context.skips === true;
    this.untold = node.emit.kind === 'every' ? new Untold(node.emit.everyMs) : undefined;
    this.isCount = node.builtin === 'count';
    this.table = this.tellsChanges ? this.asTable() : undefined;
  }

  override get nextDue(): number {
    return this.store.nextDue;
  }

  override get nextTick(): number {
    return this.untold === undefined ? Number.POSITIVE_INFINITY : this.untold.nextTick;
  }

  override advance(): void {
    // At the end of all time, too, what is never due is not.
    const now = Math.min(this.context.time(), Number.MAX_VALUE);
    const { store } = this;
    while (store.nextDue <= now) store.due(now, this.visitDue);
  }

  override tick(nowMs: number): void {
    const { untold, store } = this;
    if (untold === undefined || nowMs < untold.nextTick) return;
    const refs = untold.take();
    if (refs === undefined) {
      const found: [unknown, number, WindowState][] = [];
      store.range(undefined, undefined, (key, start, state) => {
        if (hasFlag(state, IS_UNTOLD)) found.push([key, start, state]);
      });
      for (const [key, start, state] of found) this.tellNow(key, start, state);
      return;
    }
    for (const { key, start } of refs) {
      const state = store.get(key, start);
      if (state !== undefined && hasFlag(state, IS_UNTOLD)) this.tellNow(key, start, state);
    }
  }

  abstract receive(key: unknown, value: unknown, time: number): void;

  /** It is due. Tells what is to be told, and deletes or puts the window. */
  protected abstract closed(key: unknown, start: number, state: WindowState): void;

  protected abstract endOf(start: number, state: WindowState): number;

  /** The accumulator of a window with one more value; of a new one. Throws what the program throws. */
  protected added(held: WindowState | undefined, value: unknown, key: unknown): unknown {
    if (held === undefined) return this.plus(this.node.init(), value, key);
    return this.plus(this.addsToCopies ? copyData(held[0]) : held[0], value, key);
  }

  /** May change the accumulator. */
  protected plus(accumulator: unknown, value: unknown, key: unknown): unknown {
    return this.isCount ? (accumulator as number) + 1 : this.node.add(accumulator, value, key);
  }

  protected resultOf(accumulator: unknown, key: unknown): unknown {
    const { finish } = this.node;
    return finish === undefined ? accumulator : finish(accumulator, key);
  }

  /** What was told of a window last. Where changes are told, that is its result. */
  protected toldOf(held: WindowState | undefined, key: unknown): unknown {
    if (held === undefined) return undefined;
    return this.untold === undefined ? this.resultOf(held[0], key) : held[3];
  }

  /** Puts a window that has changed, and tells its result, or remembers to. @param before of `toldOf`, before the change */
  protected changed(
    key: unknown,
    start: number,
    state: WindowState,
    result: unknown,
    before: unknown,
  ): void {
    const { untold } = this;
    if (untold !== undefined) {
      if (!hasFlag(state, IS_UNTOLD)) untold.add(key, start, this.context.clock.nowMs());
      state[2] = (state[2] ?? 0) | IS_UNTOLD;
      state[3] = before;
    }
    this.store.put(key, start, state, state[1]);
    if (untold === undefined) this.tell(key, start, state, result, before);
  }

  /** Its last result, for `closed`: what has not been told yet. */
  protected tellLast(key: unknown, start: number, state: WindowState): void {
    const isUntold = this.node.emit.kind === 'close' || hasFlag(state, IS_UNTOLD);
    if (!isUntold) return;
    let result: unknown;
    try {
      result = this.resultOf(state[0], key);
    } catch (error) {
      this.context.failed(error, state[0], key);
      return;
    }
    this.tell(key, start, state, result, state[3]);
  }

  /** The window is no more, as far as others know of it: it has become a part of another. */
  protected takeBack(key: unknown, start: number, state: WindowState, told: unknown): void {
    if (told !== undefined) this.tell(key, start, state, undefined, told);
  }

  protected late(key: unknown, value: unknown, time: number): void {
    const { context } = this;
    if (context.late === undefined) context.droppedLate();
    else context.late.receive(key, value, time, undefined);
  }

  private tellNow(key: unknown, start: number, state: WindowState): void {
    let result: unknown;
    try {
      result = this.resultOf(state[0], key);
    } catch (error) {
      this.context.failed(error, state[0], key);
      result = undefined;
    }
    const before = state[3];
    state[2] = (state[2] ?? 0) & ~IS_UNTOLD;
    state[3] = result;
    this.store.put(key, start, state, state[1]);
    this.tell(key, start, state, result, before);
  }

  private tell(
    key: unknown,
    start: number,
    state: WindowState,
    result: unknown,
    before: unknown,
  ): void {
    if (result === undefined && before === undefined) return;
    const windowed: Windowed<unknown> = { key, start, end: this.endOf(start, state) };
    this.context.output.receive(windowed, result, state[1], before);
  }

  private asTable(): ReadableTable {
    const stateOf = (key: unknown): WindowState | undefined => {
      const windowed = key as Windowed<unknown>;
      const state = this.store.get(windowed.key, windowed.start);
      if (state === undefined || hasFlag(state, IS_CLOSED)) return undefined;
      return this.endOf(windowed.start, state) === windowed.end ? state : undefined;
    };
    return {
      get: (key) => this.toldOf(stateOf(key), (key as Windowed<unknown>).key),
      timeOf: (key) => stateOf(key)?.[1],
    };
  }
}
