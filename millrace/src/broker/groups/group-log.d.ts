import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { InternalLog, InternalProducer, InternalRecord } from '../internal-log.ts';
/** NONE when everything is durable; otherwise what to tell the client, and what happened. */
export type Done = (error: ErrorName, cause: unknown) => void;
export declare class GroupLog {
  private readonly log;
  private readonly logger;
  /** In the order of the calls. */
  private readonly writes;
  private readonly idleWaiters;
  constructor(log: InternalLog, logger: Logger);
  /** Appends the records, in batches of bounded size. When one fails, those before it may be durable. */
  append(records: readonly InternalRecord[], done: Done, producer?: InternalProducer): void;
  /** Ends the transaction that a producer has in this log. */
  marker(
    end: {
      readonly producer: InternalProducer;
      readonly committed: boolean;
      readonly coordinatorEpoch: number;
    },
    done: Done,
  ): void;
  /** Resolves when every callback of the calls so far has run. */
  settled(): Promise<void>;
  private track;
  private settle;
  private errorOf;
}
