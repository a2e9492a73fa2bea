/**
 * Sends the mails of a queue: some at a time, again after a while where that fails, and what cannot be sent is kept to be looked at.
 *
 *     node examples/email-worker.ts 127.0.0.1:5672     until it is interrupted
 */
import {
  connectMillrace,
  DoNotRetry,
  type Millrace,
  type QueueWorker,
  type RetryOptions,
} from 'millrace';
import { type Email, emails } from './order-emails.ts';

export type Send = (email: Email, signal: AbortSignal) => Promise<void>;

const RETRY: RetryOptions = { attempts: 6, delay: '2s', maxDelay: '10 minutes' };

export function sendMails(millrace: Millrace, send: Send, retry = RETRY): QueueWorker {
  return millrace.queue(emails).work(
    async (email, { signal }) => {
      if (email.to === '') throw new DoNotRetry('nobody to send it to');
      await send(email, signal);
    },
    {
      concurrency: 8,
      timeout: '30s',
      retry,
      onFailure: ({ error, attempt, outcome, value }) => {
        process.stderr.write(`${value?.to}: ${String(error)} (attempt ${attempt}: ${outcome})\n`);
      },
    },
  );
}

/** When what was wrong is mended: the dead letters, and back with them. */
export async function sendAgain(millrace: Millrace): Promise<readonly string[]> {
  const { dead } = millrace.queue(emails);
  const letters = await dead.list();
  await dead.redrive();
  return letters.map(({ value, reason }) => `${value?.to ?? '?'}: ${reason}`);
}

if (import.meta.main) {
  const [amqp = '127.0.0.1:5672'] = process.argv.slice(2);
  await using millrace = await connectMillrace({ amqp });
  await using worker = sendMails(millrace, async ({ to, text }) => {
    process.stdout.write(`to ${to}: ${text}\n`);
  });
  process.once('SIGINT', () => void worker.stop());
  await worker.done;
}
