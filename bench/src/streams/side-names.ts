/** Who runs the queries, by name. `sides.ts` says what they are. */
export const SIDES = [
  'embedded',
  'embedded-2',
  'tcp',
  'kafka-streams',
  'tcp-kafka',
  'kafka-streams-kafka',
] as const;
export type SideName = (typeof SIDES)[number];
