/**
 * The requests of a producer to the coordinator of its transactions, and to that of the group whose offsets it commits. Each is asked
 * again while the reason passes: all of them may be repeated.
 *
 * Source: KIP-98, KIP-360 (a producer that goes on after a failure), KIP-447.
 */
import { MillraceError } from '../../core/errors.ts';
import { errorName, type ErrorName } from '../../wire/kafka/error-codes.ts';
import { messages, type ApiMessages } from '../../wire/kafka/registry.ts';
import type { Infer, InferInput, Message } from '../../wire/kafka/schema.ts';
import type { TopicPartition, TransactionOffsets } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { byTopic } from './partition-leaders.ts';
import { accept, refusal, refusedWith } from './refusal.ts';

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** A transaction that ends takes a few milliseconds: until then the next one is refused. */
const CONCURRENT_RETRY_MS = 5;
const NOBODY: ProducerIdentity = { producerId: -1, producerEpoch: -1 };

const FENCED: ReadonlySet<ErrorName> = new Set([
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
]);
const GROUP_LOST: ReadonlySet<ErrorName> = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'FENCED_INSTANCE_ID',
  'REBALANCE_IN_PROGRESS',
]);

/** The kind of coordinator and the name by which it is found. */
interface Coordinated {
  readonly of: 'group' | 'transaction';
  readonly key: string;
}

export class TransactionClient {
  readonly #cluster: Cluster;
  readonly #transactionalId: string;
  readonly #timeoutMs: number;
  readonly #nodes = new Map<string, number>();
  #identity: ProducerIdentity = NOBODY;

  constructor(cluster: Cluster, transactionalId: string, timeoutMs: number) {
    this.#cluster = cluster;
    this.#transactionalId = transactionalId;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * The first time it takes over the id: who had it is fenced, what that had open is aborted. Later it aborts what is open, and begins
   * a new epoch, unless somebody else has taken over.
   * @throws {MillraceError} ML_PRODUCER_FENCED
   */
  async begin(): Promise<ProducerIdentity> {
    const given = await this.#ask(this.#itself, messages[22], {
      transactionalId: this.#transactionalId,
      transactionTimeoutMs: this.#timeoutMs,
      ...this.#identity,
    });
    this.#identity = { producerId: given.producerId, producerEpoch: given.producerEpoch };
    return this.#identity;
  }

  async addPartitions(partitions: readonly TopicPartition[]): Promise<void> {
    const topics = [...byTopic(partitions)].map(([name, some]) => ({
      name,
      partitions: some.map(({ partition }) => partition),
    }));
    await this.#ask(
      this.#itself,
      messages[24],
      {
        v3AndBelowTransactionalId: this.#transactionalId,
        v3AndBelowProducerId: this.#identity.producerId,
        v3AndBelowProducerEpoch: this.#identity.producerEpoch,
        v3AndBelowTopics: topics,
      },
      (answer) =>
        answer.resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) =>
          resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
        ),
    );
  }

  /** @throws {MillraceError} ML_PRODUCER_FENCED, ML_GROUP_LOST */
  async addOffsets({ group, offsets }: TransactionOffsets): Promise<void> {
    const identity = {
      transactionalId: this.#transactionalId,
      groupId: group.group,
      ...this.#identity,
    };
    await this.#ask(this.#itself, messages[25], identity);
    await this.#ask(
      { of: 'group', key: group.group },
      messages[28],
      {
        ...identity,
        generationId: group.generation,
        memberId: group.memberId,
        groupInstanceId: group.instanceId ?? null,
        topics: offsetTopics(offsets),
      },
      partitionErrors,
    );
  }

  /** Asks until there is an answer when it commits: nobody may guess how a transaction ended. */
  async end(committed: boolean): Promise<void> {
    await this.#ask(
      this.#itself,
      messages[26],
      { transactionalId: this.#transactionalId, ...this.#identity, committed },
      undefined,
      committed ? { forMs: Infinity } : {},
    );
  }

  get #itself(): Coordinated {
    return { of: 'transaction', key: this.#transactionalId };
  }

  async #ask<Request extends Message, Response extends Message>(
    coordinated: Coordinated,
    api: ApiMessages<Request, Response>,
    body: InferInput<Request>,
    errorsOf: (answer: Infer<Response>) => readonly number[] = topError,
    retry: { readonly forMs?: number } = {},
  ): Promise<Infer<Response>> {
    const { of, key } = coordinated;
    const place = `${of} ${key}`;
    return this.#cluster.retrying(
      async () => {
        let node = this.#nodes.get(place);
        if (node === undefined) {
          node = await this.#cluster.coordinator(key, of);
          this.#nodes.set(place, node);
        }
        try {
          const answer = await this.#cluster.callOn(node, api, body);
          const code = errorsOf(answer).find((each) => each !== 0);
          if (code !== undefined) throw this.#refused(code);
          return answer;
        } catch (error) {
          // Another one may coordinate by now, unless it is only busy.
          if (refusedWith(error) !== 'CONCURRENT_TRANSACTIONS') this.#nodes.delete(place);
          throw error;
        }
      },
      { firstMs: CONCURRENT_RETRY_MS, ...retry },
    );
  }

  #refused(code: number): MillraceError {
    return producerRefusal(code, this.#transactionalId);
  }
}

/** Without transactions: a new id, which nobody else has. */
export async function newProducer(cluster: Cluster, timeoutMs: number): Promise<ProducerIdentity> {
  return cluster.retrying(async () => {
    const given = await cluster.call(messages[22], {
      transactionalId: null,
      transactionTimeoutMs: timeoutMs,
    });
    accept(given.errorCode);
    return { producerId: given.producerId, producerEpoch: given.producerEpoch };
  });
}

/** Outside of transactions. @throws {MillraceError} ML_GROUP_LOST */
export async function commitOffsets(
  cluster: Cluster,
  { group, offsets }: TransactionOffsets,
): Promise<void> {
  await cluster.retrying(async () => {
    const answer = await cluster.callOn(await cluster.coordinator(group.group), messages[8], {
      groupId: group.group,
      generationIdOrMemberEpoch: group.generation,
      memberId: group.memberId,
      groupInstanceId: group.instanceId ?? null,
      topics: offsetTopics(offsets),
    });
    const code = partitionErrors(answer).find((each) => each !== 0);
    if (code !== undefined) throw producerRefusal(code, undefined);
  });
}

/** What a broker's answer to a producer means: ML_PRODUCER_FENCED, ML_GROUP_LOST, or that it refused. */
export function producerRefusal(
  code: number,
  transactionalId: string | undefined,
  detail?: string | null,
): MillraceError {
  const name = errorName(code);
  const fields = { error: name, ...(transactionalId === undefined ? {} : { transactionalId }) };
  if (FENCED.has(name) && transactionalId !== undefined) {
    return new MillraceError(
      'ML_PRODUCER_FENCED',
      `another producer has the transactional id ${transactionalId} now, or its transaction took too long (${name})`,
      { fields },
    );
  }
  if (GROUP_LOST.has(name)) {
    return new MillraceError(
      'ML_GROUP_LOST',
      `the group has gone on without the member that commits (${name})`,
      { fields, retriable: false },
    );
  }
  // Who sends records looks after the topic, and asks again if it is there.
  if (name === 'UNKNOWN_TOPIC_OR_PARTITION')
    return new MillraceError('ML_BROKER_REFUSED', name, { fields, retriable: false });
  return refusal(code, detail);
}

export function isFenced(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'ML_PRODUCER_FENCED';
}

function offsetTopics(offsets: TransactionOffsets['offsets']) {
  return [...byTopic(offsets)].map(([name, some]) => ({
    name,
    partitions: some.map(({ partition, offset, metadata }) => ({
      partitionIndex: partition,
      committedOffset: offset,
      committedMetadata: metadata,
    })),
  }));
}

function topError(answer: object): readonly number[] {
  const { errorCode } = answer as { readonly errorCode?: number };
  return errorCode === undefined ? [] : [errorCode];
}

function partitionErrors(answer: {
  readonly topics: readonly {
    readonly partitions: readonly { readonly errorCode: number }[];
  }[];
}): readonly number[] {
  return answer.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
}
