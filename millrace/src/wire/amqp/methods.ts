/**
 * All methods of AMQP 0-9-1 as RabbitMQ and its clients speak it, in one table: the types and the codec (method-codec.ts) come from it.
 * `basic.release` is ours: it gives a message back to its queue, to be ready after a delay.
 *
 * Fields are in the order of the wire; a run of bits shares octets. Reserved fields are on the wire, and nowhere else.
 *
 * NOTE: numbers and orders of the protocol, do not change.
 *
 * Source: AMQP 0-9-1, "Class and Method Reference"; RabbitMQ's extensions (blocked, update-secret, exchange to exchange, nack, confirms).
 */
import type { FieldTable } from './field-table.ts';

/** What a field is on the wire; `text` is a long string of UTF-8, `bytes` one of anything. */
export type MethodFieldKind =
  | 'octet'
  | 'short'
  | 'long'
  | 'longlong'
  | 'bit'
  | 'shortstr'
  | 'text'
  | 'bytes'
  | 'table'
  | ReservedKind;

export type ReservedKind =
  | 'reserved-short'
  | 'reserved-bit'
  | 'reserved-shortstr'
  | 'reserved-longstr';

interface MethodOptions {
  /** The peer answers with one of these, and until then sends nothing else on the channel that is not asynchronous. */
  readonly answers?: readonly string[];
  /** A content header and bodies follow. */
  readonly hasContent?: true;
}

export interface MethodEntry extends MethodOptions {
  readonly classId: number;
  readonly methodId: number;
  readonly fields: Readonly<Record<string, MethodFieldKind>>;
}

function method<const Fields extends Readonly<Record<string, MethodFieldKind>>>(
  classId: number,
  methodId: number,
  fields: Fields,
  options: MethodOptions = {},
): MethodOptions & {
  readonly classId: number;
  readonly methodId: number;
  readonly fields: Fields;
} {
  return { ...options, classId, methodId, fields };
}

const REPLY = {
  replyCode: 'short',
  replyText: 'shortstr',
  classId: 'short',
  methodId: 'short',
} as const;

export const METHODS = {
  'connection.start': method(
    10,
    10,
    {
      versionMajor: 'octet',
      versionMinor: 'octet',
      serverProperties: 'table',
      mechanisms: 'text',
      locales: 'text',
    },
    { answers: ['connection.start-ok'] },
  ),
  'connection.start-ok': method(10, 11, {
    clientProperties: 'table',
    mechanism: 'shortstr',
    response: 'bytes',
    locale: 'shortstr',
  }),
  'connection.secure': method(
    10,
    20,
    { challenge: 'bytes' },
    { answers: ['connection.secure-ok'] },
  ),
  'connection.secure-ok': method(10, 21, { response: 'bytes' }),
  'connection.tune': method(
    10,
    30,
    { channelMax: 'short', frameMax: 'long', heartbeat: 'short' },
    { answers: ['connection.tune-ok'] },
  ),
  'connection.tune-ok': method(10, 31, {
    channelMax: 'short',
    frameMax: 'long',
    heartbeat: 'short',
  }),
  'connection.open': method(
    10,
    40,
    { virtualHost: 'shortstr', reserved1: 'reserved-shortstr', reserved2: 'reserved-bit' },
    { answers: ['connection.open-ok'] },
  ),
  'connection.open-ok': method(10, 41, { reserved1: 'reserved-shortstr' }),
  'connection.close': method(10, 50, REPLY, { answers: ['connection.close-ok'] }),
  'connection.close-ok': method(10, 51, {}),
  'connection.blocked': method(10, 60, { reason: 'shortstr' }),
  'connection.unblocked': method(10, 61, {}),
  'connection.update-secret': method(
    10,
    70,
    { newSecret: 'bytes', reason: 'shortstr' },
    { answers: ['connection.update-secret-ok'] },
  ),
  'connection.update-secret-ok': method(10, 71, {}),

  'channel.open': method(
    20,
    10,
    { reserved1: 'reserved-shortstr' },
    { answers: ['channel.open-ok'] },
  ),
  'channel.open-ok': method(20, 11, { reserved1: 'reserved-longstr' }),
  'channel.flow': method(20, 20, { active: 'bit' }, { answers: ['channel.flow-ok'] }),
  'channel.flow-ok': method(20, 21, { active: 'bit' }),
  'channel.close': method(20, 40, REPLY, { answers: ['channel.close-ok'] }),
  'channel.close-ok': method(20, 41, {}),

  'access.request': method(
    30,
    10,
    {
      realm: 'shortstr',
      exclusive: 'bit',
      passive: 'bit',
      active: 'bit',
      write: 'bit',
      read: 'bit',
    },
    { answers: ['access.request-ok'] },
  ),
  'access.request-ok': method(30, 11, { ticket: 'short' }),

  'exchange.declare': method(
    40,
    10,
    {
      reserved1: 'reserved-short',
      exchange: 'shortstr',
      type: 'shortstr',
      passive: 'bit',
      durable: 'bit',
      autoDelete: 'bit',
      internal: 'bit',
      noWait: 'bit',
      arguments: 'table',
    },
    { answers: ['exchange.declare-ok'] },
  ),
  'exchange.declare-ok': method(40, 11, {}),
  'exchange.delete': method(
    40,
    20,
    { reserved1: 'reserved-short', exchange: 'shortstr', ifUnused: 'bit', noWait: 'bit' },
    { answers: ['exchange.delete-ok'] },
  ),
  'exchange.delete-ok': method(40, 21, {}),
  'exchange.bind': method(
    40,
    30,
    {
      reserved1: 'reserved-short',
      destination: 'shortstr',
      source: 'shortstr',
      routingKey: 'shortstr',
      noWait: 'bit',
      arguments: 'table',
    },
    { answers: ['exchange.bind-ok'] },
  ),
  'exchange.bind-ok': method(40, 31, {}),
  'exchange.unbind': method(
    40,
    40,
    {
      reserved1: 'reserved-short',
      destination: 'shortstr',
      source: 'shortstr',
      routingKey: 'shortstr',
      noWait: 'bit',
      arguments: 'table',
    },
    { answers: ['exchange.unbind-ok'] },
  ),
  // 51, not 41: an oversight of RabbitMQ's that has stayed.
  'exchange.unbind-ok': method(40, 51, {}),

  'queue.declare': method(
    50,
    10,
    {
      reserved1: 'reserved-short',
      queue: 'shortstr',
      passive: 'bit',
      durable: 'bit',
      exclusive: 'bit',
      autoDelete: 'bit',
      noWait: 'bit',
      arguments: 'table',
    },
    { answers: ['queue.declare-ok'] },
  ),
  'queue.declare-ok': method(50, 11, {
    queue: 'shortstr',
    messageCount: 'long',
    consumerCount: 'long',
  }),
  'queue.bind': method(
    50,
    20,
    {
      reserved1: 'reserved-short',
      queue: 'shortstr',
      exchange: 'shortstr',
      routingKey: 'shortstr',
      noWait: 'bit',
      arguments: 'table',
    },
    { answers: ['queue.bind-ok'] },
  ),
  'queue.bind-ok': method(50, 21, {}),
  'queue.purge': method(
    50,
    30,
    { reserved1: 'reserved-short', queue: 'shortstr', noWait: 'bit' },
    { answers: ['queue.purge-ok'] },
  ),
  'queue.purge-ok': method(50, 31, { messageCount: 'long' }),
  'queue.delete': method(
    50,
    40,
    {
      reserved1: 'reserved-short',
      queue: 'shortstr',
      ifUnused: 'bit',
      ifEmpty: 'bit',
      noWait: 'bit',
    },
    { answers: ['queue.delete-ok'] },
  ),
  'queue.delete-ok': method(50, 41, { messageCount: 'long' }),
  'queue.unbind': method(
    50,
    50,
    {
      reserved1: 'reserved-short',
      queue: 'shortstr',
      exchange: 'shortstr',
      routingKey: 'shortstr',
      arguments: 'table',
    },
    { answers: ['queue.unbind-ok'] },
  ),
  'queue.unbind-ok': method(50, 51, {}),

  'basic.qos': method(
    60,
    10,
    { prefetchSize: 'long', prefetchCount: 'short', global: 'bit' },
    { answers: ['basic.qos-ok'] },
  ),
  'basic.qos-ok': method(60, 11, {}),
  'basic.consume': method(
    60,
    20,
    {
      reserved1: 'reserved-short',
      queue: 'shortstr',
      consumerTag: 'shortstr',
      noLocal: 'bit',
      noAck: 'bit',
      exclusive: 'bit',
      noWait: 'bit',
      arguments: 'table',
    },
    { answers: ['basic.consume-ok'] },
  ),
  'basic.consume-ok': method(60, 21, { consumerTag: 'shortstr' }),
  'basic.cancel': method(
    60,
    30,
    { consumerTag: 'shortstr', noWait: 'bit' },
    { answers: ['basic.cancel-ok'] },
  ),
  'basic.cancel-ok': method(60, 31, { consumerTag: 'shortstr' }),
  'basic.publish': method(
    60,
    40,
    {
      reserved1: 'reserved-short',
      exchange: 'shortstr',
      routingKey: 'shortstr',
      mandatory: 'bit',
      immediate: 'bit',
    },
    { hasContent: true },
  ),
  'basic.return': method(
    60,
    50,
    { replyCode: 'short', replyText: 'shortstr', exchange: 'shortstr', routingKey: 'shortstr' },
    { hasContent: true },
  ),
  'basic.deliver': method(
    60,
    60,
    {
      consumerTag: 'shortstr',
      deliveryTag: 'longlong',
      redelivered: 'bit',
      exchange: 'shortstr',
      routingKey: 'shortstr',
    },
    { hasContent: true },
  ),
  'basic.get': method(
    60,
    70,
    { reserved1: 'reserved-short', queue: 'shortstr', noAck: 'bit' },
    { answers: ['basic.get-ok', 'basic.get-empty'] },
  ),
  'basic.get-ok': method(
    60,
    71,
    {
      deliveryTag: 'longlong',
      redelivered: 'bit',
      exchange: 'shortstr',
      routingKey: 'shortstr',
      messageCount: 'long',
    },
    { hasContent: true },
  ),
  'basic.get-empty': method(60, 72, { reserved1: 'reserved-shortstr' }),
  'basic.ack': method(60, 80, { deliveryTag: 'longlong', multiple: 'bit' }),
  'basic.reject': method(60, 90, { deliveryTag: 'longlong', requeue: 'bit' }),
  'basic.recover-async': method(60, 100, { requeue: 'bit' }),
  'basic.recover': method(60, 110, { requeue: 'bit' }, { answers: ['basic.recover-ok'] }),
  'basic.recover-ok': method(60, 111, {}),
  'basic.nack': method(60, 120, { deliveryTag: 'longlong', multiple: 'bit', requeue: 'bit' }),
  /** The delay in milliseconds. Only for brokers that announce the capability `millrace.release`. */
  'basic.release': method(60, 200, { deliveryTag: 'longlong', delay: 'long' }),

  'confirm.select': method(85, 10, { noWait: 'bit' }, { answers: ['confirm.select-ok'] }),
  'confirm.select-ok': method(85, 11, {}),

  'tx.select': method(90, 10, {}, { answers: ['tx.select-ok'] }),
  'tx.select-ok': method(90, 11, {}),
  'tx.commit': method(90, 20, {}, { answers: ['tx.commit-ok'] }),
  'tx.commit-ok': method(90, 21, {}),
  'tx.rollback': method(90, 30, {}, { answers: ['tx.rollback-ok'] }),
  'tx.rollback-ok': method(90, 31, {}),
} as const satisfies Readonly<Record<string, MethodEntry>>;

export type MethodName = keyof typeof METHODS;

interface ValueOf {
  octet: number;
  short: number;
  long: number;
  /** Beyond 2^53 not exact: nobody counts that far. */
  longlong: number;
  bit: boolean;
  shortstr: string;
  text: string;
  bytes: Uint8Array;
  table: FieldTable;
}

type FieldsOf<Fields> = {
  readonly [Key in keyof Fields as Fields[Key] extends ReservedKind
    ? never
    : Key]: Fields[Key] extends keyof ValueOf ? ValueOf[Fields[Key]] : never;
};

/** One method with its fields: `MethodOf<'basic.ack'>` is {name, deliveryTag, multiple}. */
export type MethodOf<Name extends MethodName> = Name extends MethodName
  ? { readonly name: Name } & FieldsOf<(typeof METHODS)[Name]['fields']>
  : never;

/** Any method, told apart by `name`. */
export type AmqpMethod = MethodOf<MethodName>;

/** What an encoder takes: fields that are left out are 0, false, '' or empty. */
export type MethodInput<Name extends MethodName = MethodName> = Name extends MethodName
  ? { readonly name: Name } & Partial<FieldsOf<(typeof METHODS)[Name]['fields']>>
  : never;

/** Methods that a content follows. */
export type ContentMethodName = 'basic.publish' | 'basic.return' | 'basic.deliver' | 'basic.get-ok';

export type ContentMethod = MethodOf<ContentMethodName>;

/** The class of all contents. */
export const BASIC_CLASS = 60;

/** The entry of a method in the table. */
export function methodEntry(name: MethodName): MethodEntry {
  return METHODS[name];
}
