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

/** Mails of a customer go out one after the other. The id of an order is the id of its mail, by which a mailer knows one that it has sent. */
export const emails = queue('emails', {
  value: json<Email>(),
  keyOrdered: true,
  message: ({ to }, orderId) => ({ key: to, id: String(orderId) }),
});

export default flow('order-emails', (f) => {
  f.readKeyed(orders)
    .mapValues(
      ({ customerId, total }): Email => ({ to: customerId, text: `${total} euros, thanks` }),
    )
    .write(emails);
});
