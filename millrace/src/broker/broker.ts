/**
 * The broker: topics, groups, transactions and queues over one log store. It knows nothing of sockets; `server/` puts protocols in
 * front of it. `open-broker.ts` builds one from a directory.
 */
import type { Env } from '../core/env.ts';
import type { Logger } from '../core/log.ts';
import type { LogStore } from '../log/types.ts';
import type { Access } from './access/access.ts';
import type { VirtualHosts } from './exchanges/virtual-host.ts';
import type { Fetches } from './fetch.ts';
import type { FetchSessions } from './fetch-sessions.ts';
import type { GroupCoordinator } from './groups/group-coordinator.ts';
import type { QueueStates } from './queues/state/queue-state.ts';
import type { BrokerSettings } from './settings.ts';
import type { Topics } from './topics.ts';
import type { TransactionCoordinator } from './transactions/transaction-coordinator.ts';

export interface Broker {
  readonly env: Env;
  readonly logger: Logger;
  readonly settings: BrokerSettings;
  readonly store: LogStore;
  /** Stable name of this data directory: a base64url UUID, as Kafka's cluster ids are. */
  readonly clusterId: string;
  /** Always 1: Millrace is one node. */
  readonly nodeId: number;
  /** Absolute path of the data directory. */
  readonly dataDir: string;
  readonly topics: Topics;
  readonly fetches: Fetches;
  readonly fetchSessions: FetchSessions;
  readonly groups: GroupCoordinator;
  readonly transactions: TransactionCoordinator;
  /** Exchanges and queues. */
  readonly virtualHosts: VirtualHosts;
  /** Users and permissions of those who come by AMQP. */
  readonly access: Access;
  /** What queues know of their messages. */
  readonly queueStates: QueueStates;
  /** Answers what waits, stops the coordinators, closes the log store cleanly. Idempotent. */
  close(): Promise<void>;
}
