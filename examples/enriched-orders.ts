/**
 * Orders with what was known of their customer when they were placed. The table follows a topic of changes and keeps a day of what was true
 * before, so that an order that is processed late, or once more, meets the customer of its time.
 *
 *     node examples/feed.ts customers | millrace produce customers --json
 *     node examples/feed.ts orders | millrace produce orders --json
 *     millrace run examples/enriched-orders.ts --brokers 127.0.0.1:9092
 */
import { flow, json, string, topic } from 'millrace';

export interface Order {
  readonly id: string;
  readonly customerId: string;
  readonly total: number;
  /** Milliseconds since 1970. */
  readonly placedAt: number;
}
export interface Customer {
  readonly name: string;
  readonly tier: string;
}
export interface EnrichedOrder extends Order {
  /** null: the customer is not known. */
  readonly customer: Customer | null;
}

export const orders = topic('orders', {
  key: string(),
  value: json<Order>(),
  time: { of: (order) => order.placedAt },
});
/** A record without a value deletes a customer. */
export const customers = topic('customers', { key: string(), value: json<Customer | null>() });
export const enrichedOrders = topic('enriched-orders', {
  key: string(),
  value: json<EnrichedOrder>(),
});

export default flow('enriched-orders', (f) => {
  f.read(orders)
    .keyBy((order) => order.customerId)
    .leftJoin(
      'customer-then',
      f.table(customers, { history: '1 day' }),
      (order, customer): EnrichedOrder => ({ ...order, customer: customer ?? null }),
    )
    .write(enrichedOrders);
});
