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
  };
}
