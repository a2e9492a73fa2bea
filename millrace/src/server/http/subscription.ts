/**
 * A subscriber: the events of a view as Server-Sent Events, at the speed at which they are taken. What a subscriber has not taken is bounded; then
 * nothing more is read for it, and the log waits. Who takes nothing at all for a while is told so, and disconnected.
 *
 * Source: the HTML standard, §9.2 Server-sent events.
 */
import type { ServerResponse } from 'node:http';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  HTTP_CLOSE_MS,
  HTTP_HEARTBEAT_MS,
  HTTP_SUBSCRIBER_BYTES_MAX,
  HTTP_SUBSCRIBER_STALL_MS,
} from '../../core/http-limits.ts';
import type { ViewEvent } from '../../engine/stream/views/view-changes.ts';
import { errorToJson } from './http-errors.ts';
import { changeToJson, rowToJson } from './view-json.ts';

/** After a lost connection a browser comes back after so long. */
const RETRY_MS = 1_000;

export interface SubscriptionOptions {
  readonly env: Pick<Env, 'clock' | 'timers'>;
  readonly response: ServerResponse;
  readonly events: AsyncGenerator<ViewEvent, undefined>;
  /** Fires when the server closes, or the subscriber has gone. */
  readonly signal: AbortSignal;
  readonly stallMs?: number;
}

/** Resolves when it has ended. @throws {MillraceError} what the first event has failed with: nothing was written then */
export async function serveSubscription(options: SubscriptionOptions): Promise<void> {
  const { response, events, signal } = options;
  const first = await events.next();
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // Proxies that collect answers do not, then.
    'x-accel-buffering': 'no',
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  const writer = new EventWriter(options);
  try {
    for (let next = first; next.done !== true && !signal.aborted; next = await events.next())
      await writer.write(next.value);
    writer.end(
      new MillraceError('ML_ABORTED', 'the server has closed', {
        hint: 'Subscribe again behind the last event: browsers do so by themselves',
      }),
    );
  } catch (error) {
    writer.end(error);
  } finally {
    await events.return(undefined);
  }
}

class EventWriter {
  readonly #options: SubscriptionOptions;
  #id = '';
  #writtenMs: number;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#writtenMs = options.env.clock.monotonicMs();
  }

  async write(event: ViewEvent): Promise<void> {
    const { env, response } = this.#options;
    const nowMs = env.clock.monotonicMs();
    if (event.kind === 'idle' && nowMs - this.#writtenMs < HTTP_HEARTBEAT_MS) return;
    this.#writtenMs = nowMs;
    if (event.kind === 'ready' || event.kind === 'change' || event.kind === 'idle')
      this.#id = event.id;
    response.write(textOf(event));
    if (response.writableLength > HTTP_SUBSCRIBER_BYTES_MAX) await this.#drained();
  }

  /** The last event: it says why. */
  end(error: unknown): void {
    const { response, env } = this.#options;
    if (response.destroyed) return;
    response.end(block('end', JSON.stringify(errorToJson(error)), undefined));
    env.timers.after(HTTP_CLOSE_MS, () => response.destroy());
  }

  /** @throws {MillraceError} ML_VIEW_SLOW, ML_ABORTED */
  #drained(): Promise<void> {
    const { response, env, signal, stallMs = HTTP_SUBSCRIBER_STALL_MS } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (error?: MillraceError): void => {
        timer.cancel();
        response.off('drain', onDrain);
        signal.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onDrain = (): void => settle();
      const onAbort = (): void =>
        settle(new MillraceError('ML_ABORTED', 'the subscription has ended'));
      const timer = env.timers.after(stallMs, () => settle(tooSlow(stallMs, this.#id)));
      response.on('drain', onDrain);
      signal.addEventListener('abort', onAbort);
    });
  }
}

function tooSlow(stallMs: number, id: string): MillraceError {
  return new MillraceError(
    'ML_VIEW_SLOW',
    `nothing was taken of ${HTTP_SUBSCRIBER_BYTES_MAX} bytes within ${stallMs} ms`,
    { fields: { lastEventId: id } },
  );
}

function textOf(event: ViewEvent): string {
  switch (event.kind) {
    case 'reset':
      // Without an id: who comes back before the snapshot is whole begins with another one.
      return block('reset', JSON.stringify({ reason: event.reason }), '');
    case 'row':
      return block('row', JSON.stringify(rowToJson(event.row)), undefined);
    case 'ready':
      return block('ready', '{}', event.id);
    case 'change':
      return block(
        'change',
        JSON.stringify(changeToJson(event.change)),
        event.id === '' ? undefined : event.id,
      );
    case 'idle':
      // No data: nobody is told, and the id counts.
      return `: idle\nid: ${event.id}\n\n`;
  }
}

/** JSON has no line ends. */
function block(name: string, data: string, id: string | undefined): string {
  return `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;
}
