/** The records of a topic as Server-Sent Events: `message` with a record, `dropped`, `end`. */
import type { ServerResponse } from 'node:http';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { HTTP_SUBSCRIBER_BYTES_MAX, TOPIC_STALL_MS_MAX } from '../../core/http-limits.ts';
import { EventStream, eventText, serverClosed } from './event-stream.ts';
import { type FeedOptions, type Receiver, TopicFeed } from './topic-feed.ts';

export interface TopicEventsOptions extends Omit<FeedOptions, 'receiver'> {
  readonly env: Pick<Env, 'clock' | 'timers'>;
  readonly response: ServerResponse;
}

/** Resolves when it has ended. */
export async function serveTopicEvents(options: TopicEventsOptions): Promise<void> {
  const stream = new EventStream(options);
  stream.open();
  const feed = new TopicFeed({ ...options, receiver: new EventReceiver(stream, options.topic) });
  // Whoever comes back without having been told of a record comes back to here.
  stream.write(`: ready\nid: ${feed.id}\n\n`);
  try {
    await feed.run();
    stream.end(serverClosed());
  } catch (error) {
    stream.end(options.signal.aborted ? serverClosed() : error);
  }
}

class EventReceiver implements Receiver {
  readonly #stream: EventStream;
  readonly #topic: string;

  constructor(stream: EventStream, topic: string) {
    this.#stream = stream;
    this.#topic = topic;
  }

  get isReady(): boolean {
    return this.#stream.bufferedBytes <= HTTP_SUBSCRIBER_BYTES_MAX;
  }

  async ready(): Promise<void> {
    if (this.isReady || (await this.#stream.drained(TOPIC_STALL_MS_MAX))) return;
    throw stalled(this.#topic);
  }

  record(json: string, id: string): void {
    this.#stream.write(eventText(undefined, json, id));
  }

  dropped(records: number, id: string): void {
    this.#stream.write(eventText('dropped', JSON.stringify({ records }), id));
  }

  idle(id: string): void {
    this.#stream.write(`: idle\nid: ${id}\n\n`);
  }
}

export function stalled(topic: string): MillraceError {
  return new MillraceError(
    'ML_HTTP_SLOW',
    `a subscriber of topic ${topic} has taken nothing for ${TOPIC_STALL_MS_MAX / 1000} seconds`,
    { fields: { topic } },
  );
}
