/** What can be asked of topics over HTTP: see `routes.ts`. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { GroupedProducer } from '../../client/grouped-producer.ts';
import type { Log } from '../../client/log.ts';
import type { Env } from '../../core/env.ts';
import { type Ask, goneSignal, topicParameters } from './ask.ts';
import { badRequest, jsonResponse } from './http-errors.ts';
import { refuseForeign } from './origin.ts';
import { PRODUCE_PARAMETERS, ProduceRequests } from './produce.ts';
import { type Encodings, encodingOf } from './record-encoding.ts';
import type { RequestParameters } from './request-parameters.ts';
import type { Slots } from './slots.ts';
import { serveTopicEvents } from './topic-events.ts';
import { policyOf } from './topic-policy.ts';
import { startOf } from './topic-position.ts';

export interface TopicRoutesOptions {
  readonly env: Env;
  readonly slots: Slots;
  /** Fires when the server closes. */
  readonly closing: AbortSignal;
  /** Pages of these may write, too. */
  readonly origins: readonly string[];
}

const EVENT_PARAMETERS = ['from', 'slow', 'buffer', 'keys', 'values'];

export class TopicRoutes {
  readonly #options: TopicRoutesOptions;
  #served: { readonly log: Log; readonly producer: GroupedProducer } | undefined;
  #produce: ProduceRequests | undefined;

  constructor(options: TopicRoutesOptions) {
    this.#options = options;
  }

  /** From now on. */
  serve(log: Log): void {
    const producer = new GroupedProducer(log);
    this.#served = { log, producer };
    this.#produce = new ProduceRequests(this.#options.env, log, producer);
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#served?.producer.close();
  }

  /** @throws {MillraceError} ML_HTTP_REQUEST (404) */
  get log(): Log {
    return this.#parts().log;
  }

  /** @throws {MillraceError} ML_HTTP_REQUEST (404) */
  get producing(): ProduceRequests {
    if (this.#produce === undefined) throw notServed();
    return this.#produce;
  }

  async list(ask: Ask): Promise<Response> {
    topicParameters(ask, []);
    const topics = await this.log.topics();
    return jsonResponse({
      topics: [...topics.values()]
        .map(({ name, partitions }) => ({ name, partitions }))
        .toSorted((left, right) => (left.name < right.name ? -1 : 1)),
    });
  }

  async produce(ask: Ask): Promise<Response> {
    const { incoming } = ask.env;
    refuseForeign(incoming.headers, this.#options.origins);
    const parameters = topicParameters(ask, PRODUCE_PARAMETERS);
    const topic = topicOf(ask);
    const { records, offsets, next, isKnown } = await this.producing.take(
      topic,
      incoming,
      parameters,
      encodingsOf(parameters),
    );
    const places = offsets?.map(({ partition, offset }) => ({ partition, offset }));
    const response = jsonResponse({
      topic,
      records,
      next,
      ...(places === undefined ? {} : { offsets: places }),
    });
    if (isKnown) response.headers.set('idempotent-replayed', 'true');
    return response;
  }

  /** One of few requests that stay. */
  async events(ask: Ask): Promise<Response> {
    const { env, slots, closing, origins } = this.#options;
    // A page that may not read them is not to take the place of somebody who may.
    refuseForeign(ask.env.incoming.headers, origins);
    const parameters = topicParameters(ask, EVENT_PARAMETERS);
    if (ask.env.incoming.method !== 'GET')
      throw badRequest(405, 'a subscription is a GET', 'Use GET');
    const topic = topicOf(ask);
    const { log } = this.#parts();
    const policy = policyOf(parameters.text('slow'), parameters.integer('buffer'));
    const encodings = encodingsOf(parameters);
    const release = slots.take();
    const signal = AbortSignal.any([closing, goneSignal(ask)]);
    try {
      const start = await startOf(log, topic, {
        from: parameters.text('from'),
        last: ask.req.header('last-event-id') || undefined,
      });
      await serveTopicEvents({
        env,
        log,
        topic,
        start,
        ...policy,
        encodings,
        response: ask.env.outgoing,
        signal,
      });
    } finally {
      release();
    }
    return RESPONSE_ALREADY_SENT;
  }

  #parts(): { readonly log: Log; readonly producer: GroupedProducer } {
    if (this.#served === undefined) throw notServed();
    return this.#served;
  }
}

/** Internal topics are the broker's own. @throws {MillraceError} ML_HTTP_REQUEST */
export function checkTopic(name: string): string {
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(name) || name === '.' || name === '..')
    throw badRequest(
      400,
      `'${name.slice(0, 100)}' is no name of a topic`,
      'It has 1 to 249 of the characters a-z A-Z 0-9 . _ -',
    );
  if (name.startsWith('__'))
    throw badRequest(403, `topic ${name} is the broker's own`, 'Choose another topic');
  return name;
}

function topicOf(ask: Ask): string {
  return checkTopic(ask.req.param('topic') ?? '');
}

function encodingsOf(parameters: RequestParameters): Encodings {
  return {
    key: encodingOf('keys', parameters.text('keys') ?? 'text'),
    value: encodingOf('values', parameters.text('values') ?? 'json'),
  };
}

function notServed(): Error {
  return badRequest(
    404,
    'no topics are served here',
    'Start it with a log: see docs/reference/http.md',
  );
}
