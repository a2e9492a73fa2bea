/** What the language and the engines know of a topic that a flow reads or writes. A Source or Sink of a topic carries one. */
import type { Serde } from './serde.ts';
import type { TimeSpec } from './windows.ts';

export interface TopicPort {
  readonly name: string;
  readonly key: Serde<unknown>;
  readonly value: Serde<unknown>;
  readonly time: TimeSpec;
  /** Partitions that are read; undefined: all. A bounded read only. */
  readonly only: readonly number[] | undefined;
  /** How it is made when it does not exist and the flow writes it. */
  readonly create: {
    /** undefined: what the broker does by itself. */
    readonly partitions: number | undefined;
    /** Topic settings such as cleanup.policy. */
    readonly configs: Readonly<Record<string, string>>;
    /** Topics that are made along with it, before it. Default: none. */
    readonly beside?: readonly {
      readonly name: string;
      readonly partitions: number;
      readonly configs: Readonly<Record<string, string>>;
    }[];
  };
  /** What a record carries beside its value when it is written. Absent: nothing, and the key of the stream. May throw: the record is refused. */
  readonly envelope?: (value: unknown, key: unknown) => Envelope;
  /** Makes the value that a flow gets of the decoded one and of what the record carries beside it. Absent: the decoded one. */
  readonly unwrap?: (value: unknown, record: Carried) => unknown;
  /** A queue: what a flow has read, and committed, is deleted; and what others have deleted before the flow came to it is no loss. */
  readonly isTaken?: boolean;
}

export interface Envelope {
  /** Goes through the serde of keys. */
  readonly key: unknown;
  readonly headers: readonly {
    readonly key: string;
    readonly value: Uint8Array | string | null;
  }[];
}

/** Of a record that was read, beside its value. */
export interface Carried {
  readonly key: unknown;
  /** Milliseconds since 1970; -1: none. */
  readonly timestamp: number;
  /** Views of memory that is used again: copy what stays. */
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}
