/**
 * The function of a join, called so that what it throws goes to the flow's policy of errors. Joins keep the order of records by doing
 * everything at once: a function that returns a promise is an error here, and the message says what to do instead.
 *
 * @hot
 */
import { MillraceError } from '../../../core/errors.ts';
import { isThenable } from '../../../core/thenable.ts';

/** What `call` returns when the function failed and the flow says that such records are skipped. */
export const FAILED: unique symbol = Symbol('failed');

type Join = (left: unknown, right: unknown, key: unknown) => unknown;

interface FailureContext {
  readonly node: { readonly name: string };
  failed(error: unknown, record: unknown, key: unknown): void;
}

export class JoinFunction {
  private readonly fn: Join;
  private readonly context: FailureContext;

  constructor(fn: Join, context: FailureContext) {
    this.fn = fn;
    this.context = context;
  }

  /**
   * @param record what is being processed: goes to the dead letters when the function fails
   * @returns FAILED when it is to be skipped
   * @throws what stops the task
   */
  call(left: unknown, right: unknown, key: unknown, record: unknown): unknown {
    let result: unknown;
    try {
      result = this.fn(left, right, key);
    } catch (error) {
      this.context.failed(error, record, key);
      return FAILED;
    }
    if (typeof result !== 'object' || !isThenable(result)) return result;
    this.context.failed(refuseToWait(result, this.context.node.name), record, key);
    return FAILED;
  }
}

/** The error of a function that returned a promise. What becomes of the promise is nobody's concern any more. */
function refuseToWait(promise: PromiseLike<unknown>, operator: string): MillraceError {
  void promise.then(undefined, () => undefined);
  return new MillraceError(
    'ML_USER_FUNCTION',
    `the function of the join "${operator}" returned a promise`,
    {
      hint: 'Join first, then wait: `mapAsync` behind the join calls what returns promises',
      fields: { operator },
    },
  );
}
