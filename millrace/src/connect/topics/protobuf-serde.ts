/** Protocol Buffers, by a message type of the package protobufjs, be it reflected or generated. */
import type { Serde } from '../../flow/serde.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { withSchema } from './schema-serde.ts';

/** A message type: `root.lookupType('Order')` of protobufjs, or a class that it has generated. */
export interface ProtobufType {
  readonly name: string;
  readonly fullName?: string;
  decode(bytes: Uint8Array): object;
  encode(message: object): { finish(): Uint8Array };
  fromObject(value: object): object;
  toObject(message: object, options: object): object;
  verify(value: object): string | null;
}

/** 64-bit integers as text, which alone keeps all of them; fields that are not there have the default of their type. */
const AS_OBJECT = Object.freeze({ longs: String, defaults: true });

/**
 * Protocol Buffers, by a message type of protobufjs. Values are plain objects: 64-bit integers are text in them, enums numbers, and fields
 * that a message lacks have the default of their type.
 * @example
 * // const type = protobufjs.parse('syntax = "proto3"; message Order { string id = 1; double total = 2; }').root.lookupType('Order');
 * topic('orders', { value: protobuf<Order>(type) })
 */
export function protobuf<T = unknown>(type: ProtobufType, check?: StandardSchema<T>): Serde<T> {
  return withSchema<T>(
    {
      name: `protobuf ${type.fullName ?? type.name}`,
      decode: (buffer, start, end) => {
        try {
          // A copy: fields of bytes stay parts of what they are read from.
          const bytes = Buffer.from(buffer.subarray(start, end));
          return type.toObject(type.decode(bytes), AS_OBJECT);
        } catch (cause) {
          throw new Error(`it is not a message of ${type.name}: ${reasonOf(cause)}`, { cause });
        }
      },
      encode: (value) => encode(type, value),
    },
    check,
  );
}

function encode(type: ProtobufType, value: unknown): Uint8Array {
  if (typeof value !== 'object' || value === null)
    throw new Error(`it does not fit ${type.name}: it is no object`);
  try {
    const message = type.fromObject(value);
    const fault = type.verify(value);
    // `verify` knows nothing of 64-bit integers in text, and `fromObject` makes something of everything: what counts is that it is the same.
    if (fault !== null && !holds(type.toObject(message, AS_OBJECT), value)) throw new Error(fault);
    return type.encode(message).finish();
  } catch (cause) {
    throw new Error(`it does not fit ${type.name}: ${reasonOf(cause)}`, { cause });
  }
}

/** Whether all that `value` has is in `made`. */
function holds(made: unknown, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return isSame(made, value);
  if (value instanceof Uint8Array)
    return made instanceof Uint8Array && Buffer.compare(made, value) === 0;
  if (typeof made !== 'object' || made === null) return false;
  const members: Readonly<Record<string, unknown>> = { ...made };
  return Object.entries(value).every(([name, member]) => holds(members[name], member));
}

function isSame(made: unknown, value: unknown): boolean {
  if (value === undefined || value === null || made === value) return true;
  return typeof value === 'bigint' && made === String(value);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
