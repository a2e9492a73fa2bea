/** What channels know of their connection, once it is open. */
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { FaultLog } from '../fault-log.ts';
import type { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { Access, Grant, User } from '../../broker/access/access.ts';
import type { QueueOwner, VirtualHost, VirtualHosts } from '../../broker/exchanges/virtual-host.ts';
import type { BrokerSettings } from '../../broker/settings.ts';
import type { ConnectionInfo } from '../../wire/amqp/management.ts';
import type { DirectReplies } from './direct-replies.ts';
import type { Output } from './output.ts';
import type { Publisher } from './publisher.ts';
import type { PublishTurns } from './publish-turns.ts';
import type { ReceiveTurns } from './receive-turns.ts';
import type { SettleTurns } from './settle-turns.ts';

/** What all connections of a server share. */
export interface AmqpShared {
  readonly env: Env;
  readonly logger: Logger;
  /** For what clients do wrong. */
  readonly faults: FaultLog;
  readonly settings: BrokerSettings;
  readonly vhosts: VirtualHosts;
  readonly access: Access;
  readonly replies: DirectReplies;
  readonly background: Background;
  readonly turns: PublishTurns;
  readonly receiving: ReceiveTurns;
  readonly settling: SettleTurns;
  /** Of all that are open. */
  connections(): ConnectionInfo[];
  /** Ends those of a user, or of a virtual host, that is no more. */
  disconnect(who: { readonly user?: string; readonly vhost?: string }, reason: string): void;
}

export interface AmqpSession {
  readonly shared: AmqpShared;
  readonly vhost: VirtualHost;
  readonly user: User;
  readonly grant: Grant;
  readonly owner: QueueOwner;
  readonly output: Output;
  readonly publisher: Publisher;
  /** The client wants to know when a queue that it consumes from is gone. */
  readonly wantsCancels: boolean;
  /** Ends the channel, or the connection, as the fault says. For what no method of the client has caused. */
  fault(channel: number, fault: AmqpFault): void;
}
