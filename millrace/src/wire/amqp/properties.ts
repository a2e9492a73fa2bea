/**
 * Properties of a message: flags, then a list of the values whose flag is set, in the order of the flags.
 *
 *   flags u16 (15 content-type … 2 cluster-id; 1 unused; 0 would announce more flags) | values
 *
 * Source: AMQP 0-9-1, "Content Header", basic class.
 */
import type { FieldTable } from './field-table.ts';

export interface BasicProperties {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly headers?: FieldTable;
  /** 2: persistent; 1 or absent: not. */
  readonly deliveryMode?: number;
  /** 0 to 255. */
  readonly priority?: number;
  readonly correlationId?: string;
  readonly replyTo?: string;
  /** Milliseconds, as text. */
  readonly expiration?: string;
  readonly messageId?: string;
  /** Seconds since 1970. */
  readonly timestamp?: number;
  readonly type?: string;
  readonly userId?: string;
  readonly appId?: string;
  readonly clusterId?: string;
}

/** What a broker needs to know of a message that it does not otherwise look into. */
export interface PropertyFacts {
  readonly isPersistent: boolean;
  /** 0 when it has none. */
  readonly priority: number;
  /** As published; undefined for none. */
  readonly expiration: string | undefined;
  readonly replyTo: string | undefined;
  readonly userId: string | undefined;
  /** Header `x-delay` in milliseconds; undefined for none, or one that is no number above 0. */
  readonly delayMs: number | undefined;
  /** Header `x-dedupe-key`. */
  readonly dedupeKey: string | undefined;
  /** Header `x-key`. */
  readonly key: string | undefined;
  /** It has a header CC or BCC: further routing keys. */
  readonly hasCopies: boolean;
  readonly hasHeaders: boolean;
}
