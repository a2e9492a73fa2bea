/**
 * What can be asked over HTTP.
 *
 *   GET /topics                                    what there is
 *   POST /topics/:topic/records                    writes records
 *   GET /topics/:topic/events                      records as they come, as Server-Sent Events
 *   GET /topics/:topic/socket                      both, as a WebSocket
 *   POST /webhooks/:name                           for those who send webhooks
 *   GET /flows                                     the flows of this process
 *   GET /flows/:flow                               how far it is, and who runs what
 *   GET /flows/:flow/views                         what can be asked
 *   GET /flows/:flow/views/:view                   rows in the order of their keys; with ?key= those of a key
 *   GET /flows/:flow/views/:view/changes           a snapshot and what changes, as Server-Sent Events
 *   GET /flows/:flow/views/:view/:key              the row of a key that is text
 *   POST /flows/:flow/tasks/:task                  for other processes of the flow
 */
import type { IncomingMessage } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  HTTP_URL_CHARS_MAX,
  VIEW_QUESTION_BYTES_MAX,
  VIEW_QUESTIONS_BYTES_MAX,
  VIEW_ROWS_MAX,
} from '../../core/http-limits.ts';
import { isLoopback } from '../../core/open-bind.ts';
import { errorToMessage } from '../../engine/batch/workers/messages.ts';
import type { FlowViews, ViewAnswer } from '../../engine/stream/views/flow-views.ts';
import { decodeQuestion, encodeTaskAnswer } from '../../engine/stream/views/http-peers.ts';
import { flowToJson, viewToJson } from './flow-json.ts';
import { type Ask, type Bindings, goneSignal, parametersOf } from './ask.ts';
import {
  badRequest,
  errorResponse,
  errorToJson,
  jsonHeaders,
  jsonResponse,
  statusOf,
} from './http-errors.ts';
import type { IncomingWebhooks } from './incoming-webhooks.ts';
import { allowOrigin, preflightHeaders } from './origin.ts';
import { announcedBytes, ByteBudget, wholeBody } from './request-body.ts';
import { checkKeyText, type RequestParameters } from './request-parameters.ts';
import type { Slots } from './slots.ts';
import { serveSubscription } from './subscription.ts';
import type { TopicRoutes } from './topic-routes.ts';
import { asOfToJson, rowToJson } from './view-json.ts';

export interface RoutesOptions {
  readonly env: Env;
  /** By name; may change. */
  readonly flows: ReadonlyMap<string, FlowViews>;
  readonly topics: TopicRoutes;
  readonly slots: Slots;
  /** undefined: none are taken. */
  readonly webhooks: () => IncomingWebhooks | undefined;
  /** Of pages that may ask, besides those of this server. */
  readonly origins: readonly string[];
  /** Only this machine reaches it: then only names of this machine are answered to. */
  readonly isLocal: boolean;
  /** Fires when the server closes. */
  readonly closing: AbortSignal;
}

const KEY_PARAMETERS = ['keys', 'start', 'at'];
const RANGE_PARAMETERS = ['keys', 'key', 'from', 'to', 'prefix', 'limit', 'cursor', 'start', 'at'];
const CHANGES_PARAMETERS = ['keys', 'key', 'from', 'to', 'prefix', 'after'];

export function createRoutes(options: RoutesOptions): Hono<Bindings> {
  const routes = new ViewRoutes(options);
  const app = new Hono<Bindings>({ strict: false });
  // Before anybody is asked where he comes from: by any name that leads here, and with a signature.
  app.post('/webhooks/:name', (ask) => takeWebhook(ask, options.webhooks()));
  app.use(async (ask, next) => {
    checkAddressed(ask.env.incoming, options.isLocal);
    allowOrigin(ask.env.incoming.headers, ask.env.outgoing, options.origins);
    await next();
  });
  app.options('/topics/*', () => new Response(null, { status: 204, headers: preflightHeaders() }));
  app.post('/topics/:topic/records', (ask) => options.topics.produce(ask));
  app.post('/flows/:flow/tasks/:task', (ask) => routes.task(ask));
  app.use(async (ask, next) => {
    checkRead(ask);
    await next();
  });
  app.get('/topics', (ask) => options.topics.list(ask));
  app.get('/topics/:topic/events', (ask) => options.topics.events(ask));
  app.get('/topics/:topic/socket', () =>
    errorResponse(badRequest(426, 'this is a WebSocket', 'Open it with ws://, or use …/events')),
  );
  app.get('/flows', () => routes.flows());
  app.get('/flows/:flow', (ask) => routes.flow(ask));
  app.get('/flows/:flow/views', (ask) => routes.views(ask));
  app.get('/flows/:flow/views/:view', (ask) => routes.range(ask));
  app.get('/flows/:flow/views/:view/changes', (ask) => routes.changes(ask));
  app.get('/flows/:flow/views/:view/:key', (ask) => routes.row(ask));
  app.notFound(() =>
    errorResponse(
      badRequest(404, 'nothing is served at this path', 'Begin with GET /flows, or GET /topics'),
    ),
  );
  app.onError((error) => errorResponse(error));
  return app;
}

async function takeWebhook(ask: Ask, webhooks: IncomingWebhooks | undefined): Promise<Response> {
  if (webhooks === undefined)
    throw badRequest(404, 'no webhooks are taken here', 'Configure them: docs/how-to/webhooks.md');
  const { id, isKnown } = await webhooks.take(ask.req.param('name') ?? '', ask.env.incoming);
  return jsonResponse({ id, known: isKnown });
}

/** @throws {MillraceError} ML_HTTP_REQUEST */
export function checkAddressed(incoming: IncomingMessage, isLocal: boolean): void {
  if ((incoming.url?.length ?? 0) > HTTP_URL_CHARS_MAX)
    throw badRequest(
      414,
      `path and query have more than ${HTTP_URL_CHARS_MAX} characters`,
      'Ask for less at a time',
    );
  // A page of another site can lead a name of its own to this machine: it would be allowed to read the answers.
  const host = hostOf(incoming.headers.host);
  if (isLocal && !isLoopback(host))
    throw badRequest(
      421,
      `this serves localhost, not ${host.slice(0, 100)}`,
      'Ask 127.0.0.1 or localhost',
    );
}

/** @throws {MillraceError} ML_HTTP_REQUEST */
function checkRead({ env: { incoming } }: Ask): void {
  if (incoming.method !== 'GET' && incoming.method !== 'HEAD')
    throw badRequest(405, `${incoming.method ?? ''} is not served: views are only read`, 'Use GET');
  if (announcedBytes(incoming) !== 0)
    throw badRequest(413, 'no request has a body here', 'Leave it out');
}

function hostOf(header: string | undefined): string {
  return (header ?? '').replace(/:\d*$/, '');
}

class ViewRoutes {
  readonly #options: RoutesOptions;
  readonly #questions = new ByteBudget(VIEW_QUESTIONS_BYTES_MAX);

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  flows(): Response {
    return jsonResponse({ flows: [...this.#options.flows.keys()] });
  }

  flow(ask: Ask): Response {
    parametersOf(ask, []);
    return jsonResponse(flowToJson(this.#flow(ask)));
  }

  views(ask: Ask): Response {
    parametersOf(ask, []);
    return jsonResponse({ views: this.#flow(ask).list().map(viewToJson) });
  }

  async row(ask: Ask): Promise<Response> {
    const parameters = parametersOf(ask, KEY_PARAMETERS);
    const key = ask.req.param('key') ?? '';
    checkKeyText('the key', key);
    return this.#row(ask, key, parameters);
  }

  async range(ask: Ask): Promise<Response> {
    const parameters = parametersOf(ask, RANGE_PARAMETERS);
    if (parameters.has('key')) {
      for (const name of ['from', 'to', 'prefix', 'limit', 'cursor'])
        if (parameters.has(name))
          throw new MillraceError(
            'ML_VIEW_REQUEST',
            `key says which rows are wanted, and so does ${name}`,
          );
      return this.#row(ask, parameters.key('key'), parameters);
    }
    for (const name of ['start', 'at'])
      if (parameters.has(name))
        throw new MillraceError('ML_VIEW_REQUEST', `${name} is for one key: name it with key`);
    const { rows, cursor, asOf } = await this.#flow(ask).range(viewOf(ask), {
      ...parameters.selection(),
      limit: parameters.count('limit', VIEW_ROWS_MAX),
      cursor: parameters.text('cursor'),
      signal: goneSignal(ask),
    });
    return jsonResponse({
      rows: rows.map(rowToJson),
      cursor: cursor ?? null,
      asOf: asOfToJson(asOf),
    });
  }

  /** One of few requests that stay: no more of them than a process can serve. */
  async changes(ask: Ask): Promise<Response> {
    const parameters = parametersOf(ask, CHANGES_PARAMETERS);
    if (ask.env.incoming.method !== 'GET')
      throw badRequest(405, 'a subscription is a GET', 'Use GET');
    const { env, closing, slots } = this.#options;
    const release = slots.take();
    try {
      const signal = AbortSignal.any([closing, goneSignal(ask)]);
      const events = this.#flow(ask).changes(viewOf(ask), {
        ...parameters.selection(),
        after: lastEventId(ask, parameters),
        signal,
      });
      await serveSubscription({ env, response: ask.env.outgoing, events, signal });
    } finally {
      release();
    }
    return RESPONSE_ALREADY_SENT;
  }

  /** Answers another process: only for tasks of this one, whatever the assignment says. */
  async task(ask: Ask): Promise<Response> {
    try {
      const parameters = parametersOf(ask, ['layout']);
      const [, stage, partition] =
        /^(-?\d{1,6})-(\d{1,6})$/.exec(ask.req.param('task') ?? '') ?? [];
      const question = decodeQuestion(await this.#question(ask));
      if (stage === undefined || question === undefined)
        throw badRequest(
          400,
          'this is for other processes of the flow',
          'Ask a view: GET /flows/<flow>/views',
        );
      const task = { stage: Number(stage), partition: Number(partition) };
      const answer = await this.#flow(ask).answer(parameters.text('layout') ?? '', task, question);
      return new Response(encodeTaskAnswer(answer), {
        headers: { ...jsonHeaders(200), 'content-type': 'application/octet-stream' },
      });
    } catch (error) {
      const message = { ...errorToMessage(error), stack: '', cause: null };
      return new Response(JSON.stringify({ ...errorToJson(error), message }), {
        status: statusOf(error),
        headers: jsonHeaders(statusOf(error)),
      });
    }
  }

  async #question(ask: Ask): Promise<Buffer> {
    const body = await wholeBody(ask.env.incoming, this.#options.env, {
      budget: this.#questions,
      bytesMax: VIEW_QUESTION_BYTES_MAX,
      hint: 'Ask a view: GET /flows/<flow>/views',
    });
    this.#questions.give(body.length);
    return body;
  }

  async #row(ask: Ask, key: unknown, parameters: RequestParameters): Promise<Response> {
    const views = this.#flow(ask);
    const view = viewOf(ask);
    const start = parameters.time('start');
    const answer = await views.get(view, key, {
      start,
      at: parameters.time('at'),
      signal: goneSignal(ask),
    });
    const { kind } = views.info(view);
    const isSeveral = start === undefined && (kind === 'window' || kind === 'session');
    return isSeveral ? rowsResponse(answer) : rowResponse(answer);
  }

  /** @throws {MillraceError} ML_VIEW_UNKNOWN */
  #flow(ask: Ask): FlowViews {
    const { flows } = this.#options;
    const name = ask.req.param('flow') ?? '';
    const views = flows.get(name);
    if (views !== undefined) return views;
    const names = [...flows.keys()].join(', ');
    throw new MillraceError('ML_VIEW_UNKNOWN', `no flow '${name}' runs in this process`, {
      hint: names === '' ? 'None runs here yet' : `Here runs ${names}`,
      fields: { flow: name },
    });
  }
}

function rowResponse({ rows, asOf }: ViewAnswer): Response {
  const [row] = rows;
  if (row !== undefined) return jsonResponse({ ...rowToJson(row), asOf: asOfToJson(asOf) });
  return jsonResponse({ ...NOT_THERE, asOf: asOfToJson(asOf) }, 404);
}

/** All windows of a key. */
function rowsResponse({ rows, asOf }: ViewAnswer): Response {
  if (rows.length > 0) return jsonResponse({ rows: rows.map(rowToJson), asOf: asOfToJson(asOf) });
  return jsonResponse({ ...NOT_THERE, asOf: asOfToJson(asOf) }, 404);
}

/** That a key is not there is an answer, no mistake: it has no code. */
const NOT_THERE = {
  error: {
    code: null,
    message: 'the key is not there',
    hint: 'Keys that are no text are asked with ?keys=json&key=<JSON>',
    retriable: false,
  },
};

function viewOf(ask: Ask): string {
  return ask.req.param('view') ?? '';
}

/** Who asks has the word: a browser sends the header by itself when it comes back. */
function lastEventId(ask: Ask, parameters: RequestParameters): string | undefined {
  const id = ask.req.header('last-event-id') ?? parameters.text('after');
  return id === '' ? undefined : id;
}
