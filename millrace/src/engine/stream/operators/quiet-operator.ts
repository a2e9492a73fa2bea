/** What most operators have in common: nothing waits, and nothing looks at a clock, unless they say otherwise. */
import type { Operator, Receiver } from './operator.ts';

export abstract class QuietOperator implements Operator {
  abstract readonly inputs: readonly Receiver[];

  get nextDue(): number {
    return Number.POSITIVE_INFINITY;
  }

  get nextTick(): number {
    return Number.POSITIVE_INFINITY;
  }

  get pending(): number {
    return 0;
  }

  get isFull(): boolean {
    return false;
  }

  advance(): void {}

  tick(_nowMs: number): void {}

  close(): void {}
}
