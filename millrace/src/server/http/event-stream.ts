/**
 * An answer that goes on: Server-Sent Events, written as they come. Who writes looks at `bufferedBytes`, and waits for `drained` above a bound.
 *
 * Source: the HTML standard, §9.2 Server-sent events.
 */
import type { ServerResponse } from 'node:http';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { HTTP_CLOSE_MS } from '../../core/http-limits.ts';
import { errorToJson } from './http-errors.ts';

/** After a lost connection a browser comes back after so long. */
const RETRY_MS = 1_000;

export interface EventStreamOptions {
  readonly env: Pick<Env, 'clock' | 'timers'>;
  readonly response: ServerResponse;
  /** Fires when the server closes, or the subscriber has gone. */
  readonly signal: AbortSignal;
}

export class EventStream {
  readonly #options: EventStreamOptions;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Until then nothing was answered, and what is wrong can have a status. */
  open(): void {
    const { response } = this.#options;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // Proxies that collect answers do not, then.
      'x-accel-buffering': 'no',
      // When it ends, so does the connection: a server that closes need not wait for it.
      connection: 'close',
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** What the subscriber, and what lies between, has not taken. */
  get bufferedBytes(): number {
    return this.#options.response.writableLength;
  }

  write(text: string): void {
    this.#options.response.write(text);
  }

  /** True: all was taken; false: nothing was within `stallMs`. @throws {MillraceError} ML_ABORTED */
  drained(stallMs: number): Promise<boolean> {
    const { response, env, signal } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (isDrained: boolean | undefined): void => {
        timer.cancel();
        response.off('drain', onDrain);
        signal.removeEventListener('abort', onAbort);
        if (isDrained !== undefined) resolve(isDrained);
        else reject(new MillraceError('ML_ABORTED', 'the subscription has ended'));
      };
      const onDrain = (): void => settle(true);
      const onAbort = (): void => settle(undefined);
      const timer = env.timers.after(stallMs, () => settle(false));
      response.on('drain', onDrain);
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
    });
  }

  /** The last event: it says why. */
  end(error: unknown): void {
    const { response, env } = this.#options;
    if (response.destroyed) return;
    response.end(eventText('end', JSON.stringify(errorToJson(error)), undefined));
    env.timers.after(HTTP_CLOSE_MS, () => response.destroy());
  }
}

/** JSON has no line ends. Without a name it is a `message`. */
export function eventText(name: string | undefined, data: string, id: string | undefined): string {
  const named = name === undefined ? '' : `event: ${name}\n`;
  return `${named}${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;
}

export function serverClosed(): MillraceError {
  return new MillraceError('ML_ABORTED', 'the server has closed', {
    hint: 'Subscribe again behind the last event: browsers do so by themselves',
  });
}
