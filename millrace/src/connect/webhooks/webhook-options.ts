/** What a delivery of webhooks is, as a program says it, and checked. */
import {
  WEBHOOK_CONCURRENCY,
  WEBHOOK_CONCURRENCY_MAX,
  WEBHOOK_TIMEOUT_MS,
  WEBHOOK_TIMEOUT_MS_MAX,
} from '../../core/direct-limits.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkOptionNames, type OptionNames } from '../../core/option-names.ts';
import { checkPostUrl } from '../../core/webhook-url.ts';
import { parseWebhookKey, type WebhookKey } from '../../core/webhook-signature.ts';
import { type Duration, DURATION_FORMS, millisecondsOf } from '../../flow/durations.ts';

/** Where webhooks are sent, and how they are signed. */
export interface EndpointOptions {
  /** https; at a public address, unless `allowPrivate`. */
  readonly to: string;
  /**
   * Signs: `whsec_` and base64 of 24 to 64 bytes, HMAC-SHA256; or `whsk_`, a private key of Ed25519. Several sign side by side, while the
   * other side changes from one to the next.
   */
  readonly secret: string | readonly string[];
  /** Of the request, besides those of Standard Webhooks. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Endpoints in this machine and its network, and plain http, are allowed. Default false. */
  readonly allowPrivate?: boolean;
  /** An attempt that takes longer has failed: 1 millisecond to 5 minutes. Default 20 seconds. */
  readonly timeout?: Duration;
  /** Attempts at a time: 1 to 256. Default 8. */
  readonly concurrency?: number;
}

export interface DeliverOptions extends EndpointOptions {
  /**
   * Of the delivery: 1 to 100 letters, digits, `-`, `_`. Where it stands, and what waits for another attempt, is kept under it: another URL
   * under the same name goes on where the last one was. Processes with the same name share the work.
   */
  readonly name: string;
  /** Where the first start begins. Default `latest`: with what comes from then on. */
  readonly from?: 'latest' | 'beginning';
  /**
   * Waits before further attempts, each with up to a fifth on top, by chance. Default: 5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and
   * 24 hours, as Standard Webhooks has it: ten attempts in three days. `Retry-After` of the endpoint counts when it is longer, up to a day.
   */
  readonly retry?: readonly Duration[];
  /** A topic for what was given up, with the error in headers; false: it is dropped. Default `webhook.<name>.dead`. */
  readonly deadLetters?: string | false;
  /** `key`: of a key the next record goes out when the one before was taken, or given up. Default: no order is promised. */
  readonly order?: 'key';
  /**
   * Makes the body an event of Standard Webhooks: `{ type, timestamp, data }`, with the value of the record as `data`. Default: the body is the
   * value, as it is.
   */
  readonly type?: string;
  /** An endpoint that has answered 410 is asked again. Default false. */
  readonly enable?: boolean;
}

export interface Endpoint {
  readonly url: URL;
  readonly keys: readonly WebhookKey[];
  readonly headers: Readonly<Record<string, string>>;
  readonly allowPrivate: boolean;
  readonly timeoutMs: number;
  readonly concurrency: number;
}

export interface DeliveryPlan {
  readonly name: string;
  readonly group: string;
  readonly retriesTopic: string;
  readonly deadTopic: string | undefined;
  readonly endpoint: Endpoint;
  readonly from: 'latest' | 'beginning';
  readonly delaysMs: readonly number[];
  readonly isOrdered: boolean;
  readonly type: string | undefined;
  readonly enable: boolean;
}

export const ENDPOINT_OPTIONS: OptionNames<EndpointOptions> = {
  to: true,
  secret: true,
  headers: true,
  contentType: true,
  allowPrivate: true,
  timeout: true,
  concurrency: true,
};
const DELIVER_OPTIONS: OptionNames<DeliverOptions> = {
  ...ENDPOINT_OPTIONS,
  name: true,
  from: true,
  retry: true,
  deadLetters: true,
  order: true,
  type: true,
  enable: true,
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Standard Webhooks 1.0.0, "Retries". */
const DELAYS_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];
const ATTEMPTS_MAX = 100;
const OWN_HEADER =
  /^(?:webhook-.*|content-length|content-type|host|transfer-encoding|connection)$/i;

/** @throws {MillraceError} ML_CONFIG_INVALID, ML_WEBHOOK_ADDRESS */
export function planDelivery(options: DeliverOptions): DeliveryPlan {
  checkOptionNames('a delivery of webhooks', options, DELIVER_OPTIONS);
  const { name, deadLetters = `webhook.${name}.dead`, retry, order, type } = options;
  const { from = 'latest', enable = false } = options;
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,100}$/.test(name))
    throw invalid('name', 'has 1 to 100 letters, digits, hyphens or underscores');
  if (retry !== undefined && retry.length > ATTEMPTS_MAX)
    throw invalid('retry', `has at most ${ATTEMPTS_MAX} waits`);
  if (from !== 'latest' && from !== 'beginning')
    throw invalid('from', "is 'latest' or 'beginning'");
  if (order !== undefined && order !== 'key') throw invalid('order', "is 'key'");
  return {
    name,
    group: `webhook.${name}`,
    retriesTopic: `webhook.${name}.retries`,
    deadTopic: deadLetters === false ? undefined : deadLetters,
    endpoint: planEndpoint(options),
    from,
    delaysMs: retry?.map((each) => msOf('retry', each)) ?? DELAYS_MS,
    isOrdered: order === 'key',
    type,
    enable,
  };
}

/** @throws {MillraceError} ML_CONFIG_INVALID, ML_WEBHOOK_ADDRESS */
export function planEndpoint(options: EndpointOptions): Endpoint {
  const { to, secret, headers = {}, allowPrivate = false } = options;
  const { contentType = 'application/json', concurrency = WEBHOOK_CONCURRENCY } = options;
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (secrets.length === 0) throw invalid('secret', 'is one, or several');
  const keys = secrets.map(parseWebhookKey);
  if (keys.some(({ kind }) => kind === 'public'))
    throw invalid('secret', 'is a public key (whpk_), which signs nothing');
  for (const header of Object.keys(headers))
    if (OWN_HEADER.test(header)) throw invalid('headers', `has ${header}, which is not yours`);
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > WEBHOOK_CONCURRENCY_MAX)
    throw invalid('concurrency', `is a number from 1 to ${WEBHOOK_CONCURRENCY_MAX}`);
  const timeoutMs =
    options.timeout === undefined ? WEBHOOK_TIMEOUT_MS : msOf('timeout', options.timeout);
  if (timeoutMs < 1 || timeoutMs > WEBHOOK_TIMEOUT_MS_MAX)
    throw invalid('timeout', `is 1 to ${WEBHOOK_TIMEOUT_MS_MAX} ms`);
  return {
    url: checkPostUrl(to, allowPrivate),
    keys,
    headers: { ...headers, 'content-type': contentType, 'user-agent': 'millrace-webhooks' },
    allowPrivate,
    timeoutMs,
    concurrency,
  };
}

function msOf(what: string, given: Duration): number {
  const ms = millisecondsOf(given);
  if (ms !== undefined) return ms;
  throw invalid(what, `has ${String(given)}: write ${DURATION_FORMS}`);
}

function invalid(what: string, why: string): MillraceError {
  return new MillraceError('ML_CONFIG_INVALID', `${what} of a delivery of webhooks ${why}`, {
    hint: 'Correct the option; docs/how-to/webhooks.md shows all of them',
  });
}
