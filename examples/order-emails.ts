/**
 * A mail for each order, exactly once: the flow puts it into a queue within its transaction, and `email-worker.ts` sends what is there.
 *
 *     node examples/feed.ts orders | millrace produce orders --json
 *     millrace run examples/order-emails.ts --brokers 127.0.0.1:9092
 */
import { flow, json, queue } from 'millrace';
import { orders } from './enriched-orders.ts';

export interface Email {
  readonly to: string;
  readonly text: string;
}

/** Mails of a customer go out one after the other; one that is enqueued twice within a day is sent once. */
export const emails = queue('emails', {
  value: json<Email>(),
  keyOrdered: true,
  dedupe: '1 day',
  message: ({ to }, orderId) => ({ key: to, id: String(orderId) }),
});

export default flow('order-emails', (f) => {
  f.readKeyed(orders)
    .mapValues(
      ({ customerId, total }): Email => ({ to: customerId, text: `${total} euros, thanks` }),
    )
    .write(emails);
});
