/**
 * The inputs of Kafka's AbstractJoinIntegrationTest, all with one key: L and R are the sides, ∅ is null, the number is the time.
 * The first 15 are in order.
 */
export interface KafkaInput {
  readonly side: 'L' | 'R';
  readonly value: string | null;
  readonly time: number;
}

const IN_ORDER = 'L∅1 R∅2 LA3 Ra4 LB5 Rb6 L∅7 R∅8 LC9 Rc10 R∅11 L∅12 R∅13 Rd14 LD15';
const OUT_OF_ORDER =
  'L∅1 R∅2 LA3 Ra4 LB5 Rb6 L∅7 R∅8 LC9 Rc10 R∅11 L∅12 R∅13 Rd7 LD6 L∅2 R∅3 Re14 LE15 L∅10 R∅9 LF4 Rf3';

export const KAFKA_IN_ORDER = inputs(IN_ORDER);
export const KAFKA_OUT_OF_ORDER = inputs(OUT_OF_ORDER);

export function inputs(text: string): KafkaInput[] {
  return text.split(' ').map((word) => {
    const value = word.charAt(1);
    return {
      side: word.startsWith('L') ? 'L' : 'R',
      value: value === '∅' ? null : value,
      time: Number(word.slice(2)),
    };
  });
}
