/**
 * What the operators of a stage are to one another. Records are pushed through them by plain calls, two arguments and nothing
 * allocated; the one who pushes stops when the answer is false, and the whole chain is drained from its beginning.
 *
 * Nothing is pushed or emitted but from `push` and `drain`: an operator whose function has returned a promise waits until it is
 * drained. So the order of records does not depend on when promises settle.
 */
export interface Operator {
  /** Takes one record. False: it was taken, but no more before `drain` has resolved. */
  push(value: unknown, key: unknown): boolean;
  /** Waits for what was started, here and behind, and hands it on: afterwards nothing waits anywhere. */
  drain(): Promise<void>;
}

/** Several branches that take the same records. */
export class Fork implements Operator {
  private readonly branches: readonly Operator[];

  constructor(branches: readonly Operator[]) {
    this.branches = branches;
  }

  push(value: unknown, key: unknown): boolean {
    let goesOn = true;
    for (const branch of this.branches) if (!branch.push(value, key)) goesOn = false;
    return goesOn;
  }

  async drain(): Promise<void> {
    for (const branch of this.branches) await branch.drain();
  }
}

/** Where nothing follows (a tap at the end). */
export const NOWHERE: Operator = {
  push: () => true,
  drain: () => Promise.resolve(),
};

/** Where union and other operators that change nothing would stand, their successor stands itself. */
export function fork(branches: readonly Operator[]): Operator {
  const [first, ...others] = branches;
  if (first === undefined) return NOWHERE;
  return others.length === 0 ? first : new Fork(branches);
}
