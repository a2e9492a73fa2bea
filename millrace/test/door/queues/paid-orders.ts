/** A flow that puts a message into a queue for each order. */
import { flow, json, queue, topic } from '../../../src/index.ts';

export const paid = queue('paid', {
  value: json<number>(),
  message: (order) => ({ id: `order ${order}` }),
});

export const paidOrders = flow('paid-orders', (f) => {
  f.read(topic('orders', { value: json<number>() })).write(paid);
});
