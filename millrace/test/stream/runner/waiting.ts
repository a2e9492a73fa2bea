/** A program in whose group somebody is who does not come back. */
import { flow, json, topic } from '../../../src/index.ts';
import type { Order } from '../exactly-once/shop.ts';

export const waiting = flow('waiting', (f) => {
  f.read(topic('shop-orders', { value: json<Order>() })).write(
    topic('waiting', { value: json<Order>() }),
  );
});
