/**
 * How a program asks a Millrace about its queues, and changes what AMQP has no method for: a request is a JSON text published to the
 * exchange `amq.millrace` with the routing key `management`; the answer, a JSON text too, goes to the message's `reply-to`
 * (`amq.rabbitmq.reply-to` as a rule) with its `correlation-id`.
 *
 * Whoever is connected may ask about the virtual host of the connection, and move and purge what its permissions let it consume and
 * publish. Other virtual hosts, users and permissions need the tag `administrator`.
 *
 * NOTE: a public format.
 */
import type { JsonObject } from '../../core/json.ts';

export const MANAGEMENT_EXCHANGE = 'amq.millrace';
export const MANAGEMENT_ROUTING_KEY = 'management';

/** Where `vhost` is left out that of the connection is meant. */
export type ManagementRequest =
  | { readonly op: 'queues'; readonly vhost?: string }
  | { readonly op: 'queue'; readonly name: string; readonly vhost?: string }
  | { readonly op: 'exchanges'; readonly vhost?: string }
  | { readonly op: 'bindings'; readonly vhost?: string }
  | { readonly op: 'connections' }
  | MoveRequest
  | RedriveRequest
  | PeekRequest
  | { readonly op: 'purge'; readonly name: string; readonly vhost?: string }
  | { readonly op: 'users' }
  | {
      readonly op: 'set-user';
      readonly name: string;
      /** Left out: stays as it was. */
      readonly password?: string;
      readonly tags?: readonly string[];
    }
  | { readonly op: 'delete-user'; readonly name: string }
  | { readonly op: 'permissions' }
  | {
      readonly op: 'set-permissions';
      readonly user: string;
      readonly vhost?: string;
      /** null takes them away. */
      readonly permissions: {
        readonly configure: string;
        readonly write: string;
        readonly read: string;
      } | null;
    }
  | { readonly op: 'vhosts' }
  | { readonly op: 'create-vhost'; readonly name: string }
  | { readonly op: 'delete-vhost'; readonly name: string };

/** Takes messages that are ready from one queue and puts them into another one, unchanged. Each is in one of them at every moment. */
export interface MoveRequest {
  readonly op: 'move';
  readonly from: string;
  readonly to: string;
  readonly vhost?: string;
  /** At most so many by this request; 1 to MANAGEMENT_MOVE_MAX, which is the default. Ask again while `remaining` is not 0. */
  readonly limit?: number;
}

/** Publishes dead letters to where they were published first, as their header `x-death` says, and takes them from this queue. */
export interface RedriveRequest {
  readonly op: 'redrive';
  readonly from: string;
  readonly vhost?: string;
  /** As of `move`. */
  readonly limit?: number;
}

/** Shows the next messages, which stay where they are. */
export interface PeekRequest {
  readonly op: 'peek';
  readonly name: string;
  readonly vhost?: string;
  /** At most so many, and as many as fit into an answer; 1 to 1,000, which is the default. */
  readonly limit?: number;
}

export interface PeekedMessage {
  readonly exchange: string;
  readonly routingKey: string;
  /** Base64: flags and list, as they were published. */
  readonly properties: string;
  /** Base64. */
  readonly body: string;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
}

/** Messages that one request moves at most: the answer comes in time, and the broker does other things in between. */
export const MANAGEMENT_MOVE_MAX = 10_000;

export type ManagementOp = ManagementRequest['op'];

/** What is answered to each. */
export interface ManagementResults {
  readonly queues: readonly QueueInfo[];
  readonly queue: QueueInfo;
  readonly exchanges: readonly ExchangeInfo[];
  readonly bindings: readonly BindingInfo[];
  readonly connections: readonly ConnectionInfo[];
  readonly move: MoveResult;
  readonly redrive: MoveResult;
  readonly peek: readonly PeekedMessage[];
  readonly purge: { readonly purged: number };
  readonly users: readonly { readonly name: string; readonly tags: readonly string[] }[];
  readonly 'set-user': null;
  readonly 'delete-user': null;
  readonly permissions: readonly PermissionInfo[];
  readonly 'set-permissions': null;
  readonly vhosts: readonly { readonly name: string; readonly queues: number }[];
  readonly 'create-vhost': null;
  readonly 'delete-vhost': null;
}

export type ManagementReply<Op extends ManagementOp = ManagementOp> =
  | { readonly ok: true; readonly value: ManagementResults[Op] }
  | ManagementFailure;

export interface ManagementFailure {
  readonly ok: false;
  /** A name of AMQP, as NOT_FOUND, ACCESS_REFUSED, PRECONDITION_FAILED; BAD_REQUEST for what is no request. */
  readonly error: string;
  readonly message: string;
}

export interface QueueInfo {
  readonly name: string;
  readonly vhost: string;
  readonly type: 'classic' | 'quorum' | 'stream';
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusive: boolean;
  readonly arguments: JsonObject;
  /** The topic in which its messages are; null for a queue that is not durable. */
  readonly topic: string | null;
  readonly ready: number;
  readonly unacknowledged: number;
  readonly delayed: number;
  readonly consumers: number;
  readonly readyBytes: number;
  readonly logBytes: number;
  /** Since the start of the broker: */
  readonly published: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly acknowledged: number;
  readonly expired: number;
  readonly deadLettered: Readonly<Record<string, number>>;
  readonly dropped: number;
}

export interface ExchangeInfo {
  readonly name: string;
  readonly vhost: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: JsonObject;
}

export interface BindingInfo {
  readonly vhost: string;
  readonly source: string;
  readonly destinationKind: 'queue' | 'exchange';
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: JsonObject;
}

export interface ConnectionInfo {
  /** `address:port`, `in-process`. */
  readonly peer: string;
  /** What the client calls itself (`connection_name`), or ''. */
  readonly name: string;
  readonly user: string;
  readonly vhost: string;
  readonly channels: number;
  readonly consumers: number;
  readonly unacknowledged: number;
  /** It publishes, and is made to wait since the disk is full. */
  readonly blocked: boolean;
  readonly sinceMs: number;
}

export interface PermissionInfo {
  readonly user: string;
  readonly vhost: string;
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export interface MoveResult {
  readonly moved: number;
  /** Messages that could not be moved, and stay: a full target, or (redrive) nothing tells where they came from. */
  readonly skipped: number;
  /** Ready in the source afterwards, without those skipped. */
  readonly remaining: number;
}
