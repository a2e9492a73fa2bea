/**
 * Tables of AMQP, in RabbitMQ's dialect of field types, which is what clients speak.
 *
 * A value that came in one type goes out in the same: what a JavaScript value cannot tell is wrapped.
 *
 * Source: RabbitMQ's errata to AMQP 0-9-1 (field types).
 */

export interface FieldTable {
  readonly [name: string]: FieldValue;
}

export type FieldValue =
  | null
  | boolean
  /** Out: an integer as `I` within 32 bits, else `l`; others as `d`. In: b B s u I i, f d; and l L within 2^53. */
  | number
  /** `l`: beyond 2^53. */
  | bigint
  /** `S` */
  | string
  /** `x` */
  | Uint8Array
  /** `T`: seconds since 1970. */
  | FieldTimestamp
  | FieldDecimal
  /** `A` */
  | readonly FieldValue[]
  /** `F` */
  | FieldTable;

export class FieldTimestamp {
  readonly seconds: number;

  constructor(seconds: number) {
    this.seconds = seconds;
  }
}

/** `D`: value / 10^scale. */
export class FieldDecimal {
  readonly scale: number;
  readonly value: number;

  constructor(scale: number, value: number) {
    this.scale = scale;
    this.value = value;
  }
}
