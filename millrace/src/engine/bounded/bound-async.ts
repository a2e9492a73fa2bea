/** Functions that wait, as the batch engine calls them: one record after the other, tried again, given up after a time. */
import { MillraceError } from '../../core/errors.ts';
import type { ValueFunction } from '../../flow/plan.ts';
import type { AsyncMapNode } from '../../flow/stream-nodes.ts';

export function retried(node: AsyncMapNode): ValueFunction {
  return (value, key) => {
    const first = attempt(node, value, key);
    return first instanceof Promise
      ? first.catch((error) => again(node, value, key, error))
      : first;
  };
}

async function again(
  node: AsyncMapNode,
  value: unknown,
  key: unknown,
  error: unknown,
): Promise<unknown> {
  let failure = error;
  for (let count = 1; count < node.attempts; count++)
    try {
      return await attempt(node, value, key);
    } catch (next) {
      failure = next;
    }
  throw failure;
}

function attempt(node: AsyncMapNode, value: unknown, key: unknown): unknown {
  const signal = AbortSignal.timeout(node.timeoutMs);
  const result = node.fn(value, key, signal);
  if (!(result instanceof Promise)) return result;
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(
        new MillraceError(
          'ML_ASYNC_TIMEOUT',
          `${node.name} waited longer than ${node.timeoutMs} ms`,
          { hint: 'Raise its timeout, or find out why what it asks does not answer' },
        ),
      ),
    );
    result.then(resolve, reject);
  });
}
