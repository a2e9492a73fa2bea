/**
 * Revenue per minute and tier: orders meet their customers, move to the tier, and are summed in windows that close when no order for them
 * can come any more. The same program runs without end, up to now, in a directory, and on brokers.
 *
 *     node examples/feed.ts customers | millrace produce customers --json
 *     node examples/feed.ts orders | millrace produce orders --json
 *     millrace run examples/revenue.ts --brokers 127.0.0.1:9092 --until now
 */
import { flow, json, skipTo, string, topic, tumbling, type Windowed } from 'millrace';
import type { Customer, Order } from './enriched-orders.ts';

export const orders = topic('orders', {
  key: string(),
  value: json<Order>(),
  time: { of: (order) => order.placedAt, outOfOrder: '5s', idle: '30s' },
});
export const customers = topic('customers', { key: string(), value: json<Customer | null>() });
export const revenue = topic('revenue-per-tier', {
  key: json<Windowed<string>>(),
  value: json<number>(),
});
export const lateOrders = topic('orders-late', { key: string(), value: json<Order>() });
export const deadLetters = topic('revenue-dead-letters', { value: json() });

export default flow('revenue', { onError: skipTo(deadLetters) }, (f) => {
  f.read(orders)
    .keyBy((order) => order.customerId)
    // Who they were then, whenever this runs.
    .join('with-customer', f.table(customers, { history: '1 day' }), (order, { tier }) => ({
      ...order,
      tier,
    }))
    .keyBy((order) => order.tier)
    .window(tumbling('1 minute', { grace: '10s' }))
    .aggregate('revenue', {
      init: () => 0,
      add: (sum, order) => sum + order.total,
      merge: (a, b) => a + b,
    })
    .late(lateOrders)
    .write(revenue);
});
