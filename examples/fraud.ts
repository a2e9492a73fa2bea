/**
 * Stolen cards: somebody tries a card with small amounts, and then takes a large one, all within ten minutes.
 *
 *     node examples/feed.ts payments | millrace produce payments --json
 *     millrace run examples/fraud.ts --brokers 127.0.0.1:9092
 */
import { flow, json, pattern, string, topic } from 'millrace';

export interface Payment {
  readonly id: string;
  readonly amount: number;
}
export interface Alarm {
  readonly payment: string;
  readonly amount: number;
  /** Small payments before it. */
  readonly tries: readonly string[];
}

// Keys are card numbers.
export const payments = topic('payments', { key: string(), value: json<Payment>() });
export const alarms = topic('alarms', { key: string(), value: json<Alarm>() });

const stolenCard = pattern('small', (payment: Payment) => payment.amount < 1)
  .times(2, 10)
  .greedy()
  .followedBy('large', (payment) => payment.amount > 500)
  .within('10 minutes')
  .skip('pastLast');

export default flow('fraud', (f) => {
  f.readKeyed(payments)
    .match(
      'stolen-card',
      stolenCard,
      ({ small, large: [large] }): Alarm => ({
        payment: large.id,
        amount: large.amount,
        tries: small.map(({ id }) => id),
      }),
    )
    .write(alarms);
});
