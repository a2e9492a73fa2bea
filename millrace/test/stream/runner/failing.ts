/** A program that fails on one of the later orders of the shop. */
import { flow, json, topic } from '../../../src/index.ts';
import type { Order } from '../exactly-once/shop.ts';

export const failing = flow('failing', (f) => {
  f.read(topic('shop-orders', { value: json<Order>() }))
    .map(({ id }) => {
      if (id === 1_005) throw new Error('unlucky');
      return id;
    })
    .write(topic('failing', { value: json<number>() }));
});
