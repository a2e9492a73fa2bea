/** What a program says of a worker, checked; and the worker. */
import type { QueueSpec } from '../../connect/queues/queue-options.ts';
import { MillraceError } from '../../core/errors.ts';
import { TIMER_DELAY_MS_MAX } from '../../core/limits.ts';
import { checkOptionNames, type OptionNames } from '../../core/option-names.ts';
import {
  WORK_CONCURRENCY_MAX,
  WORK_PREFETCH_MAX,
  WORK_STOP_MS,
  WORK_TIMEOUT_SHARE,
} from '../../core/queue-limits.ts';
import { DURATION_FORMS, type Duration, millisecondsOf } from '../../flow/durations.ts';
import { MessageWorker } from './message-worker.ts';
import type { QueueGround } from './queue-ground.ts';
import type { Handler, QueueWorker, WorkOptions } from './queue.ts';
import { invalid, retrying } from './retry.ts';

type Ground = Pick<QueueGround, 'env' | 'logger' | 'link'>;

const WORK_OPTIONS: OptionNames<WorkOptions> = {
  concurrency: true,
  prefetch: true,
  retry: true,
  timeout: true,
  signal: true,
  onFailure: true,
};

/** @throws {MillraceError} ML_CONFIG_INVALID */
export function startWorker(
  ground: Ground,
  spec: QueueSpec,
  handler: Handler<unknown>,
  options: WorkOptions,
): QueueWorker {
  checkOptionNames('a worker', options, WORK_OPTIONS);
  const { concurrency = 1, prefetch = concurrency, retry = {}, onFailure, signal } = options;
  if (typeof handler !== 'function') throw invalid('the handler', handler, 'a function');
  requireCount('concurrency', concurrency, 1, WORK_CONCURRENCY_MAX);
  requireCount('prefetch', prefetch, concurrency, WORK_PREFETCH_MAX);
  const { env } = ground;
  const worker = new MessageWorker({
    ...ground,
    spec,
    handler,
    concurrency,
    prefetch,
    nextDelay: retrying(retry, () => env.random.next()),
    timeoutMs: timeoutOf(spec, options.timeout),
    onFailure,
  });
  const stop = ({ within }: { readonly within?: Duration } = {}): Promise<void> =>
    worker.stop(within === undefined ? WORK_STOP_MS : timeOf('within', within));
  const onAbort = (): void => void stop();
  if (signal?.aborted === true) onAbort();
  if (signal !== undefined) {
    signal.addEventListener('abort', onAbort, { once: true });
    // It may outlive many workers.
    const forget = (): void => signal.removeEventListener('abort', onAbort);
    worker.done.then(forget, forget);
  }
  return {
    ready: worker.ready,
    done: worker.done,
    stop,
    stats: () => worker.stats(),
    [Symbol.asyncDispose]: () => stop(),
  };
}

/** In time for the broker to be told before it gives the message to another one. */
function timeoutOf(spec: QueueSpec, given: Duration | undefined): number {
  const longest = Math.min(spec.consumerTimeoutMs * WORK_TIMEOUT_SHARE, TIMER_DELAY_MS_MAX);
  if (given === undefined) return Math.floor(longest);
  const ms = timeOf('timeout', given);
  if (ms >= 1 && ms <= longest) return ms;
  throw new MillraceError(
    'ML_CONFIG_INVALID',
    `timeout is ${ms} ms, and must be from 1 to ${Math.floor(longest)} ms: queue ${spec.name} gives a message to another worker after ${spec.consumerTimeoutMs} ms`,
    { hint: 'Let the queue wait longer: queue(name, { consumerTimeout })' },
  );
}

function timeOf(what: string, given: Duration): number {
  const ms = millisecondsOf(given);
  if (ms === undefined) throw invalid(what, given, DURATION_FORMS);
  return ms;
}

function requireCount(what: string, given: unknown, min: number, max: number): void {
  if (typeof given === 'number' && Number.isInteger(given) && given >= min && given <= max) return;
  throw invalid(what, given, `an integer from ${min} to ${max}`);
}
