/** The types of records at the front door: what topics say is what is produced and consumed. */
import { expectTypeOf, test } from 'vitest';
import { json, type Millrace, type RecordPlace, topic } from '../index.ts';

interface Order {
  readonly total: number;
}
const orders = topic('orders', { key: 'string', value: json<Order>() });
declare const millrace: Millrace;

test('a topic decides what is written', () => {
  expectTypeOf(
    millrace.produce(orders, { key: 'a', value: { total: 1 } }),
  ).resolves.toEqualTypeOf<RecordPlace>();
  expectTypeOf(millrace.produce(orders, [{ value: { total: 1 } }])).resolves.toEqualTypeOf<
    readonly RecordPlace[]
  >();
  // A name takes anything; no value is a tombstone.
  void millrace.produce('orders', { key: 7, value: { anything: true } });
  void millrace.produce(orders, { key: 'a', value: null });
  // @ts-expect-error another value
  void millrace.produce(orders, { value: { totals: 1 } });
  // @ts-expect-error another key
  void millrace.produce(orders, { key: 7, value: { total: 1 } });
});

test('a topic decides what is read', async () => {
  for await (const { key, value, offset } of millrace.consume(orders)) {
    expectTypeOf(key).toEqualTypeOf<string>();
    expectTypeOf(value).toEqualTypeOf<Order>();
    expectTypeOf(offset).toEqualTypeOf<number>();
  }
  for await (const { key, value } of millrace.consume('orders', { group: 'g' })) {
    expectTypeOf(key).toEqualTypeOf<string | null>();
    expectTypeOf(value).toEqualTypeOf<string | null>();
  }
  // @ts-expect-error it is an end, or none
  millrace.consume(orders, { until: 'later' });
});
