/** Notices functions of the program that were called and never call back: a flow that is stuck says so. */
import { MillraceError } from '../../../core/errors.ts';
import { STREAM_CALL_MS_MAX } from '../../../core/stream-limits.ts';
import type { Operator } from '../operators/operator.ts';

interface Named {
  readonly name: string;
  readonly operator: Operator;
}

export class CallWatch {
  private readonly operators: () => readonly Named[];
  /** Since when nothing has called back, while something is waited for. Wall clock. */
  private sinceMs: number | undefined;

  constructor(operators: () => readonly Named[]) {
    this.operators = operators;
  }

  /** Something has called back. */
  reset(): void {
    this.sinceMs = undefined;
  }

  /**
   * Something is waited for.
   * @returns when it will have been too long
   * @throws {MillraceError} ML_USER_FUNCTION
   */
  look(nowMs: number): number {
    this.sinceMs ??= nowMs;
    const due = this.sinceMs + STREAM_CALL_MS_MAX;
    if (nowMs < due) return due;
    const stuck = this.operators().find(({ operator }) => operator.pending > 0);
    const operator = stuck?.name ?? '';
    throw new MillraceError(
      'ML_USER_FUNCTION',
      `${operator}: ${stuck?.operator.pending ?? 0} calls of its function have not come back for ${STREAM_CALL_MS_MAX / 1000} seconds`,
      {
        fields: { operator },
        hint: 'A promise that is never settled stops the flow: give what it waits for a timeout, as mapAsync has',
      },
    );
  }
}
