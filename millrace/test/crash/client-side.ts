/** What clients see of a store that is running: appends, acknowledgements, time, and that it may stop at any moment. */
import type { AppendOptions, AppendResult } from '../../src/log/types.ts';
import type { BatchFact } from './log-history.ts';
import type { KnownLog, World } from './world.ts';

export interface ClientSide {
  readonly world: World;
  readonly leaderEpoch: number;
  /** The power went since the last start that came to its end. */
  readonly powerWasCut: boolean;
  isRunning(): boolean;
  /** Uses up one of the operations that this life is made of; false when it is over. */
  takeOperation(): boolean;
  pause(delayMs: number): Promise<void>;
  nowMs(): number;
  /** Appends, and says so. `facts` tells what lies at an offset afterwards. Undefined when the log is gone. */
  append(
    known: KnownLog,
    bytes: Buffer,
    origin: AppendOptions['origin'],
    facts: (baseOffset: number) => BatchFact[],
  ): AppendResult | undefined;
  /** The log said no. @param legal whether it had to; by default when its disk is full */
  refused(log: KnownLog, error: string, legal?: boolean): void;
  whenDurable(known: KnownLog, endOffset: number, then: () => void): void;
  /** As `whenDurable`; false when it will not be. */
  durable(known: KnownLog, endOffset: number): Promise<boolean>;
}
