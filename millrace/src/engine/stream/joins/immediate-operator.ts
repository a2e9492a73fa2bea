/** What all joins have in common: nothing in them waits for promises or for the wall clock. */
import type { Operator, ReadableTable, Receiver } from '../operators/operator.ts';

export abstract class ImmediateOperator implements Operator {
  abstract readonly inputs: readonly Receiver[];
  readonly table?: ReadableTable;
  readonly nextTick = Number.POSITIVE_INFINITY;
  readonly pending = 0;
  readonly isFull = false;

  get nextDue(): number {
    return Number.POSITIVE_INFINITY;
  }

  advance(): void {}

  tick(): void {}

  close(): void {}
}

/** An input whose records are seen elsewhere: a table that is asked, and does not push. */
export const UNHEARD: Receiver = { receive: () => undefined };
