/** Who gets the next epoch of a transactional id, and who is told to go. Source: KIP-98, KIP-360. */
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import { isPrepared, type TransactionState } from './transaction-state.ts';
import type { ProducerIdentity } from './transaction-table.ts';

export interface InitRequest {
  /** null = an idempotent producer without transactions. */
  readonly transactionalId: string | null;
  readonly timeoutMs: number;
  /** What the producer has so far, when it asks to go on with it (KIP-360); -1 = nothing. */
  readonly producerId: number;
  readonly producerEpoch: number;
}

export type InitResult = ProducerIdentity & { readonly error: ErrorName };

export const NO_IDENTITY: ProducerIdentity = { producerId: -1, producerEpoch: -1 };

/** Whether the one who asks may have the next epoch: an answer, or `bump`. Source: KIP-360. */
export function judgeInit(known: TransactionState, request: InitRequest): InitResult | 'bump' {
  if (isPrepared(known.status)) return { error: 'CONCURRENT_TRANSACTIONS', ...NO_IDENTITY };
  // Somebody who comes without an id fences the one before.
  if (request.producerId === -1) return 'bump';
  if (request.producerId === known.producerId && request.producerEpoch === known.producerEpoch)
    return 'bump';
  const isRepeated =
    request.producerId === known.lastProducerId &&
    request.producerEpoch === known.lastProducerEpoch;
  if (!isRepeated) return { error: 'PRODUCER_FENCED', ...NO_IDENTITY };
  return { error: 'NONE', producerId: known.producerId, producerEpoch: known.producerEpoch };
}
