/**
 * Webhooks in: POST /webhooks/:name. What is signed by who should send it, and was not taken before, is appended to a topic; when it is on
 * the disk, the answer is 2xx.
 *
 *     body, bounded → signature over it as it came → id that is new → record { key: id, value: body } → durable → 200
 *
 * Whoever sends one again because the answer was lost is answered that it is there already.
 *
 * Source: Standard Webhooks 1.0.0; "Validating webhook deliveries" of GitHub (X-Hub-Signature-256).
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createHmac } from 'node:crypto';
import { GroupedProducer, type PlacedAt } from '../../client/grouped-producer.ts';
import type { Log, RecordHeader } from '../../client/log.ts';
import {
  WEBHOOK_BODIES_BYTES_MAX,
  WEBHOOK_BODY_BYTES_MAX,
  WEBHOOK_ID_CHARS_MAX,
  WEBHOOK_IDS_MAX,
  WEBHOOK_LOOK_BYTES_MAX,
} from '../../core/direct-limits.ts';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  isSameSecret,
  isSignedWith,
  parseWebhookKey,
  type WebhookKey,
} from '../../core/webhook-signature.ts';
import type { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import { badRequest } from './http-errors.ts';
import { type OnceMark, OnceTable } from './once-table.ts';
import { ByteBudget, wholeBody } from './request-body.ts';
import { WriteOnce } from './write-once.ts';

/** What comes to `/webhooks/<name>`. */
export interface WebhookEndpointOptions {
  /** Where it is written; made when it does not exist. */
  readonly topic: string;
  /**
   * How the sender shows that it is the sender. `standard`: Standard Webhooks, secrets `whsec_…`, or `whpk_…` of Ed25519. `github`: the header
   * `X-Hub-Signature-256`, the secret as it is. `token`: `Authorization: Bearer <secret>`, or the header `X-Webhook-Token`; without a header
   * `webhook-id` nothing is known to be the same. Default `standard`.
   */
  readonly scheme?: 'standard' | 'github' | 'token';
  /** Any of several counts, while one takes the place of another. */
  readonly secret: string | readonly string[];
  /** `standard`: how far the time of the sender may be from this one. Default 300. */
  readonly toleranceSeconds?: number;
}

export type WebhookEndpoints = Readonly<Record<string, WebhookEndpointOptions>>;

export interface TakenWebhook {
  readonly id: string;
  /** It was there already, and is not written again. */
  readonly isKnown: boolean;
}

interface Endpoint {
  readonly name: string;
  readonly topic: string;
  readonly verify: (headers: IncomingHttpHeaders, body: Buffer) => string;
  readonly once: WriteOnce;
}

const TOLERANCE_SECONDS = 300;
/** Which webhook it came to. */
const NAME_HEADER = 'webhook';
/** What comes under the same id is the same: who is believed does not give it to something else. */
const SAME = '';
/** They say what it is, and are kept with it. */
const KEPT_HEADERS: readonly string[] = [
  'content-type',
  'webhook-id',
  'webhook-timestamp',
  'x-github-event',
  'x-github-delivery',
  'user-agent',
];

export class IncomingWebhooks {
  readonly #env: Env;
  readonly #producer: GroupedProducer;
  readonly #budget = new ByteBudget(WEBHOOK_BODIES_BYTES_MAX);
  readonly #endpoints = new Map<string, Endpoint>();

  /** @throws {MillraceError} ML_CONFIG_INVALID */
  constructor(env: Env, log: Log, endpoints: WebhookEndpoints) {
    this.#env = env;
    this.#producer = new GroupedProducer(log);
    for (const [name, options] of Object.entries(endpoints)) {
      if (!/^[A-Za-z0-9._-]{1,100}$/.test(name))
        throw invalid(name, 'has no name of 1 to 100 letters, digits, dots, hyphens, underscores');
      this.#endpoints.set(name, {
        name,
        topic: options.topic,
        verify: verifierOf(env, name, options),
        once: new WriteOnce({
          log,
          producer: this.#producer,
          topic: options.topic,
          table: new OnceTable({ recordsMax: WEBHOOK_IDS_MAX, windowMs: Infinity }),
          scope: '',
          markOf: (record) => markOf(record, name),
          lookBytesMax: WEBHOOK_LOOK_BYTES_MAX,
        }),
      });
    }
  }

  /** @throws {MillraceError} ML_HTTP_REQUEST (404, 413, …), ML_WEBHOOK_UNVERIFIED, ML_HTTP_BUSY; ML_DISK_FULL and what else the log says */
  async take(name: string, incoming: IncomingMessage): Promise<TakenWebhook> {
    const endpoint = this.#endpoints.get(name);
    if (endpoint === undefined)
      throw badRequest(404, `no webhook ${name.slice(0, 100)} is taken here`, 'Configure it first');
    const body = await wholeBody(incoming, this.#env, {
      budget: this.#budget,
      bytesMax: WEBHOOK_BODY_BYTES_MAX,
      hint: 'Send less at a time',
    });
    try {
      const id = endpoint.verify(incoming.headers, body);
      const isKnown = await this.#writeOnce(endpoint, id, body, incoming.headers);
      return { id, isKnown };
    } finally {
      this.#budget.give(body.length);
    }
  }

  async close(): Promise<void> {
    await this.#producer.close();
  }

  async #writeOnce(
    { name, topic, once }: Endpoint,
    id: string,
    body: Buffer,
    headers: IncomingHttpHeaders,
  ): Promise<boolean> {
    const kept: RecordHeader[] = [{ key: NAME_HEADER, value: name }];
    for (const header of KEPT_HEADERS) {
      const value = headers[header];
      if (typeof value === 'string') kept.push({ key: header, value });
    }
    const append = async ([mark]: readonly OnceMark[]): Promise<readonly PlacedAt[]> => {
      const partition = this.#producer.partitionFor(id, await this.#partitionsOf(topic));
      const timestamp = mark?.atMs ?? this.#env.clock.nowMs();
      return this.#producer.append(topic, [
        { partition, timestamp, key: id, value: body, headers: kept },
      ]);
    };
    return (await once.write({ id, fingerprint: SAME, count: 1, append })).isKnown;
  }

  #partitionsOf(topic: string): Promise<number> {
    return this.#producer.partitionsOf({ name: topic, partitions: undefined, configs: {} });
  }
}

/** Another sender may have the same topic, and the same ids. */
function markOf(record: RecordReader, name: string): OnceMark | undefined {
  const { data, headerCount, keyStart, keyEnd, timestamp } = record;
  if (headerCount === 0 || keyStart < 0) return undefined;
  const isOwn = record
    .headers()
    .some(({ key, value }) => key === NAME_HEADER && String(value) === name);
  if (!isOwn) return undefined;
  const id = data.toString('utf8', keyStart, keyEnd);
  return { id, fingerprint: SAME, index: 0, count: 1, atMs: timestamp };
}

/** What looks at the signature, and finds the id. */
function verifierOf(env: Env, name: string, options: WebhookEndpointOptions): Endpoint['verify'] {
  const { secret, scheme = 'standard', toleranceSeconds = TOLERANCE_SECONDS } = options;
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (secrets.length === 0 || secrets.includes('')) throw invalid(name, 'has no secret');
  switch (scheme) {
    case 'standard': {
      if (!Number.isFinite(toleranceSeconds) || toleranceSeconds < 1)
        throw invalid(name, 'has toleranceSeconds below 1');
      const keys = secrets.map(parseWebhookKey);
      if (keys.some(({ kind }) => kind === 'private'))
        throw invalid(name, 'has a private key (whsk_): what verifies is the public one (whpk_)');
      return (headers, body) =>
        verifyStandard({ env, name, keys, toleranceSeconds }, headers, body);
    }
    case 'github':
      return (headers, body) => verifyGithub(name, secrets, headers, body);
    case 'token':
      return (headers) => verifyToken(env, name, secrets, headers);
    default:
      throw invalid(name, 'has a scheme that is none of standard, github and token');
  }
}

interface Standard {
  readonly env: Env;
  readonly name: string;
  readonly keys: readonly WebhookKey[];
  readonly toleranceSeconds: number;
}

function verifyStandard(
  { env, name, keys, toleranceSeconds }: Standard,
  headers: IncomingHttpHeaders,
  body: Buffer,
): string {
  const id = idOf(name, headers['webhook-id']);
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (typeof timestamp !== 'string' || typeof signatures !== 'string')
    throw unverified(name, 'has no webhook-timestamp, or no webhook-signature');
  const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : Number.NaN;
  const apart = Math.abs(env.clock.nowMs() / 1000 - seconds);
  if (!(apart <= toleranceSeconds))
    throw unverified(name, `was signed more than ${toleranceSeconds} seconds from now`);
  if (isSignedWith(keys, { id, timestamp, body }, signatures)) return id;
  throw unverified(name, 'is not signed with the secret that both have');
}

function verifyGithub(
  name: string,
  secrets: readonly string[],
  headers: IncomingHttpHeaders,
  body: Buffer,
): string {
  const given = headers['x-hub-signature-256'];
  const isSigned = secrets.some((secret) => {
    const digest = createHmac('sha256', secret).update(body).digest('hex');
    return typeof given === 'string' && isSameSecret(given, `sha256=${digest}`);
  });
  if (isSigned) return idOf(name, headers['x-github-delivery']);
  throw unverified(name, 'is not signed with the secret that both have, in x-hub-signature-256');
}

function verifyToken(
  env: Env,
  name: string,
  secrets: readonly string[],
  headers: IncomingHttpHeaders,
): string {
  const token = headers['x-webhook-token'];
  const given =
    typeof token === 'string' ? token : headers.authorization?.replace(/^Bearer +/i, '');
  if (given === undefined || !secrets.some((secret) => isSameSecret(secret, given)))
    throw unverified(name, 'has no token that is known');
  const id = headers['webhook-id'];
  // Without an id each is another one: two that are equal may both be meant.
  return id === undefined ? env.random.uuid() : idOf(name, id);
}

function idOf(name: string, id: string | readonly string[] | undefined): string {
  if (typeof id === 'string' && id !== '' && id.length <= WEBHOOK_ID_CHARS_MAX) return id;
  throw unverified(name, `has no id of 1 to ${WEBHOOK_ID_CHARS_MAX} characters`);
}

function unverified(name: string, why: string): MillraceError {
  return new MillraceError('ML_WEBHOOK_UNVERIFIED', `what came to webhook ${name} ${why}`, {
    fields: { webhook: name },
  });
}

function invalid(name: string, why: string): MillraceError {
  return new MillraceError('ML_CONFIG_INVALID', `webhook ${name.slice(0, 100)} ${why}`, {
    hint: 'docs/how-to/webhooks.md shows how they are configured',
  });
}
