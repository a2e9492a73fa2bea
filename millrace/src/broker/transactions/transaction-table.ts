/**
 * The transactional ids in memory: by name, by producer id, and by when an open transaction times out. What is here is durable in
 * `__transaction_state`, or about to be read from it.
 */
import type { Clock } from '../../core/env.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { TransactionState } from './transaction-state.ts';

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** A producer that speaks for a transactional id. */
export interface TransactionRequest extends ProducerIdentity {
  readonly transactionalId: string;
}

export class TransactionTable {
  private readonly clock: Clock;
  private readonly states = new Map<string, TransactionState>();
  private readonly idOfProducer = new Map<number, string>();
  /** On the monotonic clock: a jump of the wall clock must not end transactions. */
  private readonly deadlines = new Map<string, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get size(): number {
    return this.states.size;
  }

  get(transactionalId: string): TransactionState | undefined {
    return this.states.get(transactionalId);
  }

  /** The state of the transactional id that holds this producer id now. */
  ofProducer(producerId: number): TransactionState | undefined {
    const transactionalId = this.idOfProducer.get(producerId);
    return transactionalId === undefined ? undefined : this.states.get(transactionalId);
  }

  all(): TransactionState[] {
    return [...this.states.values()];
  }

  /** The state, when the producer is the one that holds the transactional id. */
  check(request: TransactionRequest): TransactionState | ErrorName {
    const state = this.states.get(request.transactionalId);
    if (state === undefined || state.producerId !== request.producerId)
      return 'INVALID_PRODUCER_ID_MAPPING';
    return state.producerEpoch === request.producerEpoch ? state : 'PRODUCER_FENCED';
  }

  remember(state: TransactionState): void {
    const { transactionalId, producerId } = state;
    const before = this.states.get(transactionalId);
    if (before !== undefined && before.producerId !== producerId)
      this.idOfProducer.delete(before.producerId);
    this.states.set(transactionalId, state);
    this.idOfProducer.set(producerId, transactionalId);
    if (state.status !== 'Ongoing') this.deadlines.delete(transactionalId);
    else if (before?.status !== 'Ongoing') {
      const spentMs = Math.max(0, this.clock.nowMs() - state.startMs);
      const leftMs = Math.max(0, state.timeoutMs - spentMs);
      this.deadlines.set(transactionalId, this.clock.monotonicMs() + leftMs);
    }
  }

  forget(transactionalId: string): void {
    const state = this.states.get(transactionalId);
    if (state !== undefined) this.idOfProducer.delete(state.producerId);
    this.states.delete(transactionalId);
    this.deadlines.delete(transactionalId);
  }

  /** Whether the id has an open transaction whose time is up. */
  isDue(transactionalId: string, monotonicMs: number): boolean {
    return (this.deadlines.get(transactionalId) ?? Infinity) <= monotonicMs;
  }

  dueAt(monotonicMs: number): string[] {
    return [...this.deadlines.keys()].filter((transactionalId) =>
      this.isDue(transactionalId, monotonicMs),
    );
  }
}
