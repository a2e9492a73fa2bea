/**
 * The brokers behind an address: which of them leads a partition or coordinates a group, and a connection to each that is asked.
 * Works against one Millrace as against Apache Kafka with many brokers.
 */
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { LOG_RETRY_MS } from '../../core/limits.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import { messages, type ApiMessages } from '../../wire/kafka/registry.ts';
import type { Infer, InferInput, Message } from '../../wire/kafka/schema.ts';
import {
  BrokerConnection,
  type Address,
  type CallOptions,
  type ConnectionOptions,
} from './connection.ts';
import { accept, topicMissing, refusal } from './refusal.ts';

export type MetadataAnswer = Infer<(typeof messages)[3]['response']>;

export interface Topic {
  readonly name: string;
  readonly id: string;
  readonly isInternal: boolean;
  /** Node that leads each partition; index = partition. */
  readonly leaders: readonly number[];
}

/** NOTE: Kafka's types of coordinators. */
const GROUP_KEY = 0;
const TRANSACTION_KEY = 1;
const RETRY_FIRST_MS = 50;
const RETRY_MOST_MS = 1000;
/** How long a topic that was just asked for may remain unknown. */
const CREATE_MS = 2000;

export class Cluster {
  readonly env: Env;
  readonly #bootstrap: readonly Address[];
  readonly #options: ConnectionOptions;
  readonly #addresses = new Map<number, Address>();
  readonly #connections = new Map<string, Promise<BrokerConnection>>();
  #isClosed = false;
  /** A broker has answered before: one that does not now may come back. */
  #wasThere = false;

  /** @throws {MillraceError} ML_CONNECT_FAILED when no broker answers */
  static async connect(
    env: Env,
    bootstrap: readonly Address[],
    options: ConnectionOptions = {},
  ): Promise<Cluster> {
    const cluster = new Cluster(env, bootstrap, options);
    await cluster.#any();
    return cluster;
  }

  /** Connects when something is asked of it: ML_CONNECT_FAILED is of that, then. */
  constructor(env: Env, bootstrap: readonly Address[], options: ConnectionOptions) {
    this.env = env;
    this.#bootstrap = bootstrap;
    this.#options = options;
  }

  /** The same brokers over connections of its own: requests of one connection wait for one another. */
  another(): Cluster {
    const cluster = new Cluster(this.env, this.#bootstrap, this.#options);
    cluster.#wasThere = this.#wasThere;
    for (const [node, address] of this.#addresses) cluster.#addresses.set(node, address);
    return cluster;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Asks any broker: for what is the same everywhere, and what a broker passes on to the controller. */
  async call<Request extends Message, Response extends Message>(
    api: ApiMessages<Request, Response>,
    body: InferInput<Request>,
  ): Promise<Infer<Response>> {
    return (await this.#any()).call(api, body);
  }

  /** Asks the broker with that id. */
  async callOn<Request extends Message, Response extends Message>(
    node: number,
    api: ApiMessages<Request, Response>,
    body: InferInput<Request>,
    options: CallOptions = {},
  ): Promise<Infer<Response>> {
    return (await this.connection(node)).call(api, body, options);
  }

  async connection(node: number): Promise<BrokerConnection> {
    let address = this.#addresses.get(node);
    if (address === undefined) {
      await this.metadata([], false);
      address = this.#addresses.get(node);
    }
    if (address === undefined) throw refusal(errorCode('BROKER_NOT_AVAILABLE'));
    return this.#connect(address);
  }

  /** All topics, by name. */
  async topics(): Promise<Topic[]> {
    const found = await this.metadata(null, false);
    return found.topics.map((each) => topicOf(each)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * A topic whose every partition has a leader.
   * @param create lets the broker create it, when that is how it is set
   * @throws {MillraceError} ML_TOPIC_MISSING
   */
  async topic(name: string, options: { readonly create?: boolean } = {}): Promise<Topic> {
    const endMs = this.env.clock.monotonicMs() + CREATE_MS;
    return this.retrying(async () => {
      const { topics } = await this.metadata([{ name }], options.create ?? false);
      const [found] = topics;
      if (found === undefined || found.errorCode === errorCode('UNKNOWN_TOPIC_OR_PARTITION')) {
        // Apache Kafka says so while it creates the topic.
        const mayCome = options.create === true && this.env.clock.monotonicMs() < endMs;
        throw topicMissing(name, undefined, { retriable: mayCome });
      }
      accept(found.errorCode);
      for (const partition of found.partitions) accept(partition.errorCode);
      return topicOf(found);
    });
  }

  /** The id of the broker that coordinates a group, or the transactions of an id. */
  async coordinator(key: string, of: 'group' | 'transaction' = 'group'): Promise<number> {
    return this.retrying(async () => {
      const keyType = of === 'group' ? GROUP_KEY : TRANSACTION_KEY;
      const found = await this.call(messages[10], { key, keyType });
      accept(found.errorCode, found.errorMessage);
      this.#addresses.set(found.nodeId, found);
      return found.nodeId;
    });
  }

  /** Ids of all brokers. */
  async nodes(): Promise<number[]> {
    await this.metadata([], false);
    return [...this.#addresses.keys()];
  }

  /** Does it again while it fails for a reason that passes: for LOG_RETRY_MS, unless `forMs` says otherwise. */
  async retrying<Result>(
    work: () => Promise<Result>,
    options: { readonly firstMs?: number; readonly forMs?: number } = {},
  ): Promise<Result> {
    const { clock, timers } = this.env;
    const endMs = clock.monotonicMs() + (options.forMs ?? LOG_RETRY_MS);
    let delayMs = options.firstMs ?? RETRY_FIRST_MS;
    for (; ; delayMs = Math.min(delayMs * 2, RETRY_MOST_MS)) {
      try {
        return await work();
      } catch (error) {
        const isPassing = error instanceof MillraceError && error.retriable;
        if (!isPassing || clock.monotonicMs() + delayMs > endMs) throw error;
        await timers.sleep(delayMs);
      }
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    for (const each of await Promise.allSettled(connections)) {
      if (each.status === 'fulfilled') each.value.close();
    }
  }

  /** What the brokers say of these topics; of all, for null. */
  async metadata(
    topics: readonly { readonly name: string }[] | null,
    create: boolean,
  ): Promise<MetadataAnswer> {
    const found = await this.call(messages[3], { topics, allowAutoTopicCreation: create });
    for (const broker of found.brokers) this.#addresses.set(broker.nodeId, broker);
    return found;
  }

  async #any(): Promise<BrokerConnection> {
    const failures: unknown[] = [];
    for (const address of [...this.#bootstrap, ...this.#addresses.values()]) {
      try {
        const connection = await this.#connect(address);
        this.#wasThere = true;
        return connection;
      } catch (error) {
        failures.push(error);
      }
    }
    const [first] = failures;
    if (first instanceof MillraceError && first.code !== 'ML_CONNECT_FAILED') throw first;
    const names = this.#bootstrap.map(({ host, port }) => `${host}:${port}`).join(', ');
    throw new MillraceError('ML_CONNECT_FAILED', `no broker answers at ${names}`, {
      cause: first,
      retriable: this.#wasThere,
      hint: 'Start one with: millrace start; or name another with --brokers host:port',
    });
  }

  async #connect(address: Address): Promise<BrokerConnection> {
    if (this.#isClosed) throw closedByUs();
    const key = `${address.host}:${address.port}`;
    for (let known; (known = this.#connections.get(key)) !== undefined; ) {
      const connection = await known.catch(() => undefined);
      if (connection?.isOpen === true) return connection;
      // Unless somebody else connects anew already.
      if (this.#connections.get(key) === known) this.#connections.delete(key);
    }
    if (this.#isClosed) throw closedByUs();
    const opening = BrokerConnection.open(this.env, address, this.#options);
    // Who is waiting for it is told.
    opening.catch(() => {});
    this.#connections.set(key, opening);
    return opening;
  }
}

function closedByUs(): MillraceError {
  return new MillraceError('ML_ABORTED', 'the connection to the brokers is closed');
}

function topicOf(found: Infer<(typeof messages)[3]['response']>['topics'][number]): Topic {
  const leaders: number[] = [];
  for (const { partitionIndex, leaderId } of found.partitions) leaders[partitionIndex] = leaderId;
  return { name: found.name ?? '', id: found.topicId, isInternal: found.isInternal, leaders };
}
