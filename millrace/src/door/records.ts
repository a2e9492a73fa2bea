/** Records as programs have them in their hands. */
import { MillraceError } from '../core/errors.ts';
import { topic as topicOf, type Topic } from '../connect/topics/topic.ts';
import type { Readable } from '../flow/source.ts';
import type { TopicPort } from '../flow/topic-port.ts';

/** A record that is to be written. */
export interface NewRecord<Value, Key> {
  /** Equal keys go to one partition, in order. Default: none; such records are spread over the partitions. */
  readonly key?: Key | null | undefined;
  /** null and undefined: no value, which deletes the key from a compacted topic. */
  readonly value?: Value | null | undefined;
  /** Milliseconds since 1970, or a Date. Default: now. */
  readonly timestamp?: number | Date;
  /** Default: what the key says. */
  readonly partition?: number;
  /** By name. Text is written as UTF-8. */
  readonly headers?: Readonly<Record<string, string | Uint8Array | null>>;
}

/** Where a record is. */
export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A record that was read. */
export interface ConsumedRecord<Value, Key> extends RecordPlace {
  /** null: it has none. */
  readonly key: Key;
  /** null: it has none. */
  readonly value: Value;
  /** Milliseconds since 1970; -1: it has none. */
  readonly timestamp: number;
  /** In their order; a name may occur twice. */
  readonly headers: readonly RecordHeaderField[];
}

export interface RecordHeaderField {
  readonly name: string;
  readonly value: Buffer | null;
}

/** A topic by its name, or as `topic(…)` describes it, with its serdes. */
export type TopicGiven<Value, Key, WrittenValue, WrittenKey> =
  | string
  | Topic<Value, Key, WrittenValue, WrittenKey>;

/** @throws {MillraceError} ML_FLOW_INVALID for a name that cannot be */
export function portOf(given: string | Readable): TopicPort {
  const port = (typeof given === 'string' ? topicOf(given) : given).source().topic;
  if (port !== undefined) return port;
  throw new MillraceError('ML_USAGE', 'what was given is no topic', {
    hint: "Give a name, or what topic('name', { … }) returns",
  });
}
