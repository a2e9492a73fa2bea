/**
 * What clients of a virtual host see: its exchanges, its queues, and what is bound to what. Definitions that are durable are in the log:
 * a queue that has a topic of its own is defined by that topic (config `millrace.queue`), everything else by records of the metadata log.
 *
 * Source: AMQP 0-9-1, exchange and queue classes; RabbitMQ's extensions (exchange to exchange, alternate exchanges, CC and BCC).
 */
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { QueueMessage } from '../queues/message.ts';
import type { Queue, QueueOutcome, QueueRefusal, QueueSettings } from '../queues/queue.ts';

/** Who declares and uses: a connection. Exclusive queues belong to one and go with it. */
export interface QueueOwner {
  /** For people. */
  readonly label: string;
}

export interface QueueDeclaration {
  /** '': the broker chooses a name, `amq.gen-…`. */
  readonly name: string;
  /** Only looks whether it exists. */
  readonly passive: boolean;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

/** A queue with what it was declared as. */
export interface DeclaredQueue {
  readonly queue: Queue;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
  readonly settings: QueueSettings;
  /** undefined unless exclusive. */
  readonly owner: QueueOwner | undefined;
}

export interface ExchangeDeclaration {
  readonly name: string;
  readonly type: string;
  readonly passive: boolean;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

export interface ExchangeDescription {
  readonly name: string;
  readonly type: 'direct' | 'fanout' | 'topic' | 'headers';
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

export interface Binding {
  /** An exchange. */
  readonly source: string;
  readonly destination: { readonly kind: 'queue' | 'exchange'; readonly name: string };
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export interface VirtualHost {
  readonly name: string;
  /** Declares, or finds an equal one. @returns NOT_FOUND (passive), RESOURCE_LOCKED (another's exclusive one), PRECONDITION_FAILED
   * (another one of that name, or arguments that make no sense), ACCESS_REFUSED (amq.*) */
  declareQueue(
    declaration: QueueDeclaration,
    owner: QueueOwner,
  ): Promise<QueueOutcome<DeclaredQueue>>;
  /** The queue, when this owner may use it. @returns NOT_FOUND, RESOURCE_LOCKED */
  queue(name: string, owner: QueueOwner): QueueOutcome<DeclaredQueue>;
  /** @returns the number of messages that went with it */
  deleteQueue(
    name: string,
    owner: QueueOwner,
    conditions: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<QueueOutcome<number>>;
  queues(): readonly DeclaredQueue[];
  declareExchange(declaration: ExchangeDeclaration): Promise<QueueOutcome<ExchangeDescription>>;
  /** Idempotent: an exchange that is not there is deleted. */
  deleteExchange(
    name: string,
    conditions: { readonly ifUnused: boolean },
  ): Promise<QueueOutcome<void>>;
  exchange(name: string): ExchangeDescription | undefined;
  exchanges(): readonly ExchangeDescription[];
  bind(binding: Binding, owner: QueueOwner): Promise<QueueOutcome<void>>;
  unbind(binding: Binding, owner: QueueOwner): Promise<QueueOutcome<void>>;
  bindings(): readonly Binding[];
  /**
   * The queues that a message goes to: exchange, bindings, exchanges behind it, alternate exchange, CC and BCC. Each queue once. Empty: it cannot be
   * routed. The array must not be changed, and is good until the next call.
   * @returns NOT_FOUND when there is no such exchange, ACCESS_REFUSED for an internal one
   */
  route(
    message: Pick<QueueMessage, 'exchange' | 'routingKey' | 'properties'>,
  ): QueueOutcome<readonly Queue[]>;
  /** A consumer came to, or left, a queue: what is deleted automatically goes when the last one has left. */
  consumersChanged(queue: Queue): void;
  /** A basic.get, a declaration: a queue that expires when it is not used was used. */
  used(queue: Queue): void;
  /** The connection is gone: its exclusive queues go. */
  ownerGone(owner: QueueOwner): Promise<void>;
}

export interface VirtualHosts {
  get(name: string): VirtualHost | undefined;
  all(): readonly VirtualHost[];
  /** `/` is there from the first start. Idempotent. */
  create(name: string): Promise<VirtualHost>;
  /** Deletes it with its queues and exchanges. @returns NOT_FOUND */
  delete(name: string): Promise<QueueRefusal | undefined>;
  close(): Promise<void>;
}
