/**
 * A subscriber of a view: its events at the speed at which they are taken. What a subscriber has not taken is bounded; then nothing more is
 * read for it, and the log waits. Who takes nothing at all for a while is told so, and disconnected.
 */
import type { ServerResponse } from 'node:http';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  HTTP_HEARTBEAT_MS,
  HTTP_SUBSCRIBER_BYTES_MAX,
  HTTP_SUBSCRIBER_STALL_MS,
} from '../../core/http-limits.ts';
import type { ViewEvent } from '../../engine/stream/views/view-changes.ts';
import { EventStream, eventText, serverClosed } from './event-stream.ts';
import { changeToJson, rowToJson } from './view-json.ts';

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
  const { events, signal } = options;
  const first = await events.next();
  const stream = new EventStream(options);
  stream.open();
  const writer = new EventWriter(options, stream);
  try {
    for (let next = first; next.done !== true && !signal.aborted; next = await events.next())
      await writer.write(next.value);
    stream.end(serverClosed());
  } catch (error) {
    stream.end(error);
  } finally {
    await events.return(undefined);
  }
}

class EventWriter {
  readonly #options: SubscriptionOptions;
  readonly #stream: EventStream;
  #id = '';
  #writtenMs: number;

  constructor(options: SubscriptionOptions, stream: EventStream) {
    this.#options = options;
    this.#stream = stream;
    this.#writtenMs = options.env.clock.monotonicMs();
  }

  async write(event: ViewEvent): Promise<void> {
    const { env } = this.#options;
    const nowMs = env.clock.monotonicMs();
    if (event.kind === 'idle' && nowMs - this.#writtenMs < HTTP_HEARTBEAT_MS) return;
    this.#writtenMs = nowMs;
    if (event.kind === 'ready' || event.kind === 'change' || event.kind === 'idle')
      this.#id = event.id;
    this.#stream.write(textOf(event));
    if (this.#stream.bufferedBytes > HTTP_SUBSCRIBER_BYTES_MAX) await this.#drained();
  }

  /** @throws {MillraceError} ML_VIEW_SLOW, ML_ABORTED */
  async #drained(): Promise<void> {
    const { stallMs = HTTP_SUBSCRIBER_STALL_MS } = this.#options;
    if (await this.#stream.drained(stallMs)) return;
    throw new MillraceError(
      'ML_VIEW_SLOW',
      `nothing was taken of ${HTTP_SUBSCRIBER_BYTES_MAX} bytes within ${stallMs} ms`,
      { fields: { lastEventId: this.#id } },
    );
  }
}

function textOf(event: ViewEvent): string {
  switch (event.kind) {
    case 'reset':
      // Without an id: who comes back before the snapshot is whole begins with another one.
      return eventText('reset', JSON.stringify({ reason: event.reason }), '');
    case 'row':
      return eventText('row', JSON.stringify(rowToJson(event.row)), undefined);
    case 'ready':
      return eventText('ready', '{}', event.id);
    case 'change':
      return eventText(
        'change',
        JSON.stringify(changeToJson(event.change)),
        event.id === '' ? undefined : event.id,
      );
    case 'idle':
      // No data: nobody is told, and the id counts.
      return `: idle\nid: ${event.id}\n\n`;
  }
}
