/** A handler for messages of a queue that sends each as a webhook: further attempts and dead letters are the queue's. */
import { createHash } from 'node:crypto';
import { MillraceError } from '../../core/errors.ts';
import { checkOptionNames } from '../../core/option-names.ts';
import { realEnv } from '../../core/real-env.ts';
import { ENDPOINT_OPTIONS, type EndpointOptions, planEndpoint } from './webhook-options.ts';
import { WebhookSender } from './webhook-sender.ts';

/** What is known of a message besides its value. */
export interface WebhookContext {
  /** The same at every attempt: `webhook-id` is made of it. Without one each attempt is a webhook of its own. */
  readonly id: string | undefined;
  readonly signal: AbortSignal;
}

export type WebhookHandler = (value: unknown, context: WebhookContext) => Promise<void>;

/**
 * Sends messages of a queue as webhooks. Text and bytes are the body as they are, all else is JSON. An endpoint that does not answer 2xx is
 * ML_WEBHOOK_FAILED, so that the queue tries again as `retry` says; one that answers 410 is ML_WEBHOOK_DISABLED. Topics are delivered by
 * `millrace.deliver`.
 * @throws {MillraceError} ML_CONFIG_INVALID, ML_WEBHOOK_ADDRESS
 * @example
 * const send = webhook({ to: 'https://mail.example.com/hooks', secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' });
 * await using worker = millrace.queue('emails').work(send, {
 *   concurrency: 8,
 *   retry: { attempts: 10, delay: '5s', maxDelay: '1 hour' },
 * });
 */
export function webhook(options: EndpointOptions): WebhookHandler {
  checkOptionNames('webhook', options, ENDPOINT_OPTIONS);
  const endpoint = planEndpoint(options);
  const env = realEnv();
  const sender = new WebhookSender(env, endpoint);
  return async (value, { id, signal }) => {
    const message = { id: webhookIdOf(id ?? env.random.uuid()), body: bodyOf(value) };
    const outcome = await sender.attempt(message, signal);
    switch (outcome.kind) {
      case 'delivered':
        return;
      case 'failed':
        throw outcome.error;
      case 'gone':
        throw new MillraceError(
          'ML_WEBHOOK_DISABLED',
          `${endpoint.url.host} has answered 410: it wants no more`,
          {
            hint: 'Stop the worker; what the endpoint has not taken is tried again, or a dead letter',
            fields: { address: endpoint.url.host },
          },
        );
      case 'aborted':
        throw new MillraceError('ML_ABORTED', `the request to ${endpoint.url.host} was called off`);
    }
  };
}

/** Without dots, which separate it from the time where it is signed. */
function webhookIdOf(id: string): string {
  if (/^[A-Za-z0-9_-]{1,100}$/.test(id)) return `msg_${id}`;
  return `msg_${createHash('sha256').update(id).digest('hex')}`;
}

function bodyOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  return Buffer.from(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}
