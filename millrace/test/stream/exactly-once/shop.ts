/**
 * The program of the exactly-once tests: orders meet their customers, and are counted per customer and summed per tier. Three stages, with
 * two repartition topics and three stores between them.
 */
import { flow, json, topic } from '../../../src/index.ts';

export interface Customer {
  readonly tier: string;
}
export interface Order {
  readonly id: number;
  readonly customer: string;
  readonly total: number;
}

const prefix = process.env['MILLRACE_TEST_PREFIX'] ?? 'shop';
const create = { partitions: 4 };

export const shop = flow(prefix, (f) => {
  const orders = topic(`${prefix}-orders`, { value: json<Order>() });
  const customers = topic(`${prefix}-customers`, { value: json<Customer>() });
  const enriched = f
    .read(orders)
    .keyBy((order) => order.customer)
    .join('with-customer', f.table(customers), (order, { tier }) => ({ ...order, tier }));
  enriched.write(
    topic(`${prefix}-enriched`, { value: json<Order & { readonly tier: string }>(), create }),
  );
  enriched.count('orders-per-customer').write(topic(`${prefix}-counts`, { value: json(), create }));
  enriched
    .keyBy((order) => order.tier)
    .aggregate('revenue', { init: () => 0, add: (sum: number, order) => sum + order.total })
    .write(topic(`${prefix}-revenue`, { value: json<number>(), create }));
});
