/**
 * One attempt at one endpoint: signed, sent, and what came of it.
 *
 * Source: Standard Webhooks 1.0.0; RFC 9110 §10.2.3 (Retry-After).
 */
import { WEBHOOK_RETRY_AFTER_MS_MAX } from '../../core/direct-limits.ts';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Address, PostAnswer, Poster } from '../../core/webhook-post.ts';
import { webhookSignature } from '../../core/webhook-signature.ts';
import type { Endpoint } from './webhook-options.ts';

export interface Message {
  /** The same in each attempt: by it the other side knows that it has it already. Without dots. */
  readonly id: string;
  readonly body: Uint8Array;
}

export type Outcome =
  | { readonly kind: 'delivered' }
  /** 410: never again. */
  | { readonly kind: 'gone' }
  /** @param afterMs the endpoint has said to wait so long */
  | { readonly kind: 'failed'; readonly error: MillraceError; readonly afterMs: number }
  | { readonly kind: 'aborted' };

const ERROR_CHARS = 200;

export class WebhookSender {
  readonly #env: Pick<Env, 'clock' | 'timers'>;
  readonly #endpoint: Endpoint;
  readonly #resolve: ((host: string) => Promise<readonly Address[]>) | undefined;
  /** Loaded with the first attempt: programs that send nothing need no TLS. */
  #poster: Promise<Poster> | undefined;

  /** @param resolve looks up names; default: as the system does */
  constructor(
    env: Pick<Env, 'clock' | 'timers'>,
    endpoint: Endpoint,
    resolve?: (host: string) => Promise<readonly Address[]>,
  ) {
    this.#env = env;
    this.#endpoint = endpoint;
    this.#resolve = resolve;
  }

  /** Never rejects. */
  async attempt({ id, body }: Message, signal: AbortSignal): Promise<Outcome> {
    const { url, keys, headers, timeoutMs } = this.#endpoint;
    const timestamp = String(Math.floor(this.#env.clock.nowMs() / 1000));
    try {
      this.#poster ??= this.#open();
      const poster = await this.#poster;
      const answer = await poster.post({
        url,
        body,
        timeoutMs,
        signal,
        headers: {
          ...headers,
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': webhookSignature(keys, { id, timestamp, body }),
        },
      });
      return this.#outcomeOf(answer);
    } catch (error) {
      if (signal.aborted) return { kind: 'aborted' };
      return { kind: 'failed', error: failure(error), afterMs: 0 };
    }
  }

  async close(): Promise<void> {
    (await this.#poster)?.close();
  }

  async #open(): Promise<Poster> {
    const { Poster: Opened } = await import('../../core/webhook-post.ts');
    const { allowPrivate, concurrency } = this.#endpoint;
    const { timers } = this.#env;
    const resolve = this.#resolve;
    return new Opened({ timers, allowPrivate, connectionsMax: concurrency, resolve });
  }

  #outcomeOf({ status, retryAfter, text }: PostAnswer): Outcome {
    if (status >= 200 && status < 300) return { kind: 'delivered' };
    if (status === 410) return { kind: 'gone' };
    const { host } = this.#endpoint.url;
    const said = text.trim().slice(0, ERROR_CHARS);
    const isElsewhere = status >= 300 && status < 400;
    const error = new MillraceError(
      'ML_WEBHOOK_FAILED',
      `${host} has answered ${status}${isElsewhere ? ', which leads elsewhere and is not followed' : ''}${said === '' ? '' : `: ${said}`}`,
      { fields: { status, address: host } },
    );
    return { kind: 'failed', error, afterMs: retryAfterMs(retryAfter, this.#env.clock.nowMs()) };
  }
}

/** 0 for what nobody understands. */
export function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0;
  const isSeconds = /^\d{1,9}$/.test(header);
  const ms = isSeconds ? Number(header) * 1000 : httpDate(header) - nowMs;
  return ms > 0 ? Math.min(ms, WEBHOOK_RETRY_AFTER_MS_MAX) : 0;
}

function httpDate(text: string): number {
  return /^[A-Z][a-z]{2,8},? .* GMT$/.test(text) ? Date.parse(text) : Number.NaN;
}

function failure(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new MillraceError('ML_WEBHOOK_FAILED', reason, { cause: error });
}
