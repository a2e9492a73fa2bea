/** The Log port over Kafka's protocol, whatever carries its bytes. */
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import type {
  GroupMembership,
  Log,
  LogProducer,
  LogReader,
  MemberOptions,
  ProducerOptions,
  ReaderOptions,
} from '../log.ts';
import { DEFAULT_BROKERS, parseAddresses } from './addresses.ts';
import { Cluster } from './cluster.ts';
import type { Address, ConnectionOptions } from './connection.ts';
import { KafkaGroupMembership } from './group-membership.ts';
import { LogAdmin } from './log-admin.ts';
import { KafkaLogProducer } from './log-producer.ts';
import { KafkaLogReader } from './log-reader.ts';

const CLIENT_ID = 'millrace';

export interface ConnectKafkaOptions {
  /** `host:port`, several of them with commas between. Default 127.0.0.1:9092. */
  readonly brokers?: string;
  /** What the brokers call this client in their logs. Default `millrace`. */
  readonly clientId?: string;
  /** Connects when something is asked of the log, which fails then when no broker answers. Default: connects at once. */
  readonly whenAsked?: boolean;
}

/**
 * A log behind the network: Apache Kafka (2.4 or newer), or another Millrace.
 * @throws {MillraceError} ML_CONNECT_FAILED, ML_USAGE for addresses that are none
 * @example
 * const log = await connectKafka(realEnv(), { brokers: '127.0.0.1:9092' });
 * const topics = await log.topics();
 * await log.close();
 */
export async function connectKafka(env: Env, options: ConnectKafkaOptions = {}): Promise<Log> {
  const { brokers = DEFAULT_BROKERS, clientId = CLIENT_ID, whenAsked = false } = options;
  return connectLog(env, {
    label: brokers,
    bootstrap: parseAddresses(brokers),
    clientId,
    whenAsked,
  });
}

/** A log behind brokers that are reached in whichever way `connect` takes. */
export async function connectLog(
  env: Env,
  options: ConnectionOptions & {
    readonly label: string;
    readonly bootstrap: readonly Address[];
    readonly whenAsked?: boolean;
    /** Runs after everything of the log is closed. */
    readonly onClosed?: () => Promise<void> | void;
  },
): Promise<Log> {
  const { label, bootstrap, whenAsked, onClosed, ...rest } = options;
  const connection = { clientId: CLIENT_ID, ...rest };
  const cluster =
    whenAsked === true
      ? new Cluster(env, bootstrap, connection)
      : await Cluster.connect(env, bootstrap, connection);
  return new KafkaLog(cluster, label, onClosed ?? (() => {}));
}

class KafkaLog implements Log {
  readonly env: Env;
  readonly label: string;
  readonly topics: Log['topics'];
  readonly createTopics: Log['createTopics'];
  readonly deleteTopics: Log['deleteTopics'];
  readonly topicConfig: Log['topicConfig'];
  readonly deleteRecords: Log['deleteRecords'];
  readonly offsets: Log['offsets'];
  readonly committed: Log['committed'];
  readonly setCommitted: Log['setCommitted'];
  readonly deleteGroup: Log['deleteGroup'];
  readonly #cluster: Cluster;
  readonly #onClosed: () => Promise<void> | void;
  /** How to close each of the readers, producers and members that are open. */
  readonly #open = new Set<() => Promise<void> | void>();
  #closing: Promise<void> | undefined;

  constructor(cluster: Cluster, label: string, onClosed: () => Promise<void> | void) {
    const admin = new LogAdmin(cluster);
    this.env = cluster.env;
    this.label = label;
    this.topics = (names) => admin.topics(names);
    this.createTopics = (specs) => admin.createTopics(specs);
    this.deleteTopics = (names) => admin.deleteTopics(names);
    this.topicConfig = (name) => admin.topicConfig(name);
    this.deleteRecords = (before) => admin.deleteRecords(before);
    this.offsets = (partitions, at) => admin.offsets(partitions, at);
    this.committed = (group, partitions) => admin.committed(group, partitions);
    this.setCommitted = (group, offsets) => admin.setCommitted(group, offsets);
    this.deleteGroup = (group) => admin.deleteGroup(group);
    this.#cluster = cluster;
    this.#onClosed = onClosed;
  }

  reader(options: ReaderOptions): LogReader {
    this.#check();
    const close = (): void => reader.close();
    const reader = new KafkaLogReader(this.#cluster, options, () => this.#open.delete(close));
    this.#open.add(close);
    return reader;
  }

  async producer(options: ProducerOptions): Promise<LogProducer> {
    this.#check();
    const connections = this.#cluster.another();
    // Before it is there, too, a close of the log ends it.
    const abandon = (): Promise<void> => connections.close();
    this.#open.add(abandon);
    try {
      const close = (): Promise<void> => producer.close();
      const onClose = (): void => {
        this.#open.delete(close);
      };
      const producer = await KafkaLogProducer.open(connections, options, onClose);
      this.#open.add(close);
      return producer;
    } catch (error) {
      await connections.close();
      throw error;
    } finally {
      this.#open.delete(abandon);
    }
  }

  member(options: MemberOptions): GroupMembership {
    this.#check();
    const close = (): Promise<void> => member.leave();
    const member = new KafkaGroupMembership(this.#cluster, options, () => {
      this.#open.delete(close);
    });
    this.#open.add(close);
    return member;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #closeNow(): Promise<void> {
    await Promise.all([...this.#open].map(async (close) => close()));
    await this.#cluster.close();
    await this.#onClosed();
  }

  #check(): void {
    if (this.#closing !== undefined)
      throw new MillraceError('ML_ABORTED', `the log ${this.label} is closed`);
  }
}
