/** What records are while a plan of streams runs bounded: a value with its time. Plain data of one shape, as all that crosses an exchange. */

export interface Timed {
  /** Event time, milliseconds since 1970; -1: it has none. */
  readonly t: number;
  /** When a run without end would have come to it: the latest time before it in its partition. */
  readonly m: number;
  readonly v: unknown;
  /** Of a change of a table: the value before; undefined: there was none. */
  readonly o: unknown;
}

export const NO_TIME = -1;

export function timed(t: number, m: number, v: unknown, o: unknown): Timed {
  return { t, m, v, o };
}

/** `fn` on the value of a record, whose time stays. It may return a promise. */
export function withValue(record: Timed, value: unknown): Timed | Promise<Timed> {
  if (value instanceof Promise)
    return value.then((settled: unknown) => timed(record.t, record.m, settled, undefined));
  return timed(record.t, record.m, value, undefined);
}

export function valueOf(record: unknown): unknown {
  return (record as Timed).v;
}
